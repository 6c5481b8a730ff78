"""Stored decisions come out again byte for byte, or the first difference is named; none is lost."""

import asyncio
import hashlib
import itertools
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.errors import OnePointError
from serving.__main__ import app
from serving.config import WorkFolder
from serving.contract import RecommendRequest
from serving.decide.record import DecisionRecord
from serving.replaying import replay, what_would_have_been
from serving.startup import load_rules
from serving.stores.log import DecisionLog

FULL = os.environ.get("ONEPOINT_FULL") == "1"
DECISIONS = 10_000 if FULL else 60
CUSTOMERS = ("C_MATURES", "C_PLAIN", "C_NO_FEATURES", "C_OPTED_OUT", "C_CAUTIOUS", "C_FUTURE")
INTENTS = (None, None, {"offer": "fund_r2"}, {"offer": "consumer_loan", "stage": "signing"})


def requests(number: int, channels: tuple[str, ...]):
    """All sorts of requests: customers, doors, audiences, intents, lengths of the answer."""
    audiences = ("customer", "staff", "reviewer")
    varied = itertools.product(CUSTOMERS, channels, audiences, INTENTS)
    # 7 has no divisor in common with the product, so a few cover every value of each.
    for n, (customer, channel, audience, intent) in enumerate(
        itertools.islice(itertools.cycle(varied), 0, 7 * number, 7)
    ):
        fields = {"customer_id": customer, "channel": channel, "limit": 1 + n % 5}
        yield RecommendRequest(**fields, intent=intent), audience


UNREAD = {"decision store: not read", "online store: too slow"}
"""What a crowd must not lead to, or the decisions would be made of less than is known."""


def store_decisions(recommender, number: int) -> None:
    async def ask_all():
        waiting = requests(number, recommender.rules.catalog.channel_ids)
        while batch := list(itertools.islice(waiting, 100)):
            given = await asyncio.gather(*(recommender.recommend(*one) for one in batch))
            lacking = [json.loads(one).get("degraded_because", ()) for one in given]
            assert UNREAD.isdisjoint(itertools.chain.from_iterable(lacking))

    asyncio.run(ask_all())


@pytest.fixture
def work(recommender) -> Path:
    return recommender.customers.path.parent


@pytest.fixture
def stored(recommender, work):
    store_decisions(recommender, 1)
    log = DecisionLog.open(work)
    yield next(log.newest_first())
    log.close()


def other_policy(recommender, folder: Path, **changes) -> Path:
    path = folder / "other.yaml"
    changed = recommender.rules.policy.model_copy(update=changes)
    path.write_text(changed.model_dump_json(), "utf-8")
    return path


def run(*words) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(word) for word in ("replay", *words)])
    if isinstance(done.exception, OnePointError):
        raise done.exception
    return done.exit_code, done.stdout


