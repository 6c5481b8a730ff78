"""The frontier: what experience costs in value as the dial `experience_cny` is turned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from serving.bootstrap import interval, resampled_means
from serving.decide.case import make_case
from serving.decide.gates import sift
from serving.decide.pipeline import in_order
from serving.decide.record import DecisionInputs
from serving.decide.rulebook import Rulebook

Vector = npt.NDArray[np.float64]
Interval = tuple[float, float]

DIALS = (0, 5, 10, 20, 40, 60, 100, 200, 400, 1000)
"""Dials swept by default (CNY a point of experience)."""


@dataclass(frozen=True)
class Setting:
    """The base at one dial: mean value (CNY) and experience (points, ≤ 0) of the first places.

    ``value_gap`` and ``experience_gap`` are 95 % intervals of the difference to today's policy,
    paired by customer.
    """

    experience_cny: float
    value_cny: float
    experience: float
    value_interval: Interval
    experience_interval: Interval
    value_gap: Interval
    experience_gap: Interval


@dataclass(frozen=True)
class Step:
    """From one dial to the next: what is given up for what, and the price of a point (CNY).

    ``price_cny`` is value lost over experience won, with its 95 % interval; None where the step
    moves nobody. It lies between the two dials: whoever is moved is moved at a price between them.
    """

    from_cny: float
    to_cny: float
    value_lost_cny: float
    experience_won: float
    price_cny: float | None
    price_interval: Interval | None


@dataclass(frozen=True)
class Frontier:
    """Every dial in rising order, the steps between them, and today's policy among them."""

    customers: int
    today_cny: float
    settings: tuple[Setting, ...]
    steps: tuple[Step, ...]


def trace(
    chunks: Iterable[Sequence[DecisionInputs]],
    rules: Rulebook,
    dials: Iterable[float],
    advance: Callable[[str], None],
) -> Frontier:
    """Sweep the dial over a base; today's policy is always one of the points.

    The dial moves neither gates nor beliefs, so each customer is sifted once and put in order once
    a dial. Trials are left out: the frontier is that of the policy's own choices.
    """
    today = rules.policy.experience_cny
    swept = sorted({float(dial) for dial in dials} | {today})
    turned = [_at(rules, dial) for dial in swept]
    outcomes: list[list[tuple[float, float]]] = []
    for chunk in chunks:
        for inputs in chunk:
            advance("")
            outcomes.append(_first_places(inputs, turned))
    # (customers, dials, 2) → value and experience, each (customers, dials)
    array = np.array(outcomes, dtype=np.float64).reshape(-1, len(swept), 2)
    return _frontier(swept, today, array[..., 0], array[..., 1])


def _at(rules: Rulebook, dial: float) -> Rulebook:
    return replace(rules, policy=rules.policy.model_copy(update={"experience_cny": dial}))


def _first_places(inputs: DecisionInputs, turned: list[Rulebook]) -> list[tuple[float, float]]:
    """Value and experience of the first place under each rulebook; 0 and 0 where there is none."""
    case = make_case(inputs, turned[0])
    sifted = sift(case)
    found: list[tuple[float, float]] = []
    for rules in turned:
        order = in_order(replace(case, rules=rules), sifted)
        best = order[0].arms()[0] if order else None
        found.append((best.value_cny, best.experience) if best else (0.0, 0.0))
    return found


def _frontier(swept: list[float], today: float, value: Vector, experience: Vector) -> Frontier:
    count, now = len(swept), swept.index(today)
    # Resampled together: differences between dials are paired by customer.
    draws = resampled_means(np.hstack([value, experience]))
    values, experiences = draws[:, :count], draws[:, count:]
    settings = tuple(
        Setting(
            experience_cny=dial,
            value_cny=float(value[:, at].mean()),
            experience=float(experience[:, at].mean()),
            value_interval=interval(values[:, at]),
            experience_interval=interval(experiences[:, at]),
            value_gap=interval(values[:, at] - values[:, now]),
            experience_gap=interval(experiences[:, at] - experiences[:, now]),
        )
        for at, dial in enumerate(swept)
    )
    steps = tuple(
        _step(
            (settings[at], settings[at + 1]),
            values[:, at] - values[:, at + 1],
            experiences[:, at + 1] - experiences[:, at],
        )
        for at in range(count - 1)
    )
    return Frontier(len(value), today, settings, steps)


def _step(pair: tuple[Setting, Setting], lost: Vector, won: Vector) -> Step:
    low, high = pair
    value_lost = low.value_cny - high.value_cny
    experience_won = high.experience - low.experience
    moves = won > 0
    priced = experience_won > 0
    return Step(
        from_cny=low.experience_cny,
        to_cny=high.experience_cny,
        value_lost_cny=value_lost,
        experience_won=experience_won,
        price_cny=value_lost / experience_won if priced else None,
        price_interval=interval(lost[moves] / won[moves]) if priced else None,
    )
