"""`python -m features tags`: a customer's tags as a manager reads them, and who has a tag."""

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.catalog import Names, load_catalog
from features.sources import CONFIGS
from features.tags.book import TagSettings
from features.tags.one_customer import open_customer
from features.tags.registry import all_tags
from features.tags.show import holders_of_tag, tags_of_customer
from features.tags.words import PART_NAMES, SIGNS, UNITS, WORDS, Vocabulary

CLOCK = "2026-07-01T10:00+08:00"
NOW = datetime(2026, 7, 1, 2, tzinfo=UTC)


@pytest.fixture
def asked(bank) -> list[object]:
    return ["tags", "--source", bank.yaml, "--data", bank.folder, "--clock", CLOCK]


@pytest.fixture
def at_now() -> list[object]:
    return ["--as-of", CLOCK]


def cells(out: str, name: str) -> list[str]:
    """The cells of the one line of a page that begins with a tag's name."""
    (line,) = [one for one in out.splitlines() if one.lstrip("► ").startswith(name)]
    return [cell for cell in line.split("  ") if cell.strip()]


def test_a_customers_page(features, asked, at_now):
    code, out, err = features(*asked, "--customer", "managed", "--lang", "zh", *at_now)
    assert code == 0
    assert "Traceback" not in err
    lines = out.splitlines()
    assert lines[0].strip() == "managed · 2026-07-01 10:00"
    # what to act on comes first, marked; the product matures at 11:00 on 21 July in Shanghai
    assert lines[2].strip() == "待办"
    assert [cell.strip() for cell in cells(out, "30日内到期")] == [
        "► 30日内到期", "产品 固定收益类净值型理财，金额 800,000 元，日期 2026-07-21",
        "2026-07-21 11:00", "财富管理", "可告知",
    ]  # fmt: skip
    # 900,000 + 500,000 + 800,000 stood on 29 of the 30 days; on 30 June 120,000 + 500,000 +
    # 800,000 + 301,234.56 + 50,000 = 1,771,234.56
    assert "2,185,707.82 元" in cells(out, "月日均AUM")[1]
    assert "100–600万" in cells(out, "资产层级")[1]
    assert "李伟 (S2, 客户经理)，日期 2026-06-08" in cells(out, "管户客户经理")[1]
    assert cells(out, "资产层级")[-1].strip() == "可告知"
    assert cells(out, "负债层级")[-1].strip() == "勿告知"
    groups = ["待办", "价值", "人生阶段", "客户关系", "活跃", "产品", "归属"]
    places = [[line.strip() for line in lines].index(group) for group in groups]
    assert places == sorted(places)


def test_a_page_in_both_languages(features, asked, at_now):
    _, both, _ = features(*asked, "--customer", "old_branch", *at_now)
    for said in ("30日内到期", "matures within 30 days", "1-year time deposit", "价值 value"):
        assert said in both


def test_reasons_to_act_are_told_by_their_end(features, asked, at_now):
    _, out, _ = features(*asked, "--customer", "young_app", "--lang", "en", "--json", *at_now)
    title, *rows, last = out.splitlines()
    assert title.startswith("young_app")
    assert "balanced fund, stage signing, error E42, channel mobile bank" in out
    told = [row for row in rows if "home branch" not in row]  # a name of the bank's own
    assert not any("一" <= letter <= "鿿" for row in told for letter in row)
    told = json.loads(last)["tags"]
    acting = [one for one in told if one["acts"]]
    assert len(acting) >= 3
    assert told[: len(acting)] == acting
    assert [one["expires_at"] for one in acting] == sorted(one["expires_at"] for one in acting)
    assert {"application_break", "preapproved_live"} <= {one["code"] for one in acting}
    # a fact that ends by itself is no reason to act
    assert "risk_level" in {one["code"] for one in told[len(acting) :]}


def test_a_customer_as_json(features, asked, at_now):
    code, out, _ = features(*asked, "--customer", "old_branch", "--json", *at_now)
    told = json.loads(out.splitlines()[-1])
    assert code == 0
    assert told["customer_id"] == "old_branch"
    assert told["as_of"] == NOW.isoformat()
    by_code = {one["code"]: one for one in told["tags"]}
    assert by_code["tier_aum"] == {
        "code": "tier_aum", "group": "value", "zh": "资产层级", "en": "asset tier", "value": 3.0,
        "words": {"zh": "20–50万", "en": "200,000–500,000 CNY"}, "parts": {},
        "expires_at": "2026-07-08T02:00:00+00:00", "acts": False, "say_to_customer": True,
        "owner": "wealth",
    }  # fmt: skip
    maturity = by_code["maturity_30d"]
    assert maturity["expires_at"] == "2026-07-03T01:00:00+00:00"
    assert maturity["parts"]["amount_cny"] == 200_000
    assert maturity["parts"]["product"] == "deposit_1y"
    assert maturity["acts"] is True
    assert "senior_65" in by_code
    assert "payroll" not in by_code


