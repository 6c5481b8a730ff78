"""What is known before a payment is made: who pays, for what, and what they chose before.

Nothing here reads a payment that was not over before: a payment that has a time is known from the
minute after it, one that has only a day from the day after. Population rates count the payments of
earlier days, everybody's. The number of a person finds their own payments and is no feature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import softmax

Codes = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

INSTRUMENTS = ("cash", "debit_card", "credit_card", "check", "other")
PROFILE = ("age", "hh_income", "hh_size", "education", "gender", "work", "marital")
HELD = (
    "csh_adopt", "chk_acnt_adopt", "sav_acnt_adopt", "bnk_acnt_adopt", "chk_adopt", "mon_adopt",
    "dc_adopt", "cc_adopt", "svc_adopt", "obbp_adopt", "banp_adopt", "income_adopt", "abp_adopt",
)  # fmt: skip
CONTEXT = ("amnt", "merch", "in_person", "payee", "bill")
COLUMNS = ("id", "date", "time", "type", "pi", *CONTEXT, *PROFILE, *HELD)

DAY_MINUTES = 1440
AMOUNT_BANDS = (10.0, 25.0, 50.0, 100.0, 250.0)
INCOME_BANDS = (30_000.0, 60_000.0, 100_000.0)
AGE_BANDS = (35.0, 50.0, 65.0)
PRIOR_PAYMENTS = 20.0
"""Payments that the rate of the wider cell counts for in the population's rates."""
OWN_PRIOR_PAYMENTS = 0.7
"""The same for a person's own shares: few people have more than a dozen payments."""
HALF_LIFE_DAYS = 365.0
"""A choice of a year ago counts half of one of today."""


@dataclass(frozen=True)
class Payments:
    """Payments in time order; all arrays of length n.

    ``as_of`` and ``known_at`` are minutes since 1970: when the payment is about to be made, and
    when it is known what was chosen (a position in `INSTRUMENTS`, ``choice``).
    """

    rows: pd.DataFrame
    person: Codes
    as_of: Codes
    known_at: Codes
    choice: Codes

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Payments:
        """The dated payments whose instrument is known, in time order."""
        known = (rows["type"] == "payment") & rows["pi"].notna() & rows["date"].notna()
        rows = rows[known]
        midnight = _days(rows["date"]) * DAY_MINUTES
        clock = rows["time"].to_numpy(np.float64)
        minutes = clock // 100 * 60 + clock % 100
        as_of = midnight + np.nan_to_num(minutes, nan=0).astype(np.int64)
        known_at = midnight + np.nan_to_num(minutes, nan=DAY_MINUTES - 1).astype(np.int64)
        order = np.lexsort((known_at, as_of))
        rows = rows.iloc[order].reset_index(drop=True)
        position = {name: number for number, name in enumerate(INSTRUMENTS)}
        choice = rows["pi"].astype(object).map(position).fillna(position["other"])
        return cls(
            rows=rows,
            person=_codes(rows["id"]),
            as_of=as_of[order],
            known_at=known_at[order],
            choice=np.asarray(choice, dtype=np.int64),
        )

    @property
    def days(self) -> Codes:
        """Days since 1970."""
        return self.as_of // DAY_MINUTES

    def merchants(self) -> list[str | None]:
        """Kind of merchant of each payment, None where it was not told."""
        return [None if np.isnan(kind) else f"{kind:.0f}" for kind in self.rows["merch"]]

    def manners(self) -> list[str | None]:
        """Whether it is paid in person, and whether it is a bill; None where not told."""
        told = self.rows[["in_person", "bill"]].astype(object)
        return [
            None if pd.isna(person) or pd.isna(bill) else f"in person {person}, bill {bill}"
            for person, bill in told.itertuples(index=False)
        ]


