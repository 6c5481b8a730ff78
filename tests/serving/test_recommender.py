"""Without HTTP: degraded answers keep every veto, publications are taken up, counts are live."""

import asyncio
import json
import sqlite3
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from lightgbm.basic import LightGBMError

from features.feature_set import FeatureSet
from features.online import publish
from serving.config import Clock
from serving.contract import Outcome, RecommendRequest
from serving.decide.pipeline import decide, with_contributions
from serving.decide.record import DecisionRecord
from serving.errors import RequestRefused
from serving.scoring import Features, feature_values


def ask(recommender, customer="C_PLAIN", audience="staff", **fields) -> dict:
    request = RecommendRequest(customer_id=customer, channel="teller", **fields)
    return json.loads(asyncio.run(recommender.recommend(request, audience)))


def record_of(recommender, answer) -> DecisionRecord:
    return DecisionRecord.model_validate_json(recommender.store.by_id(answer["decision_id"]).record)


def spread(answer, handles) -> set[tuple[str, str]]:
    """Excluded (offer, handle) pairs, `*` written out."""
    return {
        (one["offer"], handle)
        for one in answer["excluded"]
        for handle in (handles if one["handle"] == "*" else [one["handle"]])
    }


def test_given_its_record_the_decision_comes_out_the_same_byte_for_byte(recommender):
    record = record_of(recommender, ask(recommender, "C_MATURES"))
    again = decide(record.inputs, recommender.rules)
    found = {
        place.action.offer: place.contributions
        for place in record.decision.ranked
        if place.contributions
    }
    again = with_contributions(again, found, record.inputs, recommender.rules)
    assert again.model_dump_json() == record.decision.model_dump_json()


def test_the_record_holds_the_vector_the_scores_were_made_from(recommender):
    record = record_of(recommender, ask(recommender))
    values = record.inputs.features
    release = recommender.scorer.release
    assert values.version == release.feature_set_version
    features = Features(release.feature_names, values.version, np.array(values.values))
    assert feature_values(features) == values
    stages = dict.fromkeys(recommender.rules.catalog.offer_ids, "application")
    scores = recommender.scorer.by_models(features, stages)
    assert scores.of("fund_r2").p_start == record.inputs.scores.of("fund_r2").p_start


def test_an_offer_is_priced_from_the_features_or_by_the_catalog(recommender, monkeypatch):
    release, catalog = recommender.scorer.release, recommender.rules.catalog
    features = Features(release.feature_names, release.feature_set_version, np.ones(6))
    stages = dict.fromkeys(catalog.offer_ids, "application")
    asked = []

    def expected(x, offers):
        asked.append((x[:, 0].tolist(), list(offers)))
        return np.array([[70_000.0 if offer == "fund_r2" else np.nan for offer in offers]])

    monkeypatch.setattr(release, "expected_by_offer", expected)
    scores = recommender.scorer.by_models(features, stages)
    assert asked == [([1.0], list(stages))]
    assert scores.of("fund_r2").amount_cny == 70_000.0
    mortgage = catalog.offer_by_id["mortgage"].expected_amount_cny
    assert scores.of("mortgage").amount_cny == mortgage > 0


def test_a_stated_amount_is_what_the_channel_is_chosen_for(recommender, monkeypatch):
    release, seen = recommender.scorer.release, []
    preference = release.preference_by_offer

    def chosen(x, offers, stages, amounts):
        seen.append(dict(zip(offers, amounts[0].tolist(), strict=True)))
        return preference(x, offers, stages, amounts)

    monkeypatch.setattr(release, "preference_by_offer", chosen)
    fund = {"offer": "fund_r2", "stage": "application"}
    ask(recommender, intent=fund)
    record = record_of(recommender, ask(recommender, intent={**fund, "amount_cny": 123_456.0}))
    expected, stated = seen
    assert stated["fund_r2"] == 123_456.0 != expected["fund_r2"]
    assert record.inputs.scores.of("fund_r2").amount_cny == 123_456.0
    del stated["fund_r2"], expected["fund_r2"]
    np.testing.assert_equal(stated, expected)


