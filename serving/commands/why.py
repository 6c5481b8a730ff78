"""`python -m serving why`: why a customer was not offered something, down to rule and cell."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table

from features.errors import OnePointError
from features.terminal import print_json
from serving.base import Base, open_base
from serving.config import WorkFolder
from serving.decide.record import DecisionRecord
from serving.decide.rulebook import Rulebook
from serving.decide.rules import GATES
from serving.front_desk import GATE_NAMES, WIDTH
from serving.options import (
    AsOfOption,
    CatalogOption,
    ClockOption,
    DoorOption,
    JsonOption,
    PlacesOption,
    WorkOption,
    start_at,
)
from serving.replaying import read_record
from serving.startup import load_rules
from serving.stores.log import DecisionLog
from serving.why import Candidate, CellShown, Survivor, Veto, WhyNot, why_not

TERMS = {
    "p_start": "开始概率 probability to start",
    "completion": "办成率 completion there",
    "preference": "渠道偏好 preference for the channel",
    "gross_value_cny": "毛价值 gross value, CNY",
    "cost_cny": "− 触达成本 cost, CNY",
    "staff_cost_cny": "− 人力成本 staff cost, CNY",
    "value_cny": "= 价值 value, CNY",
    "experience": "体验 experience (≤ 0)",
    "score": "得分 score = value + dial × experience, CNY",
}


def why_command(
    work: WorkOption,
    customer: Annotated[str, typer.Argument(help="customer id")],
    unwanted: Annotated[
        str, typer.Option("--not", metavar="OFFER[/CHANNEL]", help="what was not offered (where)")
    ],
    channel: DoorOption = None,
    as_of: AsOfOption = None,
    limit: PlacesOption = 3,
    decision_id: Annotated[
        Optional[str],  # noqa: UP045 (typer reads it)
        typer.Option("--decision", help="a stored decision on the customer, instead of a new one"),
    ] = None,
    catalog: CatalogOption = None,
    clock: ClockOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which gate, rule and scorecard cell removed an offer, or what stood before it."""
    offer, _, handle = unwanted.partition("/")
    if decision_id is not None:
        if channel or as_of:
            raise OnePointError("--decision brings its own channel and moment; leave them out")
        rules = load_rules(WorkFolder(work), catalog)
        record = _stored(work, decision_id, customer)
    else:
        start, moment = start_at(work, catalog, clock, as_of)
        with open_base(start, moment, channel, limit) as base:
            rules, record = base.rules, _decided_now(base, customer)
    found = why_not(record, rules, offer, handle or None)
    if as_json:
        print_json(_as_json(found))
    else:
        _show(found, rules, Console(width=max(WIDTH, Console().width)))


