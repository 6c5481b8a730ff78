"""Deciding a stored decision again: the same bytes, or the first difference by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from features.errors import OnePointError
from serving.contract import Versions
from serving.decide.answering import answer_bytes
from serving.decide.pipeline import decide, with_contributions
from serving.decide.record import Decision, DecisionRecord, RankedAction
from serving.decide.rulebook import Rulebook
from serving.stores.decisions import StoredDecision

FILES = {
    "catalog": "channels.yaml, offers.yaml, scorecard.yaml or reasons.yaml of the catalog",
    "policy": "the policy",
}
"""What each version of a record is made of."""


@dataclass(frozen=True)
class Replay:
    """One stored decision, decided again.

    ``difference`` is None where record and answer came out the same, byte for byte; else it names
    the first place where they do not, with what stands there and what came out now.
    ``other_versions`` names what was of another version then: numbers that differ are not
    comparable, or (where nothing differs) not touched by the change.
    """

    decision_id: str
    difference: str | None
    other_versions: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether record and answer are the same, byte for byte."""
        return self.difference is None

    @property
    def cause(self) -> str:
        """Why it came out as it did, as far as the versions tell."""
        if self.equal:
            return "other versions, which did not touch it" if self.other_versions else ""
        if self.other_versions:
            return "the numbers of now are of another rulebook"
        return "catalog and policy are those of then: the program, or the record, is another"


def replay(stored: StoredDecision, rules: Rulebook) -> Replay:
    """Decide a stored decision again from its own inputs, and compare every byte.

    The models' explanations are taken from the record: they belong to what was known then, and so
    no release is needed.
    """
    try:
        record = read_record(stored)
    except OnePointError as error:
        return Replay(stored.decision_id, str(error), ())
    others = other_versions(record.inputs.versions, rules)
    then, now = record.inputs.scores.handles, rules.catalog.handle_ids
    if then != now or record.inputs.channel not in rules.catalog.channel_by_id:
        return Replay(stored.decision_id, "record: the catalog of now has other channels", others)
    again = decided_again(record, rules)
    difference = first_difference("record", stored.record, again.to_bytes()) or first_difference(
        "answer", stored.answer, answer_bytes(again, rules)
    )
    return Replay(stored.decision_id, difference, others)


def read_record(stored: StoredDecision) -> DecisionRecord:
    """Read a stored record; `OnePointError` where it is of another form, without its content."""
    try:
        return DecisionRecord.model_validate_json(stored.record)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "(top)"
        raise OnePointError(
            f"record: of a form this OnePoint does not read ('{place}': {first['msg']})"
        ) from None


def decided_again(record: DecisionRecord, rules: Rulebook) -> DecisionRecord:
    """Decide from the inputs of a record, with the explanations the record holds."""
    found = {
        place.action.offer: place.contributions
        for place in record.decision.ranked
        if place.contributions is not None
    }
    decision = with_contributions(decide(record.inputs, rules), found, record.inputs, rules)
    return DecisionRecord(inputs=record.inputs, decision=decision)


def other_versions(then: Versions, rules: Rulebook) -> tuple[str, ...]:
    """Name what changed since a decision: the version then, the version now, and the files."""
    now = {"catalog": rules.catalog_version, "policy": rules.policy_version}
    return tuple(
        f"{kind} {getattr(then, kind)} then, {version} now: {FILES[kind]} changed"
        for kind, version in now.items()
        if getattr(then, kind) != version
    )


def first_difference(what: str, then: bytes, now: bytes) -> str | None:
    """Name the first place where two JSON texts differ; None where they are the same bytes.

    >>> first_difference("record", b'{"a": [1, 2]}', b'{"a": [1, 3]}')
    'record.a[1]: 2 then, 3 now'
    >>> first_difference("answer", b'{"a":1}', b'{"a": 1}')
    'answer: byte 5 differs, the content does not'
    """
    if then == now:
        return None
    place = next(_differences(what, json.loads(then), json.loads(now)), None)
    if place is not None:
        return place
    pairs = zip(then, now, strict=False)
    byte = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(then), len(now)))
    return f"{what}: byte {byte} differs, the content does not"


@dataclass(frozen=True)
class Alternative:
    """What another rulebook would have decided of the same inputs, beside what was decided.

    ``excluded`` holds, by (offer, handle), the reason then and the reason under the other
    rulebook; None = not excluded. Only what differs is listed.
    """

    then: Decision
    other: Decision
    excluded: dict[tuple[str, str], tuple[str | None, str | None]]

    def places(self) -> list[tuple[RankedAction | None, RankedAction | None]]:
        """Pair the places by rank; None where there are fewer."""
        both = self.then.ranked, self.other.ranked
        most = max(map(len, both))
        padded = [(*ranked, *(None for _ in range(most - len(ranked)))) for ranked in both]
        return list(zip(*padded, strict=True))


def what_would_have_been(record: DecisionRecord, rules: Rulebook) -> Alternative:
    """Decide a record's inputs under another rulebook; nothing is stored."""
    other = decided_again(record, rules).decision
    then_out, other_out = (_excluded(one, rules) for one in (record.decision, other))
    changed = {
        key: (then_out.get(key), other_out.get(key))
        for key in (*then_out, *(key for key in other_out if key not in then_out))
        if then_out.get(key) != other_out.get(key)
    }
    return Alternative(record.decision, other, changed)


def _excluded(decision: Decision, rules: Rulebook) -> dict[tuple[str, str], str]:
    """Write exclusions out by (offer, handle); `*` is every handle."""
    return {
        (one.offer, handle): one.reason
        for one in decision.excluded
        for handle in (rules.catalog.handle_ids if one.handle == "*" else (one.handle,))
    }


def _differences(place: str, then: Any, now: Any) -> Iterator[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        for key in (*then, *(key for key in now if key not in then)):
            missing = "(absent)"
            yield from _differences(f"{place}.{key}", then.get(key, missing), now.get(key, missing))
    elif isinstance(then, list) and isinstance(now, list):
        for number, (one, other) in enumerate(zip(then, now, strict=False)):
            yield from _differences(f"{place}[{number}]", one, other)
        if len(then) != len(now):
            yield f"{place}: {len(then)} entries then, {len(now)} now"
    elif then != now or type(then) is not type(now):
        yield f"{place}: {_short(then)} then, {_short(now)} now"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"