def test_who_has_a_tag(features, asked, at_now):
    code, out, _ = features(*asked, "--tag", "maturity_30d", "--lang", "en", "--json", *at_now)
    assert code == 0
    first, second, count, last = out.splitlines()
    assert first.split("  ") == [
        "old_branch", "2026-07-03 09:00",
        "product 1-year time deposit, amount 200,000 CNY, date 2026-07-03",
    ]  # fmt: skip
    assert second.startswith("managed     2026-07-21 11:00  product fixed-income wealth product")
    assert count == "maturity_30d (matures within 30 days): 2 customers at 2026-07-01 10:00"
    told = json.loads(last)
    assert (told["tag"], told["as_of"], told["count"]) == ("maturity_30d", NOW.isoformat(), 2)
    assert [one["customer_id"] for one in told["customers"]] == ["old_branch", "managed"]
    assert told["customers"][0]["parts"]["amount_cny"] == 200_000
    assert told["customers"][0]["expires_at"] == "2026-07-03T01:00:00+00:00"


def test_one_customer_reads_as_in_the_whole_bank(example_source, example_yaml, example_folder):
    """His rows alone tell the same, those under a phone number or openid of his included."""
    for customer in ("young_app", "managed"):
        alone = open_customer(example_yaml, example_folder, NOW, customer)
        assert alone.rows["customers"] < example_source.rows["customers"]
        told = tags_of_customer(alone, NOW, customer).json()
        assert told == tags_of_customer(example_source, NOW, customer).json()
    rows = open_customer(example_yaml, example_folder, NOW, "young_app").rows
    assert rows["identities"] == 2


