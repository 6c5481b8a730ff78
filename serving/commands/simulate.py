"""`python -m serving simulate`: two policies over one customer base, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table

from features.age_bands import AGE_BANDS
from features.errors import OnePointError
from features.terminal import print_json, steps
from serving.base import Asked, open_policies, sample
from serving.front_desk import WIDTH
from serving.options import (
    AsOfOption,
    CatalogOption,
    ClockOption,
    DoorOption,
    JsonOption,
    PlacesOption,
    SampleOption,
    WorkOption,
    start_at,
)

if TYPE_CHECKING:
    from serving.groups import Group, Parity
    from serving.simulation import Simulation

NAMES = {
    "value_cny": "价值 value, CNY",
    "experience": "体验 experience, points",
    "score_cny": "得分 score (own dial), CNY",
    "staff_minutes": "人力 staff minutes, expected",
    "coverage": "覆盖 share offered a product",
}
SHOWN_ORGS = 5


def simulate_command(
    work: WorkOption,
    policy: Annotated[
        list[Path],
        typer.Option("--policy", help="a policy.yaml; twice, or once against the catalog's own"),
    ],
    customers: SampleOption = None,
    channel: DoorOption = None,
    as_of: AsOfOption = None,
    limit: PlacesOption = 3,
    source: Annotated[
        Optional[Path],  # noqa: UP045 (typer reads it)
        typer.Option("--source", help="source YAML: brings gender and region for fairness"),
    ] = None,
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--data", help="folder that {data} stands for"),
    ] = None,
    catalog: CatalogOption = None,
    clock: ClockOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two policies on the same customers and the same luck; nothing is stored.

    Customers are taken as they were published, on a day of which no staff time is used yet: what
    was told since is left out, so that the same words give the same numbers at any hour.
    """
    if len(policy) > 2:
        raise OnePointError(f"--policy was given {len(policy)} times; two are compared")
    if data is not None and source is None:
        raise OnePointError("--data needs the source YAML that reads it; give --source")
    # Only this command compares groups: nothing else of the room waits for fairlearn.
    from serving.groups import ATTRIBUTES, read_attributes
    from serving.simulation import simulate

    start, moment = start_at(work, catalog, clock, as_of)
    own: list[Path | None] = [None] if len(policy) == 1 else []
    with open_policies(start, [*own, *policy], moment, channel, limit) as [first, second]:
        chosen = sample(first.customer_ids(), customers)
        found = {} if source is None else read_attributes(source, data, moment, chosen)
        with steps("simulating", len(chosen)) as advance:
            simulation = simulate((first, second), chosen, found, advance)
        asked: Asked = first.asked
    names = [*("the catalog's own" for _ in own), *map(str, policy)]
    lacking = [one for one in ATTRIBUTES if one not in found]
    if as_json:
        print_json(_as_json(simulation, names, asked, lacking))
    else:
        _show(simulation, names, asked, lacking, Console(width=max(WIDTH, Console().width)))


def _as_json(
    simulation: Simulation, names: list[str], asked: Asked, lacking: list[str]
) -> dict[str, Any]:
    means = [run.array().mean(axis=0) for run in simulation.runs]
    return {
        "customers": len(simulation.customer_ids),
        "channel": asked.channel,
        "as_of": asked.as_of,
        "limit": asked.limit,
        "policies": [
            {"file": name, "version": run.rules.policy_version}
            for name, run in zip(names, simulation.runs, strict=True)
        ],
        "measures": {
            name: {
                "first": float(means[0][place]),
                "second": float(means[1][place]),
                "difference": gap,
                "interval": [low, high],
            }
            for place, (name, (gap, low, high)) in enumerate(simulation.differences().items())
        },
        "first_place_differs": simulation.moved(),
        "staff_minutes": _both(simulation, "minutes"),
        "places": _both(simulation, "places"),
        "excluded": [dict(run.excluded) for run in simulation.runs],
        "fairness": [
            {
                "family": family,
                "group_of": attribute,
                "ratios": [one.ratio for one in pair],
                "groups": [
                    [{**group.__dict__, "small": group.small} for group in one.groups]
                    for one in pair
                ],
            }
            for family, attribute, pair in simulation.parities()
        ],
        "not_compared": lacking,
    }


def _both(simulation: Simulation, what: str) -> dict[str, list[dict[str, float]]]:
    kinds: Mapping[str, Any] = getattr(simulation.runs[0], what)
    return {kind: [dict(getattr(run, what)[kind]) for run in simulation.runs] for kind in kinds}


