"""Held-out rows: the metric and the loss by hand, and models that know other products."""

import numpy as np
import pytest

from training.held_out import HeldOutChoices, HeldOutStarts


class Knows:
    """A model with one answer for everybody."""

    def __init__(self, answer: dict[str, float]) -> None:
        self.products = self.channels = tuple(answer)
        self._row = list(answer.values())

    def predict(self, x, *_):
        return np.tile(self._row, (len(x), 1))


@pytest.fixture
def starts() -> HeldOutStarts:
    """Three customers, three products; the last customer starts nothing."""
    labels = np.array([[0, 1, 0], [1, 0, 1], [0, 0, 0]], dtype=bool)
    possible = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 0]], dtype=bool)
    return HeldOutStarts(None, ("a", "b", "c"), labels, possible)


def test_starts_by_hand(starts):
    p = np.array([[0.5, 0.2, 0.1], [0.5, 0.2, 0.1], [0.5, 0.2, 0.9]])
    assert starts.values(p)[:2] == pytest.approx([1 / 2, (1 + 2 / 3) / 2])
    assert np.isnan(starts.values(p)[2])  # nothing to find
    told = [0.5, 0.2, 0.9, 0.5, 0.8, 0.1, 0.5, 0.8]  # the ninth pair was not possible
    assert starts.loss(p) == pytest.approx(-np.mean(np.log(told)))


def test_a_model_of_an_older_catalog_gives_new_products_nothing(starts):
    p = starts.predict(Knows({"c": 0.3, "gone": 0.9, "a": 0.1}), np.zeros((3, 1)))
    assert p.tolist() == [[0.1, 0.0, 0.3]] * 3
    assert np.isfinite(starts.loss(p))


def test_choices_by_hand():
    labels = np.array([[1, 0], [0, 1]], dtype=bool)
    every = np.ones_like(labels)
    held = HeldOutChoices(None, ("call", "web"), labels, every, [None] * 2, [None] * 2, None)
    p = held.predict(Knows({"web": 0.25, "call": 0.75}), np.zeros((2, 1)))
    assert p.tolist() == [[0.75, 0.25]] * 2
    assert held.values(p).tolist() == [1.0, 0.0]
    assert held.loss(p) == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)
