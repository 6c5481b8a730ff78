"""An answer as a person at a counter wants to read it: what, where, who and why, in zh and en."""

from __future__ import annotations

from datetime import UTC, timedelta

from rich.console import Console
from rich.table import Table
from rich.text import Text as Styled

from features.state import CustomerState
from serving.contract import DecisionOwner, Recommendation, RecommendResponse
from serving.decide.rulebook import Rulebook

STAGES = {
    "application": ("申请", "application"),
    "interview": ("面谈", "interview"),
    "approval": ("审批", "approval"),
    "signing": ("签约", "signing"),
    "servicing": ("办理", "servicing"),
    "inquiry": ("查询", "inquiry"),
    "rating": ("评价", "rating"),
}
ROUTES = {
    "stay": ("本渠道承接", "here"),
    "transfer": ("转介", "transfer to"),
    "return": ("回流", "back to"),
}
GATE_NAMES = {
    "eligible": "准入 eligible",
    "suitable": "适当 suitable",
    "deployable": "可部署 deployable",
    "permitted": "许可 permitted",
    "affordable": "有产能 affordable",
}
WIDTH = 108
"""Columns of the answer: fits half a wide screen and the page of a log."""


def show_answer(
    answer: RecommendResponse,
    rules: Rulebook,
    channel: str,
    console: Console,
    state: CustomerState | None = None,
) -> None:
    """Print an answer; ``channel`` is the door the customer stands at, ``state`` adds his facts."""
    zone = rules.policy.zone
    door = rules.catalog.channel_by_id[channel].names
    moment = answer.as_of.astimezone(zone)
    console.print(
        f"客户 customer [bold]{answer.customer_id}[/bold] · {door.zh} {door.en} · "
        f"{moment:%Y-%m-%d %H:%M} ({moment:%A})",
        highlight=False,
    )
    if state is not None:
        for line in facts(state, rules):
            console.print(f"  {line}", highlight=False, markup=False)
    if answer.degraded:
        console.print("  [yellow]无模型,按规则与热度作答 · degraded: rules and popularity[/yellow]")
    if not answer.personalised:
        console.print("  [yellow]客户已关闭个性化 · the customer declined personalisation[/yellow]")
    console.print(_places(answer))
    for line in _why_first(answer):
        console.print(f"  {line}", highlight=False, markup=False, overflow="fold")
    for line in _small_print(answer):
        console.print(f"  {line}", highlight=False, markup=False, style="dim", soft_wrap=True)


def facts(state: CustomerState, rules: Rulebook) -> list[str]:
    """Say, a line each, what the counter should know: what matures soon, and the manager."""
    zone = rules.policy.zone
    lines = []
    soon = state.as_of + timedelta(days=rules.policy.triggers.maturity_days)
    maturing = sorted(
        (held.maturity_at, held.offer, held.amount_cny or 0.0)
        for held in state.holdings
        if held.maturity_at is not None and state.as_of <= held.maturity_at <= soon
    )
    for moment, offer, money in maturing[:2]:
        names = rules.catalog.offer_by_id[offer].names
        amount = f" ¥{money:,.0f}" if money else ""
        day = moment.astimezone(zone)
        lines.append(
            f"{names.zh}{amount} {day:%Y-%m-%d} 到期 · {names.en} matures on {day:%A, %Y-%m-%d}"
        )
    if state.owner is not None:
        role = rules.catalog.channel_by_id[state.owner.role].names
        name = state.owner.name or state.owner.staff_id
        lines.append(f"管户 {role.zh} {name} · looked after by {role.en} {name}")
    return lines


def _places(answer: RecommendResponse) -> Table:
    table = Table(show_lines=True, width=WIDTH)
    table.add_column("#", justify="right")
    # Chinese has no blanks to break at: fold, or the end of a sentence is lost.
    table.add_column("推荐什么\nwhat", ratio=5, overflow="fold")
    table.add_column("在哪办\nwhere", ratio=5, overflow="fold")
    table.add_column("谁来办\nwho", ratio=3, overflow="fold")
    steps = any(place.next_steps for place in answer.recommendations)
    why = "为什么 → 下一步\nwhy → next" if steps else "为什么\nwhy"
    table.add_column(why, ratio=9, overflow="fold")
    figures = any(place.p_start is not None for place in answer.recommendations)
    if figures:
        table.add_column("测算\nfigures", no_wrap=True)
    for place in answer.recommendations:
        figure = [_figures(place)] if figures else []
        table.add_row(
            str(place.rank), _what(place), _where(place), _who(place.owner), _why(place), *figure
        )
    if not answer.recommendations:
        table.add_row("–", "暂无可推荐\nnothing to recommend", "", "", "")
    return table


def _what(place: Recommendation) -> Styled:
    stage_zh, stage_en = STAGES[place.stage]
    return Styled.assemble(
        (f"{place.offer_name.zh}\n", "bold"),
        f"{place.offer_name.en}\n",
        (f"{stage_zh} · {stage_en}", "dim"),
    )


def _where(place: Recommendation) -> str:
    route_zh, route_en = ROUTES[place.route]
    name = place.handle_name
    return f"{route_zh}:{name.zh}\n{route_en}: {name.en}"


def _who(owner: DecisionOwner) -> str:
    lines = [owner.name, owner.staff_id, owner.org_id]
    return "\n".join(line for line in lines if line) or "–"


def _why(place: Recommendation) -> str:
    """Write the reasons out and, for staff, what to do now."""
    said = [("·", reason) for reason in place.reasons]
    said += [("→", step) for step in place.next_steps or ()]
    return "\n".join(f"{mark}{one.text.zh}\n {one.text.en}" for mark, one in said)


def _why_first(answer: RecommendResponse) -> list[str]:
    """Say, for staff, why the first place stands before the second; nothing for a customer."""
    if answer.why_first is None:
        return []
    lines = ["第一位为何在前 why the first stands first"]
    for reason in answer.why_first.reasons:
        lines += [f"·{reason.text.zh}", f" {reason.text.en}"]
    return lines


def _figures(place: Recommendation) -> str:
    # p_start and not its source: the answer's field `propensity` is another thing
    kind = "倾向 p_start" if place.p_start_is == "propensity" else "热度 p_start"
    lines = [
        f"{kind} {place.p_start:.1%}" if place.p_start is not None else "",
        f"偏好 preference {place.preference:.0%}" if place.preference is not None else "",
        f"办成 completion {place.completion:.0%}" if place.completion is not None else "",
        f"价值 value ¥{place.value_cny:,.2f}" if place.value_cny is not None else "",
        f"得分 score {place.score:,.2f}" if place.score is not None else "",
    ]
    return "\n".join(line for line in lines if line)


def _small_print(answer: RecommendResponse) -> list[str]:
    lines = []
    counts = answer.considered
    if counts is not None:
        lines.append(
            f"候选 candidates {counts.candidates} → "
            + " → ".join(f"{name} {getattr(counts, gate)}" for gate, name in GATE_NAMES.items())
        )
    versions = answer.versions
    at = answer.features_as_of
    features = "–" if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
    lines.append(
        f"决策 decision {answer.decision_id} · 模型 release {versions.release or '–'} · "
        f"特征 features {features} · 目录 catalog {versions.catalog} · "
        f"策略 policy {versions.policy}"
    )
    return lines