def _show(
    simulation: Simulation, names: list[str], asked: Asked, lacking: list[str], console: Console
) -> None:
    count = len(simulation.customer_ids)
    for letter, name, run in zip("AB", names, simulation.runs, strict=True):
        console.print(f"{letter}  {name} ({run.rules.policy_version})", highlight=False)
    console.print(
        f"{count:,} customers at {asked.channel}, {asked.as_of.isoformat()}; nothing was stored",
        highlight=False,
    )
    console.print(_measures(simulation))
    console.print(f"首位不同 first place differs: {simulation.moved():.1%} of customers")
    for kind, title in (("channel", "渠道 channel"), ("org", "机构 outlet")):
        pair = [run.minutes[kind] for run in simulation.runs]
        most = None if kind == "channel" else SHOWN_ORGS
        table = _counts(f"预期人力分钟 expected staff minutes by {title}", pair, 1, most)
        table.add_section()
        table.add_row("合计 total", *_three([sum(one.values()) for one in pair], 1))
        console.print(table)
    for kind, title in (
        ("channel", "渠道 channel"),
        ("mode", "方式 mode"),
        ("route", "路径 route"),
    ):
        places = [run.places[kind] for run in simulation.runs]
        console.print(_counts(f"推荐位 places by {title}", places, 0))
    excluded = [run.excluded for run in simulation.runs]
    console.print(_counts("排除 candidates excluded by reason, where they differ", excluded, 0, 0))
    console.print(_fairness(simulation))
    if lacking:
        console.print(
            f"{', '.join(lacking)}: 未比较 not compared; give --source and --data, the table "
            "`customers` brings them",
            highlight=False,
        )


def _measures(simulation: Simulation) -> Table:
    table = Table("首位平均,含试验 mean first place, trials included", "A", "B", "B − A", "95 %")
    means = [run.array().mean(axis=0) for run in simulation.runs]
    dials = {run.rules.policy.experience_cny for run in simulation.runs}
    for place, (name, (gap, low, high)) in enumerate(simulation.differences().items()):
        told = f"{gap:+,.4f}", f"{low:+,.4f} … {high:+,.4f}"
        if name == "score_cny" and len(dials) > 1:
            told = "–", "刻度不同 dials differ"  # yards less metres
        table.add_row(NAMES[name], f"{means[0][place]:,.4f}", f"{means[1][place]:,.4f}", *told)
    return table


def _counts(title: str, pair: list[Any], digits: int, most: int | None = None) -> Table:
    """Lay two counts side by side: all, those that differ most, or (0) all that differ."""
    names = sorted({*pair[0], *pair[1]})
    if most is not None:
        names = sorted(names, key=lambda one: -abs(pair[1].get(one, 0) - pair[0].get(one, 0)))
        names = [one for one in names if pair[0].get(one, 0) != pair[1].get(one, 0)]
        names = names[: most or None]
        title += "" if most == 0 else f" (the {most} that differ most)"
    table = Table("", "A", "B", "B − A", title=title, title_justify="left")
    for name in names:
        table.add_row(name, *_three([one.get(name, 0) for one in pair], digits))
    return table


def _three(pair: list[float], digits: int) -> list[str]:
    return [*(f"{one:,.{digits}f}" for one in pair), f"{pair[1] - pair[0]:+,.{digits}f}"]


def _fairness(simulation: Simulation) -> Table:
    table = Table(
        "产品族 family", "分组 group of", "A: min / max", "B: min / max",
        "适当客户中获推荐占比 share offered [95 %] of those it suits: A → B",
        title="公平 fairness within the suitable set", title_justify="left",
        caption="few: under 30 customers, told but not compared in min / max",
    )  # fmt: skip
    for family, attribute, (one, other) in simulation.parities():
        of = [{group.name: group for group in parity.groups} for parity in (one, other)]
        names = sorted({*of[0], *of[1]}, key=_by_age)
        rates = "\n".join(
            f"{name}: {_rate(of[0].get(name))} → {_rate(of[1].get(name))}" for name in names
        )
        table.add_row(family, attribute, _ratio(one), _ratio(other), rates)
    return table


def _by_age(name: str) -> tuple[int, str]:
    """Order ages from young to old, other names by the alphabet."""
    bands = [band for _, band in AGE_BANDS]
    return (bands.index(name) if name in bands else len(bands), name)


def _rate(group: Group | None) -> str:
    if group is None:
        return "–"
    few = " (少 few)" if group.small else ""
    return f"{group.rate:.0%} [{group.low:.0%}, {group.high:.0%}] of {group.customers:,}{few}"


def _ratio(one: Parity) -> str:
    return "–" if one.ratio is None else f"{one.ratio:.2f}"
