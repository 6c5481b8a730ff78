"""Expected amount of a purchase: if this customer buys, for how much?

One LightGBM for all offers on the logarithm of amount ÷ the offer's median, fitted by absolute
error: its answer is the median, whatever the scale. An offer that the booster foretells no better
than the median of the customer's asset tier keeps the tier's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from pydantic import Field

from features.config import StrictConfig
from training.models.boosters import BoosterConfig, raw_scores
from training.models.packed import PackedBooster
from training.models.rates import TierAmounts, tiers

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]


class ExpectedAmountConfig(BoosterConfig):
    """How the amount model is trained.

    ``minimum_purchases`` of an offer are needed before its amount is modelled.
    """

    max_rounds: int = Field(default=300, ge=1)
    early_stopping_rounds: int = Field(default=30, ge=1)
    min_data_in_leaf: int = Field(default=20, ge=1)
    feature_fraction: float = Field(default=0.6, gt=0, le=1)
    lambda_l2: float = Field(default=1.0, ge=0)
    minimum_purchases: int = Field(default=20, ge=1)


@dataclass(frozen=True)
class AmountRows:
    """Purchases to learn from: `x` (n, F), offer ids and amounts (n,) in CNY, all above 0.

    ``assets_column`` is the column of `x` with total assets (None: not known); ``train`` and
    ``stop`` are row numbers, the second later in time than the first.
    """

    x: Matrix
    offers: Sequence[str]
    amount_cny: Vector
    assets_column: int | None
    train: Rows
    stop: Rows


class _Learned(StrictConfig):
    table: TierAmounts
    assets_column: int | None
    offers: tuple[str, ...]
    rounds: int


class _Plan(NamedTuple):
    """How some offers are priced.

    Columns, codes and medians of those modelled, (m,); columns of the others that were bought, and
    their rows in the table, (t,).
    """

    modelled: Rows
    codes: Vector
    medians: Vector
    tabled: Rows
    usual: Rows


class ExpectedAmountModel:
    """Expected amounts (CNY): of the offers modelled from all features, of others from the tier."""

    def __init__(self, learned: _Learned, text: str | None) -> None:
        self.learned_ = learned
        self.text_ = text
        self._booster = lgb.Booster(model_str=text) if text else None
        bought = tuple(learned.table.by_offer)
        self._usual_place = {offer: place for place, offer in enumerate(bought)}
        self._usual = learned.table.by_tiers(bought)
        self._plans: dict[tuple[str, ...], _Plan] = {}

    @cached_property
    def _by_offer(self) -> PackedBooster | None:
        return PackedBooster(self.text_, 1) if self.text_ else None

    @property
    def boosters(self) -> list[lgb.Booster]:
        """What scores a customer."""
        return [] if self._booster is None else [self._booster]

    @property
    def offers(self) -> tuple[str, ...]:
        """Offers whose amount is modelled."""
        return self.learned_.offers

    @classmethod
    def of_table(cls, table: TierAmounts, assets_column: int | None = None) -> ExpectedAmountModel:
        """Expect what the table says of the tier, whoever buys."""
        learned = _Learned(table=table, assets_column=assets_column, offers=(), rounds=0)
        return cls(learned, None)

    @classmethod
    def fit(
        cls,
        config: ExpectedAmountConfig,
        table: TierAmounts,
        rows: AmountRows,
        seed: int,
        threads: int,
    ) -> ExpectedAmountModel:
        """Train, stop early on the next time, refit on both.

        ``table`` answers for what is not modelled: offers bought too rarely, and those whose
        amounts in the stop time were nearer to the tier medians of the train time.
        """
        alone = cls.of_table(table, rows.assets_column)
        counts = Counter(rows.offers[row] for row in rows.train)
        tried = tuple(sorted(one for one in counts if counts[one] >= config.minimum_purchases))
        train, stop = (_about(tried, rows, part) for part in (rows.train, rows.stop))
        if not len(train) or not len(stop):
            return alone
        options = config.parameters(seed, threads, objective="regression_l1")
        earlier = tier_amounts(rows, rows.train)
        first = _dataset(rows, train, tried, earlier, options)
        later = _dataset(rows, stop, tried, earlier, options, first)
        stopping = lgb.early_stopping(config.early_stopping_rounds, verbose=False)
        early = lgb.train(
            options, first, config.max_rounds, valid_sets=[later], callbacks=[stopping]
        )
        best = max(early.best_iteration, 1)
        draft = _Learned(table=earlier, assets_column=rows.assets_column, offers=tried, rounds=best)
        drafted = cls(draft, early.model_to_string(num_iteration=best))
        of_tier = cls.of_table(earlier, rows.assets_column)
        gain = of_tier._log_errors(rows, stop, threads) - drafted._log_errors(rows, stop, threads)
        total = np.bincount(_codes(tried, rows.offers)[stop].astype(np.int64), gain, len(tried))
        kept = tuple(offer for offer, gained in zip(tried, total, strict=True) if gained > 0)
        if not kept:
            return alone
        both = _about(kept, rows, np.concatenate([train, stop]))
        booster = lgb.train(options, _dataset(rows, both, kept, table, options), best)
        learned = draft.model_copy(update={"table": table, "offers": kept})
        return cls(learned, booster.model_to_string())

    def _log_errors(self, rows: AmountRows, part: Rows, threads: int) -> Vector:
        expected = self.predict(rows.x[part], [rows.offers[row] for row in part], threads)
        return np.asarray(np.abs(np.log(expected) - np.log(rows.amount_cny[part])))

    def predict(self, x: Matrix, offers: Sequence[str | None], threads: int = 1) -> Vector:
        """Amounts (n,) in CNY; row i is about offers[i]. NaN for what nobody was seen to buy."""
        learned, names = self.learned_, ["" if one is None else one for one in offers]
        code = _codes(learned.offers, names)
        amounts = np.full(len(x), np.nan)
        modelled = np.flatnonzero(~np.isnan(code))
        if self._booster is not None and len(modelled):
            stacked = np.column_stack([x[modelled], code[modelled]])
            times = np.exp(raw_scores(self._booster, stacked, 1, threads)[:, 0])
            medians = np.array([learned.table.by_offer[name] for name in learned.offers])
            amounts[modelled] = medians[code[modelled].astype(np.int64)] * times
        place = self._usual_place
        usual = np.array([place.get(name, -1) for name in names], dtype=np.int64)
        tabled = np.flatnonzero(np.isnan(code) & (usual >= 0))
        if len(tabled):
            column = learned.assets_column
            assets = np.full(len(x), np.nan) if column is None else x[:, column]
            amounts[tabled] = self._usual[usual[tabled], tiers(assets[tabled])]
        return amounts

    def by_offer(self, x: Matrix, offers: tuple[str, ...]) -> Matrix:
        """Amounts (n, O) in CNY: every customer's for each of ``offers``; numbers as `predict`'s.

        The customer's features are laid out once, and what is true of the offers is remembered.
        """
        plan = self._plans.get(offers)
        if plan is None:
            plan = self._plans[offers] = self._plan(offers)
        amounts = np.full((len(x), len(offers)), np.nan)
        if self._by_offer is not None and len(plan.modelled):
            scores = self._by_offer.raw_scores(x, plan.codes[:, None])
            amounts[:, plan.modelled] = plan.medians * np.exp(scores[:, :, 0])
        if len(plan.tabled):
            column = self.learned_.assets_column
            assets = np.full(len(x), np.nan) if column is None else x[:, column]
            amounts[:, plan.tabled] = self._usual[plan.usual][:, tiers(assets)].T
        return amounts

    def _plan(self, offers: tuple[str, ...]) -> _Plan:
        code = _codes(self.offers, offers)
        modelled = np.flatnonzero(~np.isnan(code))
        usual = np.array([self._usual_place.get(name, -1) for name in offers], dtype=np.int64)
        tabled = np.flatnonzero(np.isnan(code) & (usual >= 0))
        by_offer = self.learned_.table.by_offer
        medians = np.array([by_offer[offers[at]] for at in modelled.tolist()], dtype=np.float64)
        return _Plan(modelled, code[modelled], medians, tabled, usual[tabled])

    def told_or_expected(
        self, told_cny: Vector, x: Matrix, offers: Sequence[str | None], threads: int = 1
    ) -> Vector:
        """The amount (n,) a choice is about: as told, else expected, NaN where neither is known."""
        amounts = np.array(told_cny, dtype=np.float64)
        # what nobody was seen to buy has no amount to expect
        bought = np.array([offer in self._usual_place for offer in offers], dtype=bool)
        untold = np.isnan(amounts) & bought
        if untold.any():
            asked = [offers[row] for row in np.flatnonzero(untold).tolist()]
            amounts[untold] = self.predict(x[untold], asked, threads)
        return amounts

    def usual_cny(self, offer: str, assets_cny: float | None) -> float | None:
        """Expect without features (CNY): the table's; None for an offer nobody was seen to buy."""
        return self.learned_.table.median_cny(offer, assets_cny)

    def save(self, folder: Path) -> None:
        """Write the table and the text booster into `folder`."""
        (folder / "expected_amount.json").write_text(
            self.learned_.model_dump_json(indent=1), "utf-8"
        )
        if self.text_:
            (folder / "expected_amount.txt").write_text(self.text_, "utf-8")

    @classmethod
    def load(cls, folder: Path) -> ExpectedAmountModel:
        """Read what `save` wrote; the caller has checked the hashes."""
        text = (folder / "expected_amount.json").read_text("utf-8")
        learned = _Learned.model_validate_json(text)
        booster = (folder / "expected_amount.txt").read_text("utf-8") if learned.offers else None
        return cls(learned, booster)