@pytest.mark.parametrize("change", [(0, 1.5), (5, np.nan)])
def test_another_value_or_name_is_another_hash(change):
    vector = np.arange(6.0)
    base = feature_values(Features(tuple("abcdef"), "1", vector))
    other = vector.copy()
    other[change[0]] = change[1]
    assert feature_values(Features(tuple("abcdef"), "1", other)).sha256 != base.sha256
    assert feature_values(Features(tuple("abcdeg"), "1", vector)).sha256 != base.sha256


def test_a_store_that_vanishes_means_rules_popularity_and_every_veto(recommender):
    whole = ask(recommender)
    recommender.customers.path.unlink()
    bare = ask(recommender)
    assert bare["degraded"] is True
    assert bare.get("features_as_of") is None
    # Nothing is known of him: what needs an assessment, a credit history or an age is not offered.
    offered = {place["offer"] for place in bare["recommendations"]}
    suitability = {one.id: one.suitability for one in recommender.rules.catalog.offers}
    assert {suitability[offer] for offer in offered} <= {"none"}
    # No product that a veto kept from the customer comes back because he cannot be read.
    products = recommender.rules.catalog.product_ids
    handles = recommender.rules.catalog.handle_ids
    assert {pair for pair in spread(whole, handles) if pair[0] in products} <= spread(bare, handles)


def test_a_broken_row_degrades_that_customer_only(recommender):
    with sqlite3.connect(recommender.customers.path) as con:
        con.execute("update customers set state='{' where customer_id='C_PLAIN'")
    con.close()
    assert ask(recommender, "C_PLAIN")["degraded"] is True
    assert ask(recommender, "C_MATURES")["degraded"] is False


def test_a_new_publication_is_taken_up_without_a_restart(recommender):
    request = RecommendRequest(customer_id="C_NEW", channel="teller")
    with pytest.raises(RequestRefused, match="C_NEW"):
        asyncio.run(recommender.recommend(request, "staff"))
    store = recommender.customers.current()
    known = store.read("C_PLAIN")
    version = FeatureSet(
        names=store.feature_names,
        groups=recommender.scorer.release.feature_set.groups,
        vocabularies={},
    )
    rows = [("C_NEW", known.vector, known.state.model_copy(update={"customer_id": "C_NEW"}))]
    publish(recommender.customers.path, version, known.as_of + timedelta(minutes=1), rows)
    answer = ask(recommender, "C_NEW")
    assert answer["degraded"] is False
    assert answer["features_as_of"] == "2026-06-30T16:01:00Z"


def test_features_of_another_version_are_not_scored(recommender):
    known = recommender.customers.current().read("C_PLAIN")
    other = FeatureSet(
        names=tuple(reversed(recommender.scorer.release.feature_names)),
        groups=recommender.scorer.release.feature_set.groups,
        vocabularies={},
    )
    publish(
        recommender.customers.path, other, known.as_of, [("C_PLAIN", known.vector, known.state)]
    )
    answer = ask(recommender)
    assert answer["degraded"] is True
    assert {place["p_start_is"] for place in answer["recommendations"]} == {"popularity"}
    assert "publish the online store" in record_of(recommender, answer).inputs.degraded[0]


def test_models_that_fail_cost_the_models_and_not_the_answer(recommender, monkeypatch):
    def fail(*_):
        raise LightGBMError("broken")

    normal = ask(recommender)
    monkeypatch.setattr(recommender.scorer.release, "p_start", fail)
    answer = ask(recommender)
    assert answer["degraded"] is True
    assert answer["excluded"] == normal["excluded"]
    assert record_of(recommender, answer).inputs.features is None


def test_both_stores_are_read_at_once(recommender, monkeypatch):
    """Each read waits for the other to have begun."""
    both = threading.Barrier(2, timeout=0.9 * recommender.config.read_budget_s)

    def together(read):
        def meet(*given):
            both.wait()
            return read(*given)

        return meet

    recommender.warm_up()
    monkeypatch.setattr(recommender.customers, "read", together(recommender.customers.read))
    monkeypatch.setattr(recommender.store, "known", together(recommender.store.known))
    assert ask(recommender)["degraded"] is False


