"""The frontier as one picture: experience against value, and what a point of experience costs."""

from __future__ import annotations

import os
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from serving.frontier import Frontier, Setting

BLUE, GREY, RED = "#2f6db5", "#8894a1", "#b3261e"


def draw(found: Frontier, out: Path) -> None:
    """Write the picture (1,280 by 600 pixels) under ``out``, whole or not at all."""
    figure = Figure(figsize=(12.8, 6.0), dpi=100, layout="constrained")
    figure.suptitle(
        "What does experience cost? The dial experience_cny swept over "
        f"{found.customers:,} customers",
        fontsize=14,
    )
    frontier, prices = figure.subplots(1, 2, width_ratios=(3, 2))
    _frontier(frontier, found)
    _prices(prices, found)
    FigureCanvasAgg(figure)
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        figure.savefig(temporary, format="png")
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)


def _frontier(axes: Axes, found: Frontier) -> None:
    settings = found.settings
    x, y = [one.experience for one in settings], [one.value_cny for one in settings]
    now = next(one for one in settings if one.experience_cny == found.today_cny)
    axes.plot(x, y, color=BLUE, linewidth=1.5, zorder=2)
    axes.errorbar(
        x, y,
        xerr=_bars(settings, now, "experience"), yerr=_bars(settings, now, "value"),
        fmt="o", color=BLUE, ecolor=GREY, elinewidth=1, capsize=2, markersize=5, zorder=3,
        label="95 % interval of the difference to today, customers resampled",
    )  # fmt: skip
    axes.plot(
        now.experience, now.value_cny, "D", color=RED, markersize=9, zorder=4,
        label=f"today's policy: {found.today_cny:g} CNY a point",
    )  # fmt: skip
    for one in settings:
        # Up and to the right of its point: there the falling line never is.
        name = f"{one.experience_cny:g}" + (" today" if one is now else "")
        at = (one.experience, one.value_cny)
        axes.annotate(name, at, xytext=(9, 5), textcoords="offset points", fontsize=10)
    axes.margins(x=0.1)
    _named(
        axes,
        "Each point is a dial (CNY a point of experience)",
        "experience of the first place, points (0 = where the customer does best)",
        "modelled value of the first place, CNY a decision",
    )
    axes.legend(fontsize=10, loc="lower left")


def _bars(settings: tuple[Setting, ...], now: Setting, what: str) -> list[list[float]]:
    """How far below and above each point the interval of its difference to today reaches."""
    mean = {"experience": "experience", "value": "value_cny"}[what]
    below, above = [], []
    for one in settings:
        gap = getattr(one, mean) - getattr(now, mean)
        low, high = getattr(one, f"{what}_gap")
        below.append(max(0.0, gap - low))
        above.append(max(0.0, high - gap))
    return [below, above]


def _prices(axes: Axes, found: Frontier) -> None:
    priced = [step for step in found.steps if step.price_cny is not None]
    names = [f"{step.from_cny:g} → {step.to_cny:g}" for step in priced]
    prices = [step.price_cny or 0.0 for step in priced]
    axes.barh(names, prices, color=BLUE, height=0.6)
    for row, step in enumerate(priced):
        low, high = step.price_interval or (0.0, 0.0)
        axes.plot([low, high], [row, row], color=GREY, linewidth=2)
        axes.annotate(
            f"{prices[row]:,.0f}", (max(high, prices[row]), row),
            xytext=(5, 0), textcoords="offset points", va="center", fontsize=10,
        )  # fmt: skip
    axes.invert_yaxis()
    axes.margins(x=0.15)
    _named(
        axes,
        "What one more point costs at each step (95 %)",
        "value given up for a point of experience, CNY",
        "turn of the dial, CNY a point",
    )


def _named(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set_title(title, fontsize=12)
    axes.set_xlabel(across, fontsize=11)
    axes.set_ylabel(up, fontsize=11)
    axes.tick_params(labelsize=10)
    axes.spines[["top", "right"]].set_visible(False)