def everything_in(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.timeout(3600 if FULL else 120)
def test_stored_decisions_replay_to_equal_bytes_and_nothing_is_touched(recommender, work, capsys):
    store_decisions(recommender, DECISIONS)
    # Degraded too: the online store is gone.
    recommender.customers.path.rename(work / "gone.sqlite")
    recommender.customers.close()
    store_decisions(recommender, 6)
    recommender.close()
    before = everything_in(work)
    code, output = run("--all", "--work", work, "--json")
    told = json.loads(output.splitlines()[-1])
    assert (code, told["replayed"], told["equal"]) == (0, DECISIONS + 6, DECISIONS + 6)
    assert told["differences"] == []
    assert everything_in(work) == before
    log = DecisionLog.open(work)
    records = [DecisionRecord.model_validate_json(one.record) for one in log.newest_first(60)]
    log.close()
    assert any(place.contributions for one in records for place in one.decision.ranked)
    assert any(one.inputs.degraded for one in records)
    with capsys.disabled():
        print(f"\n{told['replayed']:,} stored decisions replayed: {told['equal']:,} equal, "
              f"{told['bytes']:,} bytes")  # fmt: skip


def test_the_first_difference_is_named_in_record_and_in_answer(stored, recommender):
    record = json.loads(stored.record)
    score = record["decision"]["ranked"][0]["action"]["score"]
    record["decision"]["ranked"][0]["action"]["score"] = score + 1
    forged = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    found = replay(replace(stored, record=forged), recommender.rules)
    assert found.difference == (
        f"record.decision.ranked[0].action.score: {score + 1} then, {score} now"
    )
    assert "the program, or the record" in found.cause
    answered = stored.answer.replace(b"C_MATURES", b"C_OTHER")
    found = replay(replace(stored, answer=answered), recommender.rules)
    assert found.difference == 'answer.customer_id: "C_OTHER" then, "C_MATURES" now'
    spaced = stored.answer.replace(b":", b": ", 1)
    assert (
        "content does not" in replay(replace(stored, answer=spaced), recommender.rules).difference
    )
    strange = replace(stored, record=b'{"inputs": {}, "decision": {}, "more": 1}')
    assert "of a form this OnePoint does not read" in replay(strange, recommender.rules).difference


def test_another_policy_is_named_with_what_it_changed(stored, recommender, work, tmp_path):
    strict = load_rules_with(work, other_policy(recommender, tmp_path, minimum_p_start=0.9))
    found = replay(stored, strict)
    assert found.difference.startswith("record.decision.ranked")
    assert found.other_versions == (
        f"policy {recommender.rules.policy_version} then, {strict.policy_version} now: "
        "the policy changed",
    )
    assert "another rulebook" in found.cause
    elsewhere = replay(stored, load_rules(WorkFolder(work), "insurance"))
    assert elsewhere.difference == "record: the catalog of now has other channels"
    assert len(elsewhere.other_versions) == 2
    adult = load_rules_with(work, other_policy(recommender, tmp_path, adult_age=17))
    untouched = replay(stored, adult)
    assert untouched.equal
    assert untouched.other_versions


def load_rules_with(work: Path, policy: Path):
    return load_rules(WorkFolder(work), None, policy)


def test_what_would_have_been_shows_places_and_exclusions(stored, recommender, work, tmp_path):
    record = DecisionRecord.model_validate_json(stored.record)
    assert what_would_have_been(record, recommender.rules).excluded == {}
    first = record.decision.ranked[0].action
    kept = recommender.rules.policy.restrictions.model_copy(update={"kept": True})
    changed = other_policy(
        recommender, tmp_path, minimum_p_start=0.9, restrictions=kept, adult_age=80
    )
    found = what_would_have_been(record, load_rules_with(work, changed))
    assert found.excluded["fund_r2", first.handle] == (None, "minor")
    assert found.places()[0][0].action == first
    assert all(place.action.kind != "product" for place in found.other.ranked)


def test_the_command_says_it_by_exit_code_and_words(recommender, work, tmp_path):
    store_decisions(recommender, 3)
    log = DecisionLog.open(work)
    one = next(log.newest_first())
    log.close()
    size = len(one.record) + len(one.answer)
    told = f"{one.decision_id}: equal; record and answer, {size:,} bytes\n"
    assert run(one.decision_id, "--work", work) == (0, told)
    policy = other_policy(recommender, tmp_path, experience_cny=0.0)
    code, output = run(one.decision_id, "--work", work, "--policy", policy)
    assert code == 0, "another policy is a question, no failure"
    assert "the policy changed" in output
    policy = other_policy(recommender, tmp_path, minimum_p_start=1.0)
    code, output = run(one.decision_id, "--work", work, "--policy", policy)
    assert "is below this policy's minimum_p_start 100.0%" in output
    assert run("--all", "--limit", 2, "--work", work)[1].startswith("2 stored decisions replayed")
    with pytest.raises(OnePointError, match="one decision id, or --all"):
        run("--work", work)
    with pytest.raises(OnePointError, match="no decision 'D0'"):
        run("D0", "--work", work)


def test_a_decision_that_does_not_come_out_again_fails_the_command(recommender, work, monkeypatch):
    store_decisions(recommender, 2)
    monkeypatch.setattr("serving.replaying.answer_bytes", lambda *_: b"{}")
    code, output = run("--all", "--work", work)
    assert code == 1
    assert "0 equal, 2 different" in output
    assert "answer.decision_id" in output
