"""What is told to one worker binds every worker's next answer, on SQLite and on PostgreSQL."""

import asyncio
import json

import pytest
from sqlalchemy import create_engine, make_url

from serving.contract import Outcome, RecommendRequest
from serving.decide.pipeline import decide, with_contributions
from serving.decide.record import DecisionRecord
from serving.errors import RequestRefused
from serving.events import LiveEvents
from serving.keys import Key

READER = Key(name="app", sha256="0" * 64, audience="staff", channels=("*",), verbs=("read",))
NOW = "2026-07-01T10:00:00+08:00"


def ask(worker, customer="C_PLAIN", channel="teller", **fields) -> dict:
    request = RecommendRequest(customer_id=customer, channel=channel, **fields)
    return json.loads(asyncio.run(worker.recommend(request, "staff")))


def record_of(worker, answer) -> DecisionRecord:
    return DecisionRecord.model_validate_json(worker.store.by_id(answer["decision_id"]).record)


def tell(worker, field: str, number: int = 1, /, customer="C_PLAIN", when=NOW, **event):
    event = {"event_id": f"E{number}", "customer_id": customer, "event_time": when, **event}
    return asyncio.run(worker.intake.events(LiveEvents(**{field: [event]}), ["*"]))


def tell_outcome(worker, answer, kind: str, rank=1):
    outcome = Outcome(
        outcome_id=f"O-{kind}",
        decision_id=answer["decision_id"],
        rank=rank,
        kind=kind,
        occurred_at=NOW,
    )
    return asyncio.run(worker.intake.outcomes([outcome], ["*"]))


def reasons_of(answer, offer) -> set[str]:
    return {one["reason"] for one in answer["excluded"] if one["offer"] == offer}


def test_an_interaction_is_in_the_next_vector_and_replays_to_the_same_bytes(workers):
    here, there = workers
    before = record_of(there, ask(there)).inputs.features
    names = here.customers.current().feature_names
    tell(here, "interactions", channel="mobile_bank", kind="login")
    record = record_of(there, ask(there))
    changed = [
        (name, new - old)
        for name, old, new in zip(names, before.values, record.inputs.features.values, strict=True)
        if old != new
    ]
    assert changed == [("login_count_30d", 1.0)]
    again = decide(record.inputs, there.rules)
    found = {one.action.offer: one.contributions for one in record.decision.ranked}
    found = {offer: one for offer, one in found.items() if one}
    again = with_contributions(again, found, record.inputs, there.rules)
    assert again.model_dump_json() == record.decision.model_dump_json()


def test_a_contact_a_holding_and_a_begun_application_are_known_to_the_next_answer(workers):
    here, there = workers
    tell(here, "contacts", 1, channel="human_call", offer="fund_r2")
    tell(here, "holdings", 2, product="payroll_account")
    tell(here, "interactions", 3, channel="mobile_bank", kind="apply", product="fund_r2")
    answer = ask(there)
    assert reasons_of(answer, "payroll_account") == {"already_holds"}
    state = record_of(there, answer).inputs.state
    assert [one.offer for one in state.contacts] == ["fund_r2"]
    assert state.broken_application.offer == "fund_r2"


def test_a_refused_outcome_starts_its_cool_down_now(workers):
    here, there = workers
    answer = ask(here)
    place = next(one for one in answer["recommendations"] if one["kind"] == "product")
    assert not reasons_of(answer, place["offer"]) & {"refusal_cooldown", "loan_cooldown"}
    tell_outcome(here, answer, "refused", place["rank"])
    after = ask(there)
    assert reasons_of(after, place["offer"]) & {"refusal_cooldown", "loan_cooldown"}
    assert place["offer"] not in {one["offer"] for one in after["recommendations"]}


def test_an_opt_out_binds_from_the_next_request(workers):
    here, there = workers
    assert ask(here)["personalised"] is True
    tell(here, "consents", 1, channel="personalisation", allowed=False)
    answer = ask(there)
    assert answer["personalised"] is False
    assert record_of(there, answer).inputs.features is None
    tell_outcome(here, ask(here, "C_MATURES", channel="wecom"), "opted_out")
    consents = record_of(there, ask(there, "C_MATURES")).inputs.state.consents
    assert consents == {"wecom": False}


def test_only_what_happened_until_the_moment_asked_about_counts(workers):
    here, _ = workers
    tell(here, "contacts", channel="sms", offer="fund_r2")
    earlier = ask(here, as_of="2026-07-01T09:59:00+08:00")
    assert record_of(here, earlier).inputs.state.contacts == ()
    assert len(record_of(here, ask(here)).inputs.state.contacts) == 1