def test_holders_are_the_customers_who_have_it(example_source):
    holders = holders_of_tag(example_source, NOW, "idle_cash")
    assert [name for name, _ in holders.customers] == ["expired_assessment", "managed"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--customer", "nobody"], ["no customer 'nobody'", "ids look like brand_new"]),
        (["--customer", "brand_new", "--as-of", "2026-06-10T08:00+08:00"],
         ["customer 'brand_new' is not known at 2026-06-10T08:00:00+08:00", "another --as-of"]),
        (["--tag", "maturity_30"], ["no tag 'maturity_30'", "did you mean 'maturity_30d'?"]),
        (["--tag", "household_aum"], ["家庭AUM", "it lacks: table households"]),
        (["--tag", "tier_aum", "--customer", "managed"], ["one of the two"]),
        ([], ["give --customer ID or --tag CODE"]),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_said(features, asked, words, said):
    code, out, err = features(*asked, *words, "--json")
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    for one in said:
        assert one in err


def test_a_bank_that_lacks_a_table_loses_tags_by_name(features, bank, asked, at_now):
    bank.without("orgs")
    code, out, _ = features(*asked, "--customer", "managed", "--lang", "en", "--json", *at_now)
    assert code == 0
    (line,) = [one for one in out.splitlines() if one.startswith("not told")]
    assert "for want of tables, columns or a release's scores" in line
    assert "home_branch" in line
    assert {"home_branch", "county_rural"} <= set(json.loads(out.splitlines()[-1])["lost"])
    code, _, err = features(*asked, "--tag", "home_branch", *at_now)
    assert code == 2
    assert "needs what this bank does not bring: orgs, orgs.business_scope, orgs.kind" in err


def test_scores_of_a_release_tell_the_model_tags(features, asked, at_now, tmp_path):
    scored = {"event_time": datetime(2026, 6, 30), "product": "fund_r2", "release": "r1"}
    likes = [("mobile_bank", 0.7), ("video", 0.3)]
    rows = [
        {**scored, "customer_id": who, "head": head, "stage": stage, "channel": channel,
         "probability": probability}
        for who in ("managed", "old_branch")
        for head, stage, channel, probability in (
            ("start", None, None, 0.2),
            *(("preference", "application", channel, share) for channel, share in likes),
        )
    ]  # fmt: skip
    file = tmp_path / "scores.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    with_scores = ["--scores", file, "--lang", "en", "--json", *at_now]
    code, out, _ = features(*asked, "--customer", "managed", *with_scores)
    assert code == 0
    assert "mobile bank, product bond fund, mobile bank 70 %, video bank 30 %" in out
    assert json.loads(out.splitlines()[-1])["lost"] == []
    code, out, _ = features(*asked, "--tag", "channel_pref", *with_scores)
    told = json.loads(out.splitlines()[-1])["customers"]
    assert [(one["customer_id"], one["value"]) for one in told] == [
        ("managed", "mobile_bank"), ("old_branch", "mobile_bank"),
    ]  # fmt: skip
    code, _, err = features(*asked, "--tag", "channel_pref", *at_now)
    assert code == 2
    assert "does not bring: scores" in err
    assert "--scores" in err


def test_a_catalog_without_tags(features, bank, asked):
    bank.replace("source", "catalog: bank", "catalog: insurance")
    for table in ("interactions", "holdings", "contacts", "staff", "ratings", "consents",
                  "reachability", "credit_offers", "demand", "customers"):  # fmt: skip
        rows = bank.file(table).read_text("utf-8").splitlines()[:1]
        bank.file(table).write_text("\n".join(rows) + "\n", "utf-8")
    code, _, err = features(*asked, "--tag", "tier_aum", "--as-of", CLOCK)
    assert code == 2
    assert "the catalog 'insurance' has no tags" in err


def test_every_part_and_unit_has_words_in_both_languages():
    catalog = load_catalog(CONFIGS / "catalog" / "bank")
    declared = all_tags(catalog)
    ids = {*WORDS, *catalog.channel_ids, *catalog.offer_ids}
    parts = {part for tag in declared.tags for part in tag.parts}
    lacking = sorted(parts - ids - set(PART_NAMES) - set(SIGNS))
    assert lacking == [], "name them in PART_NAMES of features/tags/words.py"
    units = {declared.book[tag.code].unit for tag in declared.tags} - {"", "share"}
    assert sorted(units - set(UNITS)) == [], "name them in UNITS of features/tags/words.py"


def settings(shape: str, unit: str = "", words: tuple[Names, ...] = ()) -> TagSettings:
    names = Names(zh="标签", en="tag")
    return TagSettings(
        group="value", kind="fact", names=names, definition=names, shape=shape, unit=unit,
        words=words, owner="wealth", validity_days=1, say_to_customer=True, core=True,
    )  # fmt: skip


READINGS = [
    (
        settings("number", "CNY"), "gap_cny", 1234.5,
        "月日均还差 1,234.5 元", "the month's average lacks 1,234.5 CNY",
    ),
    (settings("number", "share"), "video", 0.834, "视频银行 83.4 %", "video bank 83.4 %"),
    (settings("number", "share"), "video", 1.0, "视频银行 100 %", "video bank 100 %"),
    (settings("flag"), "video", 0.0, "视频银行 否", "video bank no"),
    (settings("text"), "video", 0.25, "视频银行 25 %", "video bank 25 %"),
    (settings("flag"), "video", 50000.0, "视频银行 50,000 元", "video bank 50,000 CNY"),
    (settings("number", "of 4"), "bill", 1.0, "缴费", "bills"),
    (settings("text"), "business_scope", "deposit;fund;x9", "业务范围 存款、基金、x9",
     "handles deposits, funds, x9"),
    # 13:59 UTC and 14.1 hours more is the 2nd in UTC, and 12:05 of that day in Shanghai
    (settings("flag"), "date_days", 14.1 / 24, "日期 2026-07-02", "date 2026-07-02"),
    # 13:59 UTC is 21:59 in Shanghai: two hours and a minute on, the next day has begun there
    (settings("flag"), "date_days", 2.02 / 24, "日期 2026-07-02", "date 2026-07-02"),
    (settings("flag"), "date_days", 2.0 / 24, "日期 2026-07-01", "date 2026-07-01"),
    (settings("number", "waits"), "longest_minutes", 25.0, "最长 25 分钟", "longest 25 minutes"),
]  # fmt: skip


@pytest.mark.parametrize(("tag", "part", "value", "zh", "en"), READINGS)
def test_how_a_part_reads(tag, part, value, zh, en):
    words = {**WORDS, "video": Names(zh="视频银行", en="video bank")}
    as_of = datetime(2026, 7, 1, 13, 59, tzinfo=UTC)
    vocabulary = Vocabulary(words, as_of, ZoneInfo("Asia/Shanghai"))
    assert vocabulary.part(part, value, tag) == Names(zh=zh, en=en)
