"""A customer from all sides: what each caller may see, and what is missing told."""

import asyncio
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serving.config import WorkFolder, load_service_config
from serving.contract import Outcome, RecommendRequest
from serving.errors import RequestRefused
from serving.events import LiveEvents
from serving.keys import Key
from serving.recommender import Recommender
from serving.startup import choose_start, open_recommender

NOW = "2026-07-01T10:00:00+08:00"
CLOCK = datetime(2026, 7, 1, 2, tzinfo=UTC)


def key(audience="staff", *channels) -> Key:
    return Key(
        name="app",
        sha256="0" * 64,
        audience=audience,
        channels=channels or ("*",),
        verbs=("read",),
    )


STAFF = key()


@pytest.fixture(scope="module")
def opened(bank, tmp_path_factory):
    """All of the service but HTTP; what one test stores the next may see."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("ONEPOINT_POSTGRES_URL", raising=False)
        own = bank.copy(tmp_path_factory.mktemp("pages") / "own")
        work = WorkFolder(own.folder)
        opened = open_recommender(
            choose_start(own.folder, None, CLOCK, False), load_service_config(work)
        )
    yield opened
    opened.close()


def page(recommender: Recommender, customer="C_MATURES", caller=STAFF) -> dict:
    view = asyncio.run(recommender.customer(customer, caller))
    return json.loads(view.model_dump_json(exclude_none=True))


def ask(recommender, customer="C_MATURES", channel="teller", audience="staff") -> dict:
    request = RecommendRequest(customer_id=customer, channel=channel)
    return json.loads(asyncio.run(recommender.recommend(request, audience)))


def tags_of(view) -> dict[str, list[str]]:
    return {one["group"]: [tag["code"] for tag in one["tags"]] for one in view["tags"]}


def test_staff_see_tags_by_group_in_words(opened):
    view = page(opened)
    assert (view["degraded"], view["personalised"]) == (False, True)
    assert tags_of(view) == {
        "value": ["tier_aum", "churn_risk"],
        "event": ["maturity_30d"],
        "gate": ["dnc", "kyc_gap"],
        "org": ["managed_by"],
    }
    value, event, _, org = view["tags"]
    assert value["name"] == {"zh": "价值", "en": "value"}
    assert value["tags"][0] == {
        "code": "tier_aum",
        "name": {"zh": "资产层级", "en": "asset tier"},
        "value": {"zh": "20–50万", "en": "200,000–500,000 CNY"},
        "parts": [],
        "expires_at": "2026-07-07T16:00:00Z",
        "may_be_said": True,
        "owner": "wealth",
    }
    (matures,) = event["tags"]
    assert [one["zh"] for one in matures["parts"]] == [
        "产品 一年期整存整取",
        "金额 100,000 元",
        "日期 2026-07-03",
    ]
    assert matures["expires_at"] == "2026-07-03T01:00:00Z"
    assert org["tags"][0]["value"]["zh"] == "李敏 (S00001, 理财经理)"


def test_staff_see_products_manager_outlet_and_channels(opened):
    view = page(opened)
    assert [(one["offer"], one["amount_cny"]) for one in view["products"]] == [
        ("deposit_1y", 100_000.0)
    ]
    assert view["manager"] == {"org_id": "O0001", "staff_id": "S00001", "name": "李敏"}
    assert view["outlet"] == {"org_id": "O0001", "name": "城西支行"}
    channels = view["channels"]
    assert channels["preference_is"] == "model"
    answer = ask(opened)
    scores = json.loads(opened.store.by_id(answer["decision_id"]).record)["inputs"]["scores"]
    row = scores["offers"].index(channels["offer"])
    open_to_him = [
        start
        for offer, start in zip(scores["offers"], scores["p_start"], strict=True)
        if opened.rules.catalog.offer_by_id[offer].kind == "product"
    ]
    assert scores["p_start"][row] == max(open_to_him)
    by_handle = dict(zip(scores["handles"], scores["preference"][row], strict=True))
    told = {one["channel"]: one.get("preference") for one in channels["channels"]}
    assert {name: told[name] for name in by_handle} == by_handle
    assert set(told) == set(opened.rules.catalog.channel_ids)
    preferred = [one["preference"] for one in channels["channels"] if "preference" in one]
    assert preferred == sorted(preferred, reverse=True)
    (wecom,) = (one for one in channels["channels"] if one["channel"] == "wecom")
    assert wecom["reachable"] is True


def test_a_customers_own_screen_shows_what_he_may_be_told_and_no_figure_of_the_banks(opened):
    view = page(opened, caller=key("customer", "mobile_bank"))
    assert tags_of(view) == {
        "value": ["tier_aum"],
        "event": ["maturity_30d"],
        "gate": ["kyc_gap"],
        "org": ["managed_by"],
    }
    assert {"channels", "degraded_because"}.isdisjoint(view)
    assert {"owner", "may_be_said"}.isdisjoint(view["tags"][0]["tags"][0])
    assert view["products"]


def test_earlier_decisions_and_what_became_of_them_are_those_of_the_callers_doors(opened):
    doors = {"teller": "staff", "mobile_bank": "customer"}
    made = {
        door: ask(opened, "C_PLAIN", door, audience)["decision_id"]
        for door, audience in doors.items()
    }
    outcome = Outcome(
        outcome_id="O-page", decision_id=made["teller"], rank=1, kind="refused", occurred_at=NOW
    )
    asyncio.run(opened.intake.outcomes([outcome], ["*"]))

    def seen(caller) -> dict[str, dict]:
        found = page(opened, "C_PLAIN", caller)["decisions"]
        return {one["decision_id"]: one for one in found}

    everything = seen(key("reviewer"))
    assert list(everything) == [made["mobile_bank"], made["teller"]]
    first = everything[made["teller"]]["places"][0]
    assert first["outcomes"] == [{"kind": "refused", "occurred_at": "2026-07-01T02:00:00Z"}]
    assert first["offer_name"]["zh"]
    assert list(seen(key("staff", "teller"))) == [made["teller"]]
    assert list(seen(key("customer"))) == [made["mobile_bank"]]
    assert seen(key("staff", "video")) == {}


def test_who_declined_personalisation_is_shown_what_binds_and_what_he_has(opened):
    view = page(opened, "C_OPTED_OUT")
    assert (view["personalised"], view["degraded"]) == (False, False)
    assert tags_of(view) == {"gate": ["no_personalisation"]}
    channels = view["channels"]
    assert channels["preference_is"] == "popularity"
    release = opened.scorer.release
    for one in channels["channels"]:
        if "preference" in one:
            assert one["preference"] == pytest.approx(release.channel_share(one["channel"]), 1e-5)


def test_what_happened_since_binds_the_next_page(opened):
    event = {"customer_id": "C_FUTURE", "event_time": NOW}
    told = LiveEvents(
        holdings=[{**event, "event_id": "E-held", "product": "payroll_account"}],
        consents=[
            {**event, "event_id": "E-no", "channel": "personalisation", "allowed": False},
            {**event, "event_id": "E-sms", "channel": "sms", "allowed": False},
        ],
    )
    assert page(opened, "C_FUTURE")["personalised"] is True
    asyncio.run(opened.intake.events(told, ["*"]))
    view = page(opened, "C_FUTURE")
    assert "payroll_account" in {one["offer"] for one in view["products"]}
    assert view["personalised"] is False
    (sms,) = (one for one in view["channels"]["channels"] if one["channel"] == "sms")
    assert sms["allowed"] is False


def test_nobody_is_404_and_untagged_is_told(opened):
    with pytest.raises(RequestRefused, match="C_NOBODY") as refused:
        page(opened, "C_NOBODY")
    assert refused.value.status == 404
    view = page(opened, "C_CAUTIOUS")
    assert "tags" not in view
    assert view["degraded_because"] == ["tags: none published"]
    assert page(opened, "C_PLAIN")["tags"] == []
    bare = page(opened, "C_NO_FEATURES")
    assert "features: none for this customer" in bare["degraded_because"]
    assert bare["channels"]["preference_is"] == "popularity"


def test_damaged_tags_cost_the_tags_only(recommender):
    change(recommender, "update tags set held = '{' where customer_id = 'C_MATURES'")
    view = page(recommender)
    assert view["degraded_because"] == ["tags: unreadable"]
    assert "tags" not in view
    assert view["products"]
    change(recommender, "drop table tags")
    assert page(recommender)["degraded_because"] == ["tags: unreadable"]
    assert ask(recommender)["degraded"] is False


def change(recommender, statement: str) -> None:
    with sqlite3.connect(recommender.customers.path) as store:
        store.execute(statement)
    store.close()


def test_without_the_online_store_decisions_are_left(recommender):
    made = ask(recommender)["decision_id"]
    Path(recommender.customers.path).unlink()
    view = page(recommender)
    assert view["degraded_because"] == ["online store: unreadable"]
    assert [one["decision_id"] for one in view["decisions"]] == [made]
    assert view["personalised"] is False
    assert {"products", "tags", "manager", "channels", "features_as_of"}.isdisjoint(view)
    shown = page(recommender, caller=key("customer", "teller"))
    assert (shown["degraded"], "degraded_because" in shown) == (True, False)


def test_without_the_decision_store_nothing_personal_is_shown(recommender, monkeypatch):
    """An opt-out may be among the facts that were not read."""
    recommender.store.engine.dispose()
    path = Path(recommender.customers.path).with_name("decisions.sqlite")
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    view = page(recommender)
    assert view["degraded_because"] == ["decision store: not read"]
    assert view["personalised"] is False
    assert tags_of(view) == {"gate": ["dnc", "kyc_gap"]}
    assert view["channels"]["preference_is"] == "popularity"
    assert "decisions" not in view
    assert view["products"]


def test_models_that_fail_cost_the_preference_only(opened, monkeypatch):
    def fail(*_):
        raise ValueError("broken")

    monkeypatch.setattr(opened.scorer.release, "p_start", fail)
    view = page(opened)
    assert view["degraded_because"] == ["models: failed"]
    assert view["channels"]["preference_is"] == "popularity"
    assert view["personalised"] is True


def test_over_http_a_look_is_logged_by_pseudonym_and_counted_by_its_route(service):
    with service.client("reviewer") as reviewer, service.client("staff") as staff:
        answer = reviewer.get("/v1/customers/C_CAUTIOUS")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["customer_id"] == "C_CAUTIOUS"
        missing = staff.get("/v1/customers/C_NOBODY")
        assert missing.status_code == 404
        assert missing.json()["errors"][0]["place"] == "customer_id"
        assert staff.get("/v1/customers/a b").status_code == 422
        metrics = staff.get("/metrics").text
    route = "/v1/customers/{customer_id}"
    assert f'onepoint_answers_total{{route="{route}",status="200"}}' in metrics
    assert 'onepoint_degraded_total{reason="tags"}' in metrics
    lines = map(json.loads, service.log.read_text().splitlines()[1:])
    told = [one for one in lines if one.get("route") == route and one["status"] == 200]
    assert any(one["degraded"] == ["tags"] and one["key"] == "trial-reviewer" for one in told)
    assert all(one["customers"][0].startswith("p-") for one in told)
    assert "C_CAUTIOUS" not in service.log.read_text()


def test_a_tag_lasts_until_its_end(opened):
    opened.clock.pinned = CLOCK + timedelta(days=2)
    try:
        view = page(opened)
    finally:
        opened.clock.pinned = CLOCK
    assert tags_of(view)["gate"] == ["kyc_gap"]
    assert "event" not in tags_of(view)
