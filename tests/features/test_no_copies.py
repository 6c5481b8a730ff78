"""No feature is constant or another one again: multiplied, shifted, negated, with holes."""

from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.build import build
from features.feature import Feature
from features.registry import available_features
from features.sources import open_source
from features.spine import customers_at

ROOT = Path(__file__).resolve().parents[2]
CUSTOMERS = 1_000
# Not the first of a month, when the month's average is missing; the third is the evening of a
# month's last day, when the new balances are in and the month's average is still of the old ones.
MOMENTS = [
    datetime(2025, 3, 17, 5, 30, tzinfo=UTC),
    datetime(2025, 8, 9, 1, tzinfo=UTC),
    datetime(2025, 12, 31, 12, tzinfo=UTC),
    datetime(2026, 4, 28, 3, tzinfo=UTC),
]
RARE = 15
"""A feature that leaves its commonest value in fewer rows cannot be told from another."""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[list[Feature], pa.Table]:
    """Every feature of a simulated bank of its own: 300 customers are too few for rare events."""
    from experiments.simulated_bank.bank import simulate
    from experiments.simulated_bank.config import load_simulation

    settings = load_simulation(ROOT / "configs" / "simulation" / "bank.yaml", None)
    folder = simulate(settings, CUSTOMERS, 1, tmp_path_factory.mktemp("copies") / "tables")
    yaml = ROOT / "configs" / "sources" / "simulated_bank.yaml"
    source = open_source(yaml, folder, datetime(2027, 1, 1, tzinfo=UTC))
    return available_features(source), build(customers_at(source, MOMENTS))


@pytest.fixture(scope="module")
def numbers(built) -> dict[str, np.ndarray]:
    features, table = built
    return {one.name: table[one.name].to_numpy() for one in features if not one.category}


def departures(values: np.ndarray) -> int:
    """In how many rows the value is not the commonest one; missing is a value too."""
    return len(values) - int(np.unique(values, return_counts=True)[1].max())


def is_affine_image(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether y = a + b·x wherever both are known, with rows enough to say so."""
    both = ~np.isnan(x) & ~np.isnan(y)
    x, y = x[both], y[both]
    if not both.any() or min(departures(x), departures(y)) < RARE:
        return False
    low, high = x.argmin(), x.argmax()
    line = y[low] + (y[high] - y[low]) * ((x - x[low]) / (x[high] - x[low]))
    return bool(np.abs(y - line).max() <= 1e-9 * np.ptp(y))


def likely_copies(matrix: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of columns that correlate to (almost) ±1 over the rows where both are known."""
    known = ~np.isnan(matrix)
    spread = np.nanstd(matrix, axis=0)
    scaled = (matrix - np.nanmean(matrix, axis=0)) / np.where(spread > 0, spread, 1)
    x, m = np.where(known, scaled, 0.0), known.astype(float)
    n = np.maximum(m.T @ m, 1)
    sums, squares = x.T @ m, (x * x).T @ m
    covariance = x.T @ x - sums * sums.T / n
    variance = np.maximum(squares - sums * sums / n, 0)
    # an exact image has covariance² = variance · variance; rounding is left to the exact check
    close = covariance**2 >= (1 - 1e-6) * variance * variance.T
    return [(i, j) for i, j in combinations(range(matrix.shape[1]), 2) if close[i, j]]


def copies(columns: dict[str, np.ndarray]) -> list[tuple[str, str]]:
    names = list(columns)
    pairs = likely_copies(np.stack([columns[name] for name in names], axis=1))
    return [
        (names[i], names[j])
        for i, j in pairs
        if is_affine_image(columns[names[i]], columns[names[j]])
    ]


def test_no_feature_is_constant(numbers):
    constant = [n for n, v in numbers.items() if len(np.unique(v[~np.isnan(v)])) < 2]
    assert constant == []


def test_no_feature_is_another_one_again(numbers):
    assert copies(numbers) == []


def test_few_features_are_too_rare_to_tell(numbers):
    rare = [name for name, values in numbers.items() if departures(values) < RARE]
    assert len(rare) <= 10, rare


def test_no_category_renames_another(built):
    features, table = built
    words = {one.name: table[one.name].to_pylist() for one in features if one.category}
    assert len(words) >= 4
    for one, other in combinations(words, 2):
        pairs = set(zip(words[one], words[other], strict=True))
        assert len(pairs) > max(len(set(words[one])), len(set(words[other]))), (one, other)


@pytest.mark.parametrize(
    "copy",
    [
        lambda x: x.copy(),
        lambda x: 30.4375 * x,
        lambda x: 1 - x,
        lambda x: x / 7 + 1e6,
        lambda x: np.where(x > np.median(x), x, np.nan),
    ],
    ids=["equal", "multiple", "negative", "offset", "with holes"],
)
def test_a_planted_copy_is_found(numbers, copy):
    known = numbers["average_assets_30d_cny"]
    planted = {**numbers, "planted": copy(known)}
    assert copies(planted) == [("average_assets_30d_cny", "planted")]


def test_what_only_resembles_is_not_a_copy(numbers):
    known = numbers["average_assets_30d_cny"]
    nearly = known.copy()
    nearly[:3] += 1.0
    squared = known**2
    rare = np.zeros(len(known))
    rare[: RARE - 1] = 1
    others = {"nearly": nearly, "squared": squared, "rare": rare, "rare_twice": 2 * rare}
    assert copies({"known": known, **others}) == []
    assert copies({"often": np.roll(known, 1), "again": np.roll(known, 1)}) == [("often", "again")]