@dataclass(frozen=True)
class OwnPast:
    """Pairs (payment, earlier payment of the same person), as row numbers of shape (m,)."""

    payments: Payments
    now: Codes
    earlier: Codes

    @classmethod
    def of(cls, payments: Payments) -> OwnPast:
        """All pairs whose earlier payment was known before the other was about to be made."""
        rows = pd.DataFrame({"person": payments.person, "row": np.arange(len(payments.person))})
        pairs = rows.merge(rows, on="person", suffixes=("", "_earlier"))
        now, earlier = pairs["row"].to_numpy(), pairs["row_earlier"].to_numpy()
        before = payments.known_at[earlier] < payments.as_of[now]
        return cls(payments, now[before], earlier[before])

    def same(self, codes: Codes) -> Vector:
        """1 where both payments of a pair have the same code, shape (m,)."""
        return np.asarray(codes[self.now] == codes[self.earlier], dtype=np.float64)

    def summed(self, values: Vector) -> Vector:
        """Sum of values (m,) over each payment's pairs, shape (n,)."""
        return np.asarray(np.bincount(self.now, values, len(self.payments.person)), np.float64)

    def last(self) -> Vector:
        """Instrument of the payment known last, NaN where there is none; ties to the later row."""
        order = np.lexsort((self.earlier, self.payments.known_at[self.earlier], self.now))
        last = np.full(len(self.payments.person), np.nan)
        # of values written to the same place the last one stays
        last[self.now[order]] = self.payments.choice[self.earlier[order]]
        return last


def features(payments: Payments) -> tuple[Matrix, tuple[str, ...]]:
    """Features of each payment, shape (n, F), and their names.

    Profile and holdings; the payment's context; rates of the population in its context; and of the
    person's own earlier choices: the last, shares by context shrunk to the population's, the range
    of amounts by instrument, and the person's leaning (see `leaning`).
    """
    rows, past = payments.rows, OwnPast.of(payments)
    amount = rows["amnt"].to_numpy(np.float64)
    log_amount = np.log1p(np.nan_to_num(amount))
    cents = np.round(amount * 100)
    codes = {name: _codes(rows[name]) for name in ("merch", "in_person", "payee", "bill")}
    band = np.digitize(np.nan_to_num(amount), AMOUNT_BANDS)
    columns: dict[str, Vector] = {name: _numbers(rows[name]) for name in (*PROFILE, *HELD)}
    columns |= {
        "amount_cents": cents % 100,
        "amount_is_round": (cents % 500 == 0).astype(np.float64),
        "in_person": codes["in_person"].astype(np.float64),
        "bill": codes["bill"].astype(np.float64),
        "payee": codes["payee"].astype(np.float64),
        "minute": (payments.as_of % DAY_MINUTES).astype(np.float64),
        "weekday": ((payments.days + 3) % 7).astype(np.float64),  # 0 is Monday
        "last_instrument": past.last(),
    }
    overall = _population(payments, [], np.full((len(rows), len(INSTRUMENTS)), 0.2))
    manner = [codes["in_person"], codes["bill"]]
    context = overall
    for cell in (manner, [*manner, codes["merch"]], [*manner, codes["merch"], band]):
        context = _population(payments, cell, context)
    holds = [_codes(rows["dc_adopt"]), _codes(rows["cc_adopt"])]
    income = np.digitize(_numbers(rows["hh_income"]), INCOME_BANDS)
    age = np.digitize(_numbers(rows["age"]), AGE_BANDS)
    people = _population(payments, holds, overall)
    people = _population(payments, [*holds, income, age], people)
    # a stranger: as others in this context, moved as others of this kind are moved from all
    stranger = _normalised(context * people / overall)
    columns |= _named("context", context) | _named("stranger", stranger)
    recent = 0.5 ** ((payments.days[past.now] - payments.days[past.earlier]) / HALF_LIFE_DAYS)
    distance = np.abs(log_amount[past.now] - log_amount[past.earlier])
    alike = recent * np.exp(-distance)
    for name, unlike in (("merch", 0.5), ("in_person", 0.3), ("bill", 0.3), ("payee", 0.6)):
        alike = alike * np.where(past.same(codes[name]) == 1, 1.0, unlike)
    weights = {
        "all": recent,
        "merchant": recent * past.same(codes["merch"]),
        "in_person": recent * past.same(codes["in_person"]),
        "bill": recent * past.same(codes["bill"]),
        "amount": recent * np.exp(-2 * distance),
        "alike": alike,
    }
    for name, weight in weights.items():
        columns |= _named(f"own_{name}", _own_shares(past, weight, context))
        columns[f"own_{name}_payments"] = past.summed(weight)
    columns |= _named("leaning", leaning(past, recent, stranger, 2.0))
    columns |= _named("leaning_alike", leaning(past, 4 * alike, stranger, 3.0))
    columns |= _amount_ranges(past, log_amount)
    return np.column_stack(list(columns.values())), tuple(columns)