@pytest.mark.parametrize("where", ["reading", "storing"])
def test_what_nobody_waits_for_any_more_is_neither_decided_nor_stored(
    recommender, monkeypatch, where
):
    held, begun = threading.Event(), threading.Event()
    known = recommender.store.known

    def slow(*asked):
        begun.set()
        held.wait()
        return known(*asked)

    async def leave() -> int:
        busy = None
        if where == "reading":
            monkeypatch.setattr(recommender.store, "known", slow)
        else:
            busy = asyncio.create_task(recommender.store.journal.write(lambda _: held.wait()))
            monkeypatch.setattr(recommender.store, "add", told(recommender.store.add))
        request = RecommendRequest(customer_id="C_PLAIN", channel="teller")
        left = asyncio.create_task(recommender.recommend(request, "staff"))
        assert await asyncio.to_thread(begun.wait, 10)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        held.set()
        if busy is not None:
            await busy
        await recommender.recommend(request, "staff")
        with recommender.store.reading() as connection:
            return connection.exec_driver_sql("select count(*) from decisions").scalar()

    def told(add):
        async def adding(*decision):
            begun.set()
            return await add(*decision)

        return adding

    assert asyncio.run(leave()) == 1


def test_who_declined_personalisation_is_scored_like_everybody(recommender):
    opted_out = record_of(recommender, ask(recommender, "C_OPTED_OUT")).inputs
    assert opted_out.features is None
    assert set(opted_out.scores.p_start_is) == {"popularity"}
    assert opted_out.degraded == ()


def test_started_places_use_up_the_staffs_minutes_of_the_day(recommender):
    minutes = {one.id: one.staff_minutes for one in recommender.rules.catalog.channels}
    answer = ask(recommender, limit=20)
    place = next(one for one in answer["recommendations"] if minutes[one["handle"]] > 0)
    assert record_of(recommender, answer).inputs.counters.minutes_used == {}
    outcome = Outcome(
        outcome_id="O1",
        decision_id=answer["decision_id"],
        rank=place["rank"],
        kind="started",
        occurred_at="2026-07-01T10:00:30+08:00",
    )
    assert asyncio.run(recommender.intake.outcomes([outcome], ["*"]))
    used = record_of(recommender, ask(recommender)).inputs.counters.minutes_used
    assert used == {place["handle"]: minutes[place["handle"]]}


def test_a_later_moment_may_be_asked_about_up_to_the_present(recommender):
    assert ask(recommender, as_of="2026-07-01T09:59:00+08:00")["as_of"] == "2026-07-01T01:59:00Z"


@pytest.mark.parametrize("pinned", [False, True])
def test_outcomes_before_the_decision_or_of_the_future_are_refused(recommender, pinned):
    answer = ask(recommender)
    if not pinned:
        recommender.clock.pinned = None
    now = recommender.clock.latest()
    given = {"outcome_id": "O2", "decision_id": answer["decision_id"], "rank": 1, "kind": "shown"}
    for when, says in (
        (now + timedelta(hours=1), "future"),
        (now - timedelta(days=9999), "before"),
    ):
        with pytest.raises(RequestRefused, match=says):
            asyncio.run(recommender.intake.outcomes([Outcome(**given, occurred_at=when)], ["*"]))


def test_a_present_pinned_ahead_of_the_machine_is_still_the_present():
    ahead = datetime.now(UTC) + timedelta(days=9)
    assert Clock(ahead).latest() == ahead
    assert Clock(ahead - timedelta(days=99)).latest() > ahead - timedelta(days=10)


def test_the_online_store_is_not_closed_under_a_read(recommender, monkeypatch):
    """SQLite takes the process down then; the read itself is not waited for."""
    began, may_end, order = threading.Event(), threading.Event(), []

    def read(_: str) -> None:
        began.set()
        may_end.wait()
        order.append("read")

    monkeypatch.setattr(recommender.customers, "read", read)
    monkeypatch.setattr(recommender.customers, "close", lambda: order.append("closed"))
    recommender._reading.ask_for("C_PLAIN")
    began.wait()
    recommender.close()
    told = [*order]
    may_end.set()
    recommender._reading._online._thread.shutdown(wait=True)
    assert (told, order) == ([], ["read", "closed"])