def _decided_now(base: Base, customer: str) -> DecisionRecord:
    known = base.customer_ids()
    if customer not in set(known):
        near = difflib.get_close_matches(customer, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "take an id that was published"
        raise OnePointError(f"customer '{customer}' is not in the online store; {hint}")
    [inputs] = base.inputs([customer])
    [decision] = base.decide([inputs])
    return DecisionRecord(inputs=inputs, decision=decision)


def _stored(work: Any, decision_id: str, customer: str) -> DecisionRecord:
    log = DecisionLog.open(work)
    try:
        stored = log.find(decision_id)
    finally:
        log.close()
    if stored.customer_id != customer:
        raise OnePointError(f"decision '{decision_id}' is not about customer '{customer}'")
    return read_record(stored)


def _as_json(found: WhyNot) -> dict[str, Any]:
    inputs = found.record.inputs
    return {
        "customer_id": inputs.state.customer_id,
        "decision_id": inputs.decision_id,
        "channel": inputs.channel,
        "as_of": inputs.as_of,
        "offer": found.offer.id,
        "candidates": [
            {
                "handle": one.handle,
                "removed_by": _veto_json(one.vetoes[0]) if one.vetoes else None,
                "also": [_veto_json(veto) for veto in one.vetoes[1:]],
                "cell": asdict(one.cell) if one.cell else None,
                "survived": _survivor_json(one.survivor) if one.survivor else None,
            }
            for one in found.candidates
        ],
    }


def _veto_json(veto: Veto) -> dict[str, Any]:
    return {
        **{name: getattr(veto, name) for name in ("gate", "code", "says", "where")},
        "text": asdict(veto.text) if veto.text else None,
    }


def _survivor_json(one: Survivor) -> dict[str, Any]:
    beside = one.beside
    return {
        **{name: getattr(one, name) for name in ("standing", "rank", "of", "handle_rank")},
        "action": asdict(one.action),
        "beside": {"rank": beside.rank, **asdict(beside.action)} if beside else None,
    }


def _show(found: WhyNot, rules: Rulebook, console: Console) -> None:
    inputs = found.record.inputs
    door = rules.catalog.channel_by_id[inputs.channel].names
    moment = inputs.as_of.astimezone(rules.zone)
    names = found.offer.names
    console.print(
        f"客户 customer [bold]{inputs.state.customer_id}[/bold] · {door.zh} {door.en} · "
        f"{moment:%Y-%m-%d %H:%M} · 为何不推 why not [bold]{names.zh} {names.en}[/bold]",
        highlight=False,
    )
    if len(found.candidates) > 1:
        console.print(_overview(found, rules))
    for one in _telling(found):
        _show_one(one, rules, console)


def _overview(found: WhyNot, rules: Rulebook) -> Table:
    table = Table("办理渠道 handled at", "关口 gate", "规则 rule", "还有 also")
    for one in found.candidates:
        also = ", ".join(veto.code for veto in one.vetoes[1:])
        if one.vetoes:
            first = one.vetoes[0]
            table.add_row(_channel(one.handle, rules), GATE_NAMES[first.gate], first.code, also)
        else:
            told = _told(one.survivor, rules) if one.survivor else ""
            table.add_row(_channel(one.handle, rules), "通过 passes all", told, "")
    return table


def _telling(found: WhyNot) -> list[Candidate]:
    """Pick the candidates worth a page: one for each reason, of the survivors the best."""
    kept: dict[str, Candidate] = {}
    for one in found.candidates:
        kind = one.vetoes[0].code if one.vetoes else "survived"
        best = kept.get(kind)
        if best is None or (
            one.survivor and best.survivor and one.survivor.handle_rank < best.survivor.handle_rank
        ):
            kept[kind] = one
    return list(kept.values())


def _show_one(one: Candidate, rules: Rulebook, console: Console) -> None:
    table = Table(title=_channel(one.handle, rules), title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for place, veto in enumerate(one.vetoes):
        gate = f"{GATE_NAMES[veto.gate]} ({GATES.index(veto.gate) + 1}/{len(GATES)})"
        table.add_row("关口 gate" if place == 0 else "还有 also", gate)
        table.add_row("规则 rule", f"{veto.code} · {veto.where}")
        if veto.text:
            table.add_row("", f"{veto.text.zh}\n{veto.text.en}")
        table.add_row("", veto.says.splitlines()[0] if veto.says else "")
    if one.cell:
        table.add_row("打分卡 scorecard", _cell(one.cell))
    elif one.vetoes:
        table.add_row("打分卡 scorecard", "没有这一格 no rule names this cell")
    if one.survivor:
        table.add_row("结果 result", _told(one.survivor, rules))
    console.print(table)
    if one.survivor and one.survivor.beside:
        console.print(_terms(one.survivor, rules))


def _cell(cell: CellShown) -> str:
    allowed = "允许 allowed" if cell.allowed else "禁止 forbidden"
    ends = "已过期 expired" if cell.expired else "有效至 valid until"
    return (
        f"第 {cell.rule} 条 rule {cell.rule} · {cell.stage} · {cell.segment} · {allowed}: "
        f"{cell.basis}\n"
        f"{ends} {cell.expires} · {cell.owner or '–'} · {cell.evidence or '–'}"
    )


def _told(one: Survivor, rules: Rulebook) -> str:
    action, beside = one.action, one.beside
    if one.standing == "shown":
        return f"在答复中 shown, place {one.rank}"
    if one.standing == "unlikely":
        least = rules.policy.minimum_p_start
        return (
            f"开始概率 {action.p_start:.2%} 低于 {least:.2%},不占位 · too unlikely to be started: "
            f"{action.p_start:.2%}, the policy's minimum_p_start is {least:.2%}"
        )
    if beside is None:
        return "答复为空 the answer has no places"
    other = beside.action
    if one.standing == "other_handle":
        gap = other.score - action.score
        if gap < 0:
            return (
                f"试探抽中 {other.handle} · {other.handle} was drawn to be tried; this is better "
                f"by {-gap:,.2f} CNY"
            )
        return (
            f"同一产品在 {other.handle} 得分高 {gap:,.2f} 元 · better by {gap:,.2f} CNY at "
            f"{other.handle}; this is the offer's handle no. {one.handle_rank}"
        )
    if one.standing == "precedence":
        return (
            f"{other.offer} 优先 · {other.offer} comes first by rule, whatever the score; "
            f"this offer's place is {one.rank} of {one.of}"
        )
    return (
        f"排第 {one.rank}/{one.of},末位得分高 {other.score - action.score:,.2f} 元 · place "
        f"{one.rank} of {one.of}; {other.offer} at {other.handle}, place {beside.rank}, "
        f"scores {other.score - action.score:,.2f} CNY more"
    )


def _terms(one: Survivor, rules: Rulebook) -> Table:
    """The terms of the score, beside those of what was shown instead."""
    beside = one.beside
    assert beside is not None  # noqa: S101 (the caller asks only where there is one)
    pair = (one.action, beside.action)
    table = Table("", *(f"{action.offer}\n{action.handle}" for action in pair), "差 difference")
    for term, name in TERMS.items():
        values = [float(getattr(action, term)) for action in pair]
        digits = 4 if term in ("p_start", "completion", "preference", "experience") else 2
        table.add_row(
            name,
            *(f"{value:,.{digits}f}" for value in values),
            f"{values[0] - values[1]:+,.{digits}f}",
        )
    table.caption = f"旋钮 dial experience_cny = {rules.policy.experience_cny:g} CNY a point"
    return table


def _channel(handle: str, rules: Rulebook) -> str:
    names = rules.catalog.channel_by_id[handle].names
    return f"{names.zh} {handle}"
