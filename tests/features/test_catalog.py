"""The shipped catalogs are what was agreed; a wrong catalog is refused by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from features.catalog import load_catalog
from features.errors import ConfigError

CATALOGS = Path(__file__).parents[2] / "configs" / "catalog"

CHANNELS = {
    "mobile_bank": ("手机银行", "online"), "push": ("消息推送", "online"),
    "wechat_bank": ("微信银行", "online"), "sms": ("短信", "online"),
    "ai_call": ("智能外呼", "remote"), "human_call": ("人工外呼", "remote"),
    "wecom": ("企业微信", "remote"), "remote_agent": ("远程银行坐席", "remote"),
    "video": ("视频银行", "remote"), "smart_counter": ("智能柜台", "offline"),
    "teller": ("柜员", "offline"), "lobby_manager": ("大堂经理", "offline"),
    "relationship_manager": ("客户经理", "offline"), "wealth_manager": ("理财经理", "offline"),
    "loan_manager": ("个贷客户经理", "offline"),
}  # fmt: skip
REACH_ONLY = {"push", "sms", "ai_call", "human_call"}
PRODUCTS = (
    "deposit_3m", "deposit_1y", "cd_3y", "cash_plus", "wealth_r2", "fund_r2", "fund_r3", "fund_r4",
    "gold_saving", "annuity_insurance", "health_insurance", "credit_card", "card_instalment",
    "consumer_loan", "mortgage", "payroll_account", "pension_account", "mobile_payment",
    "bill_autopay",
)  # fmt: skip
REPEATABLE = {
    "deposit_3m", "deposit_1y", "cd_3y", "cash_plus", "wealth_r2", "fund_r2", "fund_r3", "fund_r4",
    "gold_saving", "card_instalment", "annuity_insurance",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(CATALOGS / "bank", tmp_path / "bank"))


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text, "the test is stale"
    file.write_text(text.replace(old, new, 1), "utf-8")


def test_the_bank_has_the_channels_of_the_design():
    catalog = load_catalog(CATALOGS / "bank")
    assert {c.id: (c.names.zh, c.mode) for c in catalog.channels} == CHANNELS
    assert set(catalog.channel_ids) - set(catalog.handle_ids) == REACH_ONLY
    assert all("reach" in channel.roles for channel in catalog.channels)


def test_the_bank_has_the_offers_agreed():
    catalog = load_catalog(CATALOGS / "bank")
    assert catalog.product_ids == PRODUCTS
    others = catalog.offers[len(PRODUCTS) :]
    assert [(o.id, o.kind) for o in others] == [
        ("risk_assessment_renewal", "service"), ("id_update", "service"),
        ("tier_benefit", "service"), ("complaint_care", "care"),
    ]  # fmt: skip
    assert {o for o in PRODUCTS if catalog.offer_by_id[o].repeatable} == REPEATABLE
    assert all(offer.repeatable for offer in others)


def test_the_insurer_has_two_doors_and_24_items():
    catalog = load_catalog(CATALOGS / "insurance")
    assert catalog.handle_ids == ("phone", "web")
    assert catalog.product_ids == tuple(f"item_{number}" for number in range(1, 25))
    assert {offer.suitability for offer in catalog.offers} == {"none"}


def test_value_is_margin_on_the_amount_or_fixed():
    offers = load_catalog(CATALOGS / "bank").offer_by_id
    assert offers["deposit_1y"].value_cny(100_000.0) == pytest.approx(250.0)
    assert offers["credit_card"].value_cny(100_000.0) == 200.0


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("channels.yaml", "id: push", "id: sms", r"channels\.yaml: id 'sms' stands twice"),
        ("channels.yaml", "mode: remote", "mode: distant", r"channels\.\d+\.mode"),
        ("channels.yaml", "cost_cny: 0.02", "cost: 0.02", r"unknown key .*did you mean 'cost_cny'"),
        ("channels.yaml", "cost_cny: 0.02", "cost_cny: -1", r"greater than or equal to 0"),
        ("offers.yaml", "id: deposit_1y", "id: deposit_3m", r"'deposit_3m' stands twice"),
        ("offers.yaml", "risk_level: 1, ", "", r"an investment needs risk_level"),
        ("offers.yaml", "margin_bps: 8,", "fixed_cny: 8, margin_bps: 8,", r"one of the two"),
        ("offers.yaml", "margin_bps: 8, expected_amount_cny: 30000", "margin_bps: 8",
         r"margin_bps needs expected_amount_cny"),
        ("offers.yaml", "maximum_age: 70", "maximum_age: 17", r"minimum_age is above"),
        ("offers.yaml", "names: {zh: 三个月整存整取, en", "names: {en", r"names\.zh' is missing"),
    ],
)  # fmt: skip
def test_wrong_entry_is_named(folder, file, old, new, message):
    change(folder / file, old, new)
    with pytest.raises(ConfigError, match=message) as error:
        load_catalog(folder)
    assert str(folder / file) in str(error.value)