def leaning(past: OwnPast, weight: Vector, stranger: Matrix, variance: float) -> Matrix:
    """What the person would choose: a stranger's probabilities, tilted as their choices were.

    Random intercepts u of a multinomial logit, one a person and instrument, log p = log stranger
    + u up to a constant, u ~ N(0, variance): the most probable u given the earlier choices, each
    counted by its weight (m,), by damped Newton steps on the diagonal (Breslow and Clayton,
    Approximate Inference in Generalized Linear Mixed Models, JASA 1993). Shape (n, C).
    """
    offset = np.log(stranger)
    chosen = np.eye(len(INSTRUMENTS))[past.payments.choice[past.earlier]]
    tilt = np.zeros_like(offset)
    for _ in range(20):
        p = softmax(offset[past.earlier] + tilt[past.now], axis=1)
        gap, curvature = (chosen - p) * weight[:, None], p * (1 - p) * weight[:, None]
        gradient = _summed(past, gap) - tilt / variance
        tilt += np.clip(0.7 * gradient / (_summed(past, curvature) + 1 / variance), -1, 1)
    return np.asarray(softmax(offset + tilt, axis=1))


def _population(payments: Payments, cell: list[Codes], wider: Matrix) -> Matrix:
    """Shares of the instruments in a cell on earlier days, shrunk to a wider cell's, (n, C)."""
    cells = np.zeros(len(payments.person), dtype=np.int64)
    for codes in cell:
        # codes are counted anew at each step, so that they stay small
        cells = np.unique(cells * (codes.max() + 1) + codes, return_inverse=True)[1]
    seen = np.zeros((cells.max() + 1, len(INSTRUMENTS)))
    shares = np.empty_like(wider)
    edges = np.flatnonzero(np.diff(payments.days, prepend=-1))
    for rows in np.split(np.arange(len(cells)), edges[1:]):
        shares[rows] = _shrunk(seen[cells[rows]], wider[rows], PRIOR_PAYMENTS)
        np.add.at(seen, (cells[rows], payments.choice[rows]), 1.0)
    return shares


def _own_shares(past: OwnPast, weight: Vector, prior: Matrix) -> Matrix:
    chosen = np.eye(len(INSTRUMENTS))[past.payments.choice[past.earlier]]
    return _shrunk(_summed(past, chosen * weight[:, None]), prior, OWN_PRIOR_PAYMENTS)


def _amount_ranges(past: OwnPast, log_amount: Vector) -> dict[str, Vector]:
    """Least and largest own amount paid with each instrument, as log ratio to this amount."""
    columns = {}
    for number, name in enumerate(INSTRUMENTS):
        used = past.payments.choice[past.earlier] == number
        for word, extreme, none in (("least", np.minimum, np.inf), ("most", np.maximum, -np.inf)):
            found = np.full(len(log_amount), none)
            extreme.at(found, past.now[used], log_amount[past.earlier[used]])
            columns[f"{word}_{name}"] = np.where(np.isinf(found), np.nan, found - log_amount)
    return columns


def _summed(past: OwnPast, values: Matrix) -> Matrix:
    return np.column_stack([past.summed(column) for column in values.T])


def _shrunk(counts: Matrix, prior: Matrix, strength: float) -> Matrix:
    total = counts.sum(axis=1, keepdims=True)
    return np.asarray((counts + strength * prior) / (total + strength))


def _normalised(p: Matrix) -> Matrix:
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def _named(name: str, values: Matrix) -> dict[str, Vector]:
    return {f"{name}_{one}": values[:, c] for c, one in enumerate(INSTRUMENTS)}


def _codes(values: pd.Series) -> Codes:
    """Position of each value in their order, the missing ones last."""
    return np.asarray(pd.factorize(values, sort=True, use_na_sentinel=False)[0], dtype=np.int64)


def _numbers(values: pd.Series) -> Vector:
    if pd.api.types.is_numeric_dtype(values):
        return np.asarray(values, dtype=np.float64)
    return np.where(values.isna(), np.nan, _codes(values).astype(np.float64))


def _days(dates: pd.Series) -> Codes:
    return np.asarray(dates.to_numpy("datetime64[D]").astype(np.int64))
