"""The expected-amount head: purchases with what was known of the buyer at the time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.feature_set import FeatureSet
from features.spine import Spine
from training import targets
from training.config import RunConfig
from training.models.expected_amount import AmountRows, ExpectedAmountModel
from training.models.rates import TierAmounts
from training.report import HeadReport
from training.splits import Cuts

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]
ASSETS = "total_assets_cny"
"""The feature that tells the asset tier."""


@dataclass
class AmountHead:
    """Purchases, fitting and evaluation of the expected-amount model.

    A purchase is described by the newest row of the spine before it, as it is in serving, where
    features are those of the last publication.
    """

    config: RunConfig
    spine: Spine
    x: Matrix
    cuts: Cuts
    feature_set: FeatureSet

    def __post_init__(self) -> None:
        self.bought = targets.purchases(self.spine)
        split = self.cuts.rows(self.bought.event_time)
        described = self.bought.row >= 0
        self.split = {name: rows[described[rows]] for name, rows in split.items()}

    def fit(self) -> ExpectedAmountModel:
        """Train on the purchases before the test; the newest of them stop the rounds."""
        bought, names = self.bought, self.feature_set.names
        rows = AmountRows(
            self.x[bought.row], bought.offer, bought.amount_cny,
            names.index(ASSETS) if ASSETS in names else None,
            np.concatenate([self.split["train"], self.split["stop"]]), self.split["calibrate"],
        )  # fmt: skip
        config, run = self.config.expected_amount, self.config
        return ExpectedAmountModel.fit(config, self._table(), rows, run.seed, run.threads)

    def _table(self) -> TierAmounts:
        """The medians of all purchases before the test, those of the first months included."""
        bought = self.bought
        before = np.flatnonzero(bought.event_time < self.cuts.test)
        assets = [None if np.isnan(cny) else float(cny) for cny in bought.assets_cny]
        return TierAmounts.fit(
            (bought.offer[row], assets[row], float(bought.amount_cny[row])) for row in before
        )

    def evaluate(self, model: ExpectedAmountModel) -> HeadReport:
        """Compare with the median of the buyer's asset tier, by the error of the logarithm.

        Amounts run from hundreds to millions: on the CNY scale a few mortgages would decide.
        """
        bought, test = self.bought, self.split["test"]
        tiers = np.array([self._of_tier(model, row) for row in test], dtype=np.float64)
        known = ~np.isnan(tiers)
        test, tiers = test[known], tiers[known]
        report = HeadReport()
        if not len(test):
            return report
        report.metrics["test_purchases"] = len(test)
        offers = [bought.offer[row] for row in test]
        expected = model.predict(self.x[bought.row[test]], offers, self.config.threads)
        actual = bought.amount_cny[test]
        errors = {"": _log_error(expected, actual), "tier_median_": _log_error(tiers, actual)}
        in_cny = {"": np.abs(expected - actual), "tier_median_": np.abs(tiers - actual)}
        for rule in errors:
            report.metrics[f"{rule}amount_log_error"] = float(errors[rule].mean())
            report.metrics[f"{rule}amount_cny_error"] = float(in_cny[rule].mean())
        report.metrics["amount_error_ratio"] = float(
            errors[""].sum() / errors["tier_median_"].sum()
        )
        for offer in sorted(set(offers)):
            own = np.array([one == offer for one in offers])
            report.tables.setdefault("offers", []).append(
                {
                    "offer": offer,
                    "purchases": int(own.sum()),
                    "median_cny": float(np.median(actual[own])),
                    "log_error": float(errors[""][own].mean()),
                    "tier_median_log_error": float(errors["tier_median_"][own].mean()),
                }
            )
        return report

    def _of_tier(self, model: ExpectedAmountModel, row: int) -> float:
        assets = self.bought.assets_cny[row]
        usual = model.usual_cny(self.bought.offer[row], None if np.isnan(assets) else assets)
        return float("nan") if usual is None else usual


def _log_error(expected: Vector, actual: Vector) -> Vector:
    return np.asarray(np.abs(np.log(expected) - np.log(actual)))
