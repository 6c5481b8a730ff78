from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.simulated_bank.luck import Luck

KEYS = np.arange(200_000)


def test_uniform_is_uniform_and_uncorrelated_over_keys_and_purposes():
    luck = Luck(5)
    first, other = luck.uniform("start", KEYS, 3), luck.uniform("complete", KEYS, 3)
    later = luck.uniform("start", KEYS, 4)
    counts, _ = np.histogram(first, bins=100, range=(0, 1))
    chi_square = ((counts - 2_000) ** 2 / 2_000).sum()
    assert 50 < chi_square < 165  # 99 degrees of freedom, far beyond the 0.0001 quantiles
    for partner in (other, later, np.roll(first, 1)):
        assert abs(np.corrcoef(first, partner)[0, 1]) < 0.012


@given(st.integers(0, 2**31), st.integers(0, 10**7), st.integers(0, 400))
def test_a_draw_depends_on_its_key_alone(seed, customer, month):
    luck = Luck(seed)
    among_others = luck.uniform("start", np.array([customer + 1, customer]), month)
    assert luck.uniform("start", customer, month) == among_others[1]
    assert among_others[0] != among_others[1]
    assert luck.uniform("start", customer, month) != luck.uniform("start", month, customer + 1)


def test_seeds_differ():
    assert not np.any(Luck(1).uniform("x", KEYS[:1000]) == Luck(2).uniform("x", KEYS[:1000]))


def test_counts_and_choices_have_their_means():
    luck = Luck(9)
    counts = luck.poisson(np.full(len(KEYS), 0.7), "n", KEYS)
    assert abs(counts.mean() - 0.7) < 0.01
    assert abs(counts.var() - 0.7) < 0.02
    chosen = luck.choice(np.tile([0.2, 0.0, 0.8], (len(KEYS), 1)), "c", KEYS)
    shares = np.bincount(chosen, minlength=3) / len(KEYS)
    np.testing.assert_allclose(shares, [0.2, 0.0, 0.8], atol=0.005)
