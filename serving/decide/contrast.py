"""Why one place rather than another: the lead of its score, split exactly into its terms.

``score = p_start · completion · value of a sale − cost − staff cost + dial · experience`` (DESIGN
§7), and ``experience = preference − friction``. A difference of sums splits by itself. A difference
of products does not: which factor is to blame for what both changed? It is split by the Shapley
value over the three factors (L. S. Shapley, *A value for n-person games*, 1953; for decompositions
A. F. Shorrocks, *Journal of Economic Inequality* 11, 2013): the mean, over all orders in which the
factors could be changed one after the other from B's to A's, of what each change adds. No order is
preferred, a factor that is equal has no part, and the parts add up to the difference.
"""

from __future__ import annotations

from typing import get_args

from serving.contract import ScoreTerm
from serving.decide.record import Contributions, ScoredAction

TERMS: tuple[ScoreTerm, ...] = get_args(ScoreTerm)
"""``preference`` is what doing it there costs the customer against his best channel (≤ 0)."""

Factors = tuple[float, float, float]


def product_parts(one: Factors, two: Factors) -> Factors:
    """Split the product of three factors less that of three others into a part for each factor.

    >>> product_parts((2.0, 3.0, 5.0), (1.0, 3.0, 5.0))
    (15.0, 0.0, 0.0)
    >>> product_parts((2.0, 2.0, 1.0), (1.0, 1.0, 1.0))
    (1.5, 1.5, 0.0)
    """
    (a, b, c), (u, v, w) = one, two
    return (
        (a - u) * _two_factors(b, c, v, w),
        (b - v) * _two_factors(a, c, u, w),
        (c - w) * _two_factors(a, b, u, v),
    )


def _two_factors(b: float, c: float, v: float, w: float) -> float:
    """Mean over the six orders of what the other two factors multiply a change by."""
    return (b * c + v * w) / 3.0 + (b * w + v * c) / 6.0


def score_parts(
    one: ScoredAction, two: ScoredAction, sales_cny: tuple[float, float], dial_cny: float
) -> dict[ScoreTerm, float]:
    """Split ``one.score − two.score`` (CNY) into its terms, in the order of `TERMS`.

    ``sales_cny`` are the values of one sale, ``dial_cny`` what one point of experience is worth.
    A positive part speaks for `one`.
    """
    start, completion, sale = product_parts(
        (one.p_start, one.completion, sales_cny[0]), (two.p_start, two.completion, sales_cny[1])
    )
    friction = -dial_cny * (one.friction - two.friction)
    return {
        "p_start": start,
        "completion": completion,
        "sale_value": sale,
        "cost": two.cost_cny - one.cost_cny,
        "staff_cost": two.staff_cost_cny - one.staff_cost_cny,
        "preference": dial_cny * (one.experience - two.experience) - friction,
        "friction": friction,
    }


def group_leads(one: Contributions, two: Contributions) -> dict[str, float]:
    """Split the lead in log-odds of starting one rather than the other by feature group.

    ``one.raw_score − two.raw_score = one.bias − two.bias + Σ`` of what is returned.
    """
    groups = dict.fromkeys((*one.groups, *two.groups))
    return {name: one.groups.get(name, 0.0) - two.groups.get(name, 0.0) for name in groups}