def tier_amounts(rows: AmountRows, part: Rows) -> TierAmounts:
    """The tier medians of some of the purchases."""
    column = rows.assets_column
    assets = np.full(len(rows.x), np.nan) if column is None else rows.x[:, column]
    return TierAmounts.fit(
        (
            rows.offers[row],
            None if np.isnan(assets[row]) else float(assets[row]),
            float(rows.amount_cny[row]),
        )
        for row in part
    )


def _codes(coded: tuple[str, ...], offers: Sequence[str | None]) -> Vector:
    code = {offer: float(number) for number, offer in enumerate(coded)}
    return np.array([code.get(offer or "", np.nan) for offer in offers], dtype=np.float64)


def _about(offers: tuple[str, ...], rows: AmountRows, part: Rows) -> Rows:
    return part[np.isin(np.array([rows.offers[row] for row in part]), offers)]


def _dataset(
    rows: AmountRows,
    part: Rows,
    offers: tuple[str, ...],
    usual: TierAmounts,
    options: dict[str, object],
    reference: lgb.Dataset | None = None,
) -> lgb.Dataset:
    """Log of amount ÷ the offer's median, on the features and the offer's code."""
    named = [rows.offers[row] for row in part]
    x = np.column_stack([rows.x[part], _codes(offers, named)])
    y = np.log(rows.amount_cny[part] / np.array([usual.by_offer[offer] for offer in named]))
    column = [x.shape[1] - 1]
    return lgb.Dataset(x, y, reference=reference, categorical_feature=column, params=options)
