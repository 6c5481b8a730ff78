"""What was served goes back as the bank's own tables, and holds to their contract."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from features.source_config import load_source_config
from features.sources import open_source
from features.spine import customers_at
from features.states import customer_states
from serving.__main__ import app
from serving.contract import Outcome, RecommendRequest
from serving.decide.record import DecisionRecord
from serving.errors import ExportError
from serving.events import LiveEvents
from serving.exporting import export
from serving.stores.log import DecisionLog

NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
AT = NOW - timedelta(hours=1)
LATER = NOW + timedelta(hours=2)


def ask(worker, customer="C_PLAIN", **fields) -> dict:
    request = RecommendRequest(customer_id=customer, **{"channel": "teller", "as_of": AT, **fields})
    return json.loads(asyncio.run(worker.recommend(request, "staff")))


def tell_outcome(worker, answer, kind, rank=1, minutes=1):
    outcome = Outcome(
        outcome_id=f"{answer['decision_id']}-{rank}-{kind}", decision_id=answer["decision_id"],
        rank=rank, kind=kind, occurred_at=AT + timedelta(minutes=minutes),
    )  # fmt: skip
    asyncio.run(worker.intake.outcomes([outcome], ["*"]))


def tell(worker, field, number, **event):
    given = {"event_id": f"E{number}", "customer_id": "C_PLAIN", "event_time": AT, **event}
    asyncio.run(worker.intake.events(LiveEvents(**{field: [given]}), ["*"]))


def written(worker, folder, **chosen):
    log = DecisionLog(worker.store.engine)
    found = export(log, folder, "bank", "Asia/Shanghai", LATER, **chosen)
    return found, {one.stem: pq.read_table(one).to_pylist() for one in folder.glob("*.parquet")}


@pytest.fixture
def served(workers):
    """One came and began, one was called and refused, one was only thought of."""
    worker, _ = workers
    came = ask(worker)
    tell_outcome(worker, came, "shown")
    tell_outcome(worker, came, "started", minutes=2)
    tell_outcome(worker, came, "refused", rank=2, minutes=3)
    called = ask(worker, "C_MATURES", channel="wecom", direction="outbound")
    assert called["recommendations"], "somebody can be called"
    tell_outcome(worker, called, "shown", minutes=5)
    ask(worker, "C_FUTURE", channel="wecom", direction="outbound")
    tell(worker, "interactions", 1, channel="mobile_bank", kind="login", duration_s=9.5)
    tell(worker, "interactions", 2, channel="mobile_bank", kind="login", duration_s=9.5)
    tell(worker, "contacts", 3, channel="push", offer="fund_r2", responded=True)
    tell(worker, "holdings", 4, product="deposit_1y", amount_cny=10_000.5)
    tell(worker, "holdings", 5, product="deposit_1y", closed_at=AT + timedelta(minutes=1))
    tell(worker, "consents", 6, channel="sms", allowed=False)
    return worker, came, called


def test_what_was_served_is_what_the_tables_say(served, tmp_path):
    worker, came, called = served
    found, tables = written(worker, tmp_path / "out")
    contacts = {one["contact_id"]: one for one in tables["contacts"]}
    first, second, outbound = (
        contacts[f"{came['decision_id']}/1"], contacts[f"{came['decision_id']}/2"],
        contacts[f"{called['decision_id']}/1"],
    )  # fmt: skip
    assert len(contacts) == 4, "these three and the live one; who was only thought of has none"
    place = came["recommendations"][0]
    assert (first["offer"], first["purpose"]) == (place["offer"], "inbound")
    assert first["propensity"] == place["propensity"]
    assert first["policy"] == came["versions"]["policy"]
    at = AT.replace(tzinfo=None)
    assert first["delivered_at"] == at + timedelta(minutes=1)
    assert first["responded_at"] == at + timedelta(minutes=2)
    assert (second["propensity"], second["refused_at"]) == (None, at + timedelta(minutes=3))
    assert (outbound["event_time"], outbound["channel"]) == (at + timedelta(minutes=5), "wecom")
    assert outbound["purpose"] in ("marketing", "service")
    assert contacts["E3"]["responded_at"] == at
    begun = next(one for one in tables["interactions"] if one["kind"] in ("apply", "step"))
    assert (begun["product"], begun["channel"]) == (place["offer"], place["handle"])
    assert (begun["stage"], begun["session_id"]) == (place["stage"], came["decision_id"])
    assert len(tables["interactions"]) == 2, "two logins of one moment are one row of the contract"
    (holding,) = tables["holdings"]
    assert holding["closed_at"] == at + timedelta(minutes=1)
    assert [one["allowed"] for one in tables["consents"]] == [False]
    assert found.rows == {name: len(rows) for name, rows in tables.items()}


def test_the_tables_hold_to_the_contract_and_say_what_the_service_knew(served, tmp_path):
    worker, *_ = served
    written(worker, tmp_path / "out")
    source = open_source(tmp_path / "out" / "source.yaml", None, LATER)
    states = {one.customer_id: one for one in customer_states(customers_at(source, [LATER]))}
    for customer in ("C_PLAIN", "C_MATURES"):
        answer = ask(worker, customer, as_of=None)
        stored = worker.store.by_id(answer["decision_id"])
        knew = DecisionRecord.model_validate_json(stored.record).inputs.state
        assert states[customer].contacts == knew.contacts
        assert states[customer].refusals == knew.refusals
        assert states[customer].broken_application == knew.broken_application
        assert states[customer].consents.items() <= knew.consents.items()


def test_with_the_banks_source_both_are_read_and_the_banks_row_stands(served, tmp_path):
    worker, *_ = served
    written(worker, tmp_path / "first")
    own = load_source_config(tmp_path / "first" / "source.yaml")
    ask(worker, "C_CAUTIOUS")
    _, tables = written(worker, tmp_path / "out", bank=own)
    source = open_source(tmp_path / "out" / "source.yaml", None, LATER)
    assert source.rows["contacts"] == len(tables["contacts"]) == 5
    assert source.rows["interactions"] == len(tables["interactions"])


def test_only_what_was_asked_for_and_nothing_over_something(served, tmp_path):
    worker, *_ = served
    _, tables = written(worker, tmp_path / "some", until=AT + timedelta(minutes=2))
    assert {one["kind"] for one in tables["interactions"]} == {"login"}
    with pytest.raises(ExportError, match="nothing was served in that time"):
        written(worker, tmp_path / "none", since=LATER)
    assert not list(tmp_path.glob("none*"))
    with pytest.raises(ExportError, match="holds something already"):
        written(worker, tmp_path / "some")
    own = load_source_config(tmp_path / "some" / "source.yaml")
    other = own.model_copy(update={"catalog": "santander"})
    with pytest.raises(ExportError, match="of catalog 'santander'"):
        written(worker, tmp_path / "x", bank=other)


def test_the_command_says_what_it_wrote(recommender, tmp_path):
    answer = ask(recommender)
    tell_outcome(recommender, {"decision_id": "D-elsewhere"}, "shown")
    work = recommender.customers.path.parent
    asked = ["export", "--work", str(work), "--out", str(tmp_path / "out"), "--json"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["rows"]["contacts"] == 1
    assert told["orphaned_outcomes"] == 1
    (row,) = pq.read_table(tmp_path / "out" / "contacts.parquet").to_pylist()
    assert row["contact_id"] == f"{answer['decision_id']}/1"
