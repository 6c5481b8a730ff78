"""`python -m serving replay`: a stored decision again, or what another policy would have said."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table

from features.errors import OnePointError
from features.terminal import print_json, steps
from serving.config import WorkFolder
from serving.decide.record import RankedAction
from serving.decide.rulebook import Rulebook
from serving.front_desk import WIDTH
from serving.options import CatalogOption, JsonOption, WorkOption
from serving.replaying import (
    Alternative,
    Replay,
    other_versions,
    read_record,
    replay,
    what_would_have_been,
)
from serving.startup import load_rules
from serving.stores.decisions import StoredDecision
from serving.stores.log import DecisionLog

TOLD = 10
"""Differing decisions named one by one."""


def replay_command(
    work: WorkOption,
    decision_id: Annotated[
        Optional[str],  # noqa: UP045 (typer reads it)
        typer.Argument(help="decision to decide again; without it, give --all"),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="all stored decisions, newest first")
    ] = False,
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--limit", min=1, help="with --all: the newest so many"),
    ] = None,
    policy: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--policy", help="another policy.yaml: shows what would have been"),
    ] = None,
    catalog: CatalogOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide stored decisions again, storing nothing: the same bytes (0), or what differs (1)."""
    if every == (decision_id is not None):
        raise OnePointError("give one decision id, or --all")
    if every and policy is not None:
        raise OnePointError("--policy shows one decision; give its id instead of --all")
    if limit is not None and not every:
        raise OnePointError("--limit goes with --all")
    rules = load_rules(WorkFolder(work), catalog, policy)
    log = DecisionLog.open(work)
    try:
        if decision_id is None:
            alike = _replay_all(log, limit, rules, as_json)
        elif policy is None:
            alike = _replay_one(log.find(decision_id), rules, as_json)
        else:
            alike = _compare(log.find(decision_id), rules, as_json)
    finally:
        log.close()
    if not alike:
        raise typer.Exit(1)


def _replay_one(stored: StoredDecision, rules: Rulebook, as_json: bool) -> bool:
    found, size = replay(stored, rules), len(stored.record) + len(stored.answer)
    if as_json:
        print_json(_as_json(found) | {"bytes": size})
        return found.equal
    if found.equal:
        print(f"{found.decision_id}: equal; record and answer, {size:,} bytes")
    else:
        print(f"{found.decision_id}: different; {found.difference}")
    for line in (*found.other_versions, found.cause):
        if line:
            print(f"  {line}")
    return found.equal


def _replay_all(log: DecisionLog, limit: int | None, rules: Rulebook, as_json: bool) -> bool:
    stored = log.count()
    total = stored if limit is None else min(limit, stored)
    if total == 0:
        raise OnePointError(f"{log.name} holds no decisions; nothing to replay")
    different: list[Replay] = []
    size = touched = 0
    with steps("replaying", total) as advance:
        for one in log.newest_first(total):
            advance("")
            found = replay(one, rules)
            size += len(one.record) + len(one.answer)
            touched += bool(found.other_versions)
            if not found.equal:
                different.append(found)
    told = different[:TOLD]
    if as_json:
        counts = {"replayed": total, "equal": total - len(different), "different": len(different)}
        print_json(counts | {"of_other_versions": touched, "bytes": size,
                             "differences": [_as_json(one) for one in told]})  # fmt: skip
        return not different
    print(
        f"{total:,} stored decisions replayed: {total - len(different):,} equal, "
        f"{len(different):,} different, {size:,} bytes"
    )
    if touched:
        print(f"  {touched:,} were made under another catalog or policy than today's")
    for found in told:
        print(f"  {found.decision_id}: {found.difference}")
        print("\n".join(f"    {line}" for line in (*found.other_versions, found.cause)))
    if len(different) > len(told):
        print(f"  … and {len(different) - len(told):,} more")
    return not different


def _as_json(found: Replay) -> dict[str, Any]:
    return {
        "decision_id": found.decision_id,
        "equal": found.equal,
        "difference": found.difference,
        "other_versions": list(found.other_versions),
        "cause": found.cause,
    }


def _compare(stored: StoredDecision, rules: Rulebook, as_json: bool) -> bool:
    """Show a decision beside what the other policy would have made of it; that is no failure."""
    record = read_record(stored)
    found, versions = what_would_have_been(record, rules), record.inputs.versions
    if as_json:
        print_json(
            {
                "decision_id": stored.decision_id,
                "policy_then": versions.policy,
                "policy_other": rules.policy_version,
                "places": [[_place_json(one) for one in pair] for pair in found.places()],
                "exclusions": [
                    {"offer": offer, "handle": handle, "then": then, "other": other}
                    for (offer, handle), (then, other) in found.excluded.items()
                ],
            }
        )
        return True
    console = Console(width=max(WIDTH, Console().width))
    others = other_versions(versions, rules)
    print(f"{stored.decision_id}: decided under {versions.policy}, now under this policy")
    for line in others or ("it is the policy (and the catalog) of then: nothing can differ",):
        print(f"  {line}")
    console.print(_places(found, versions.policy, rules.policy_version))
    console.print(_exclusions(found) if found.excluded else "nothing else is excluded")
    for line in _too_unlikely(found, rules.policy.minimum_p_start):
        print(f"  {line}")
    return True


def _too_unlikely(found: Alternative, least: float) -> list[str]:
    """Name the offers that lost their place because they are hardly started, not by a gate."""
    pairs = found.places()
    kept = {after.action.offer for _, after in pairs if after is not None}
    lost = [before.action for before, _ in pairs if before and before.action.offer not in kept]
    return [
        f"{one.offer}: p_start {one.p_start:.1%} is below this policy's minimum_p_start {least:.1%}"
        for one in lost
        if one.kind == "product" and one.p_start < least
    ]


def _place_json(place: RankedAction | None) -> dict[str, Any] | None:
    if place is None:
        return None
    kept = "offer", "stage", "handle", "route", "value_cny", "experience", "score", "propensity"
    return {name: getattr(place.action, name) for name in kept}


def _places(found: Alternative, then: str, other: str) -> Table:
    table = Table("#", f"then ({then})", "score", f"with this policy ({other})", "score", "")
    for rank, (before, after) in enumerate(found.places(), start=1):
        same = _shown(before)[0] == _shown(after)[0]
        change = "" if same else "←"
        table.add_row(str(rank), *_shown(before), *_shown(after), change)
    return table


def _shown(place: RankedAction | None) -> tuple[str, str]:
    if place is None:
        return "–", ""
    action = place.action
    return f"{action.offer} at {action.handle}", f"{action.score:,.2f}"


def _exclusions(found: Alternative) -> Table:
    table = Table("offer", "handles", "then", "with this policy", title="exclusions that differ")
    for (offer, then, other), handles in _by_change(found.excluded.items()).items():
        table.add_row(offer, ", ".join(handles), then or "passes", other or "passes")
    return table


def _by_change(
    changes: Iterable[tuple[tuple[str, str], tuple[str | None, str | None]]],
) -> dict[tuple[str, str | None, str | None], list[str]]:
    """Put the handles that changed alike together."""
    grouped: dict[tuple[str, str | None, str | None], list[str]] = {}
    for (offer, handle), (then, other) in changes:
        grouped.setdefault((offer, then, other), []).append(handle)
    return grouped