@pytest.mark.parametrize(
    ("kind", "event", "says"),
    [
        (
            "interactions",
            {"channel": "telller"},
            r"interactions\.0\.channel.*did you mean 'teller'",
        ),
        ("holdings", {"product": "fund_r9"}, r"holdings\.0\.product: unknown"),
        ("contacts", {"channel": "sms", "offer": "x"}, r"contacts\.0\.offer: unknown"),
        ("interactions", {"channel": "teller", "when": "2025-06-01T00:00:00Z"}, "a year ago"),
        ("interactions", {"channel": "teller", "when": "2126-06-01T00:00:00Z"}, "in the future"),
    ],
)
def test_a_wrong_event_is_told_and_nothing_is_stored(recommender, kind, event, says):
    with pytest.raises(RequestRefused, match=says) as refused:
        tell(recommender, kind, **event)
    assert refused.value.status == 422
    assert ask(recommender)["degraded"] is False


def test_more_than_a_hundred_events_are_refused(recommender):
    one = {"customer_id": "C_PLAIN", "event_time": NOW, "channel": "teller"}
    many = [{**one, "event_id": f"E{number}"} for number in range(60)]
    events = LiveEvents(interactions=many, consents=[{**one, "allowed": True} for one in many])
    for wrong in (events, LiveEvents()):
        with pytest.raises(RequestRefused, match="send 1 to 100"):
            asyncio.run(recommender.intake.events(wrong, ["*"]))


@pytest.mark.needs("postgres")
@pytest.mark.parametrize("address", ["postgres"], indirect=True)
def test_a_slow_decision_store_is_not_waited_for_and_every_veto_holds(workers, address, caplog):
    worker, _ = workers
    whole = ask(worker, "C_MATURES")
    worker._reading._log.budget_s = 0.2
    elsewhere = create_engine(make_url(address))
    with elsewhere.begin() as other:
        other.exec_driver_sql("lock table live_facts in access exclusive mode")
        answers = [ask(worker, "C_MATURES") for _ in range(2)]
        page = asyncio.run(worker.customer("C_MATURES", READER))
    elsewhere.dispose()
    for answer in answers:
        assert answer["degraded_because"] == ["decision store: not read"]
        assert record_of(worker, answer).inputs.features is None
        kept = [{one["offer"] for one in each["excluded"]} for each in (whole, answer)]
        assert kept[0] <= kept[1]
    assert page.degraded_because == ("decision store: not read",)
    assert "decision store: no answer within 200 ms" in caplog.text
    assert "left alone, it was too slow a moment ago" in caplog.text


@pytest.mark.needs("postgres")
@pytest.mark.parametrize("address", ["postgres"], indirect=True)
def test_connections_that_were_cut_are_made_again(workers, address):
    worker, _ = workers
    ask(worker)
    elsewhere = create_engine(make_url(address))
    with worker.store.engine.connect() as one, worker.store.engine.connect() as another:
        kept = worker.store._open._connection
        pids = [
            each.exec_driver_sql("select pg_backend_pid()").scalar()
            for each in (one, another, kept)
        ]
    with elsewhere.begin() as other:
        for pid in pids:
            other.exec_driver_sql(f"select pg_terminate_backend({pid})")
    elsewhere.dispose()
    answer = ask(worker)
    assert answer["degraded"] is False
    assert worker.store.by_id(answer["decision_id"])


def test_32_equal_calls_at_once_are_one_decision_and_the_same_bytes(workers):
    request = RecommendRequest(customer_id="C_PLAIN", channel="teller", request_id="R1")

    async def together():
        calls = (workers[n % 2].recommend(request, "staff") for n in range(32))
        return await asyncio.gather(*calls)

    answers = asyncio.run(together())
    assert len(set(answers)) == 1
    with workers[0].store.reading() as connection:
        assert connection.exec_driver_sql("select count(*) from decisions").scalar() == 1
    for change in ({"limit": 2}, {"channel": "video"}, {"direction": "outbound"}):
        with pytest.raises(RequestRefused, match="request_id") as refused:
            asyncio.run(workers[1].recommend(request.model_copy(update=change), "staff"))
        assert refused.value.status == 409


def test_an_answer_is_repeated_though_its_moment_has_become_too_old(workers):
    fields = {"request_id": "R1", "as_of": "2026-07-01T09:59:00+08:00"}
    first = ask(workers[0], **fields)
    workers[1].clock.pinned = None
    assert ask(workers[1], **fields) == first
