"""Drift of the training window is seen where it is, and only there."""

import numpy as np
import pytest

from features.feature_set import FeatureSet
from training.window_drift import Window, window_drift

SET = FeatureSet(
    names=("balance", "age", "visits", "region", "empty"),
    groups={"balance": "money", "age": "life", "visits": "activity", "region": "life",
            "empty": "money"},
    vocabularies={"region": ("north", "south")},
)  # fmt: skip


def window(seed: int, rows: int = 4_000) -> Window:
    random = np.random.default_rng(seed)
    x = np.column_stack(
        [
            random.normal(size=rows), random.normal(size=rows), random.poisson(0.3, rows),
            random.integers(0, 2, rows), np.full(rows, np.nan),
        ]
    )  # fmt: skip
    return Window(x, random.normal(size=(rows, 1)), rows)


def found(train: Window, test: Window) -> dict[str, dict]:
    return {row["column"]: row for row in window_drift(train, test, SET, ("deposit",))}


def test_nothing_drifts_between_two_samples_of_the_same():
    rows = found(window(1), window(2))
    assert {name: row["level"] for name, row in rows.items()} == {
        "balance": "ok", "age": "ok", "visits": "ok", "region": "ok", "empty": "untested",
        "deposit": "ok",
    }  # fmt: skip
    assert rows["deposit"]["group"] == "score"
    assert max(row["psi"] or 0 for row in rows.values()) < 0.02


def shift(test: Window) -> None:
    test.x[:, 0] += 0.8


def lose(test: Window) -> None:
    test.x[: len(test.x) // 3, 1] = np.nan


def repeat(test: Window) -> None:
    test.x[: len(test.x) // 3, 2] = 1.0


def move(test: Window) -> None:
    test.x[:, 3] = np.where(np.arange(len(test.x)) % 5 == 0, test.x[:, 3], 1.0)


def score(test: Window) -> None:
    test.scores[:, 0] *= 2


@pytest.mark.parametrize(
    ("spoil", "column"),
    [(shift, "balance"), (lose, "age"), (repeat, "visits"), (move, "region"), (score, "deposit")],
)
def test_what_drifts_is_told_first(spoil, column):
    test = window(2)
    spoil(test)
    rows = window_drift(window(1), test, SET, ("deposit",))
    assert rows[0]["column"] == column
    assert [row["column"] for row in rows if row["level"] == "alarm"] == [column]
    assert rows[0]["psi"] > max(0.1, rows[0]["chance"])


def test_few_customers_prove_nothing_however_many_rows_they_have():
    train, test = window(1), window(2)
    shift(test)
    few = Window(test.x, test.scores, 20)
    assert found(train, few)["balance"]["level"] != "alarm"
