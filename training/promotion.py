"""Promotion: a challenger takes the champion's place if it passes every gate, and says who agreed.

What was logged is trained again and compared, champion and challenger are judged on the same test
rows, and only then does the alias move. Whatever is refused moves nothing; the report is kept with
the challenger's run either way.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from features.build import build
from features.config import StrictConfig
from features.registry import available_features
from features.sources import Source
from training import gates
from training.breakdown import segments_of
from training.calibration_report import Forecasts
from training.choice_head import ChoiceHead
from training.config import Head, RunConfig
from training.errors import PromotionError
from training.gates import Gate
from training.held_out import HeldOut
from training.models.boosters import BoosterConfig
from training.models.release import Release, check_catalog, check_replaceable, replacing
from training.run import TrainingRun, train
from training.sentinel import Fit, LeakCheck, check_leakage
from training.start_head import StartHead
from training.tracking import LoggedRelease, Registry, Reign

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]
Progress = Callable[[str], None]
LeakChecks = dict[str, LeakCheck]

MARGIN = 0.005
"""How much a metric may lose: half a point."""
SENTINEL_CLASSES = 3
"""The sentinel looks at this many classes of a head, those with most events first."""
SENTINEL_POSITIVES = 30
SENTINEL_ROWS = 20_000
SENTINEL_ROUNDS = 50


class Approval(StrictConfig):
    """Who agreed, when (with time zone), and why."""

    by: str
    at: datetime
    reason: str

    @classmethod
    def given(cls, by: str, at: datetime, reason: str) -> Approval:
        """Take a name and a reason; `PromotionError` where either is blank."""
        if not by.strip() or not reason.strip():
            raise PromotionError("say who approves and why: --approved-by NAME --reason TEXT")
        return cls(by=by.strip(), at=at, reason=reason.strip())


class GateReport(StrictConfig):
    """What the gates said of a challenger."""

    source: str
    challenger: str
    run_id: str
    trained_by: str | None
    champion: str | None
    approval: Approval
    gates: tuple[Gate, ...]

    @property
    def accepted(self) -> bool:
        """Whether every gate passed."""
        return all(one.passed for one in self.gates)

    def told(self) -> dict[str, Any]:
        """The report as JSON, with its verdict."""
        return {"accepted": self.accepted, **self.model_dump(mode="json")}

    def markdown(self) -> str:
        """The report for a reader."""
        against = f"champion {self.champion}" if self.champion else "naive rules (no champion yet)"
        verdict = "accepted" if self.accepted else "refused"
        rows = [
            f"| {one.name} | {'passed' if one.passed else 'REFUSED'} | {one.says} |"
            for one in self.gates
        ]
        return "\n".join(
            [
                f"# Release {self.challenger} of {self.source}: {verdict}",
                "",
                f"Against {against}. Trained by {self.trained_by or 'unknown'}; "
                f"put forward by {self.approval.by} at {self.approval.at.isoformat()}: "
                f"{self.approval.reason}",
                "",
                "| gate | verdict | why |",
                "|---|---|---|",
                *rows,
                "",
            ]
        )


def promote(
    registry: Registry,
    source: Source,
    named: str,
    approval: Approval,
    margin: float = MARGIN,
    out: Path | None = None,
    progress: Progress = lambda _: None,
) -> GateReport:
    """Let a release be the champion, if it passes every gate.

    Parameters
    ----------
    registry
        Runs and champions of the source.
    source
        The bank, with the data that the release was trained on.
    named
        The challenger: MLflow run id, release id or folder of a logged release.
    approval
        Who agrees, and why.
    margin
        By how much a metric may be worse, in its own unit.
    out
        Folder to put the champion's release into; an earlier release is replaced.
    progress
        Called with the name of each step.

    Raises
    ------
    PromotionError
        There is no such run, it is the champion already, or another became it meanwhile.
    """
    if out is not None:
        check_replaceable(out)
    run, champion = registry.find(named), registry.champion()
    if champion is not None and champion.release == run.release:
        raise PromotionError(f"release {run.release} is the champion of '{registry.model}' already")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        challenger = _fetch(registry, run.run_id, work / "challenger")
        check_catalog(challenger, source.catalog)
        sitting = None if champion is None else _fetch(registry, champion.run_id, work / "champion")
        found = _gates(source, run, challenger, sitting, approval, margin, work / "again", progress)
        report = GateReport(
            source=source.config.name,
            challenger=run.release,
            run_id=run.run_id,
            trained_by=run.trained_by,
            champion=champion.release if champion else None,
            approval=approval,
            gates=tuple(found),
        )
        stamp = approval.at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        registry.keep(run.run_id, stamp, report.told(), report.markdown())
        if report.accepted:
            tags = {
                "trained_by": run.trained_by or "",
                "approved_by": approval.by,
                "approved_at": approval.at.isoformat(),
                "reason": approval.reason,
                "report": f"promotion/{stamp}.json",
            }
            with _placed(challenger, out):
                registry.crown(run, champion, tags)
    return report


def rollback(
    registry: Registry, approval: Approval, out: Path | None = None
) -> tuple[Reign, Reign]:
    """Make the champion before this one the champion again; gives the one left and that one.

    Raises `PromotionError` where there is none.
    """
    left, before = registry.succession()
    tags = {
        "rolled_back_by": approval.by,
        "rolled_back_at": approval.at.isoformat(),
        "rolled_back_because": approval.reason,
    }
    with tempfile.TemporaryDirectory() as folder:
        release = _fetch(registry, before.run_id, Path(folder))
        with _placed(release, out):
            registry.restore(left, before, tags)
    return left, before


def _fetch(registry: Registry, run_id: str, into: Path) -> Release:
    into.mkdir(exist_ok=True)
    return Release.load(registry.fetch(run_id, into))


@contextmanager
def _placed(release: Release, out: Path | None) -> Iterator[None]:
    """Copy a release, and let the copy take its place if what is done meanwhile succeeds."""
    if out is None:
        yield
        return
    with replacing(out) as folder:
        shutil.copytree(release.folder, folder, dirs_exist_ok=True)
        Release.load(folder)
        yield


def _gates(
    source: Source,
    run: LoggedRelease,
    challenger: Release,
    champion: Release | None,
    approval: Approval,
    margin: float,
    again: Path,
    progress: Progress,
) -> Iterator[Gate]:
    """The gates in order; after one that leaves nothing to measure, no more."""
    people = gates.two_people(run.trained_by, approval.by)
    yield people
    if not people.passed:
        return
    if champion is not None:
        same = gates.comparable(champion.manifest, challenger.manifest)
        yield same
        if not same.passed:
            return
    config = RunConfig.model_validate(challenger.manifest.config)
    progress("training again")
    trained = train(config, source, again, challenger.manifest.windows["test"][0], progress)
    equal = gates.reproduced(challenger.manifest, trained.release.manifest)
    yield equal
    if not equal.passed:
        return
    for head in trained.heads:
        progress(f"judging {head}")
        yield from _head_gates(trained, head, champion, margin)


def _head_gates(
    trained: TrainingRun, head: Head, champion: Release | None, margin: float
) -> Iterator[Gate]:
    """Challenger (as trained again) and opponent on the same test rows of a head."""
    rows, seed = trained.heads[head], trained.config.seed
    held: HeldOut[Any] = rows.held_out("test")
    x = rows.x[rows.split["test"]]
    p = held.predict(getattr(trained.release, head), x, trained.config.threads)
    values = held.values(p)
    against, opponent = _opponent(rows, held, head, champion)
    counted = ~np.isnan(values)
    pair = values[counted], opponent[counted], held.customers[counted]
    segments = segments_of(x[counted], trained.release.feature_set)
    yield gates.not_worse(head, held.metric, *pair, against=against, margin=margin, seed=seed)
    yield gates.calibrated(head, _forecasts(held, p))
    yield gates.fair(head, held.metric, *pair, segments=segments, seed=seed)
    yield gates.honest(head, _leak_checks(rows, trained.config, head))


def _opponent(
    rows: StartHead | ChoiceHead, held: HeldOut[Any], head: Head, champion: Release | None
) -> tuple[str, Vector]:
    """The champion's metric row by row; the best naive rule's where no champion has the head."""
    if champion is None or head not in champion.manifest.heads:
        naive = rows.naive_values()
        best = max(naive, key=lambda name: float(np.nanmean(naive[name])))
        return f"the naive rule '{best}'", naive[best]
    table = build(held.spine, available_features(held.spine.on_duckdb))
    p = held.predict(getattr(champion, head), champion.feature_set.encode(table))
    return f"champion {champion.id}", held.values(p)


def _forecasts(held: HeldOut[Any], p: Matrix) -> Forecasts:
    row, group = np.nonzero(held.possible)
    customer = np.unique(held.customers, return_inverse=True)[1]
    happened = held.labels[row, group].astype(np.float64)
    return Forecasts(held.classes, group, p[row, group], happened, customer[row])


def _leak_checks(rows: StartHead | ChoiceHead, config: RunConfig, head: Head) -> LeakChecks:
    """The sentinel's look at the classes with most events, each as a model of its own."""
    both: HeldOut[Any] = rows.held_out("train", "test")
    numbers = np.concatenate([rows.split["train"], rows.split["test"]])
    trained, months = len(rows.split["train"]), _months(both)
    events = (both.labels & both.possible)[trained:].sum(axis=0)
    checks: LeakChecks = {}
    # of two classes one is the other turned round
    most = min(SENTINEL_CLASSES, len(events) - 1)
    for k in np.argsort(-events, kind="stable")[:most]:
        random = np.random.default_rng(config.seed)
        ids = np.flatnonzero(both.possible[:, k])
        known, later = _drawn(ids[ids < trained], random), _drawn(ids[ids >= trained], random)
        if min(both.labels[known, k].sum(), both.labels[later, k].sum()) < SENTINEL_POSITIVES:
            continue
        chosen = np.concatenate([known, later])
        checks[both.classes[k]] = check_leakage(
            rows.x[numbers[chosen]],
            both.labels[chosen, k].astype(np.float64),
            rows.feature_set.names,
            _specification(getattr(config, head), config.seed, config.threads),
            np.arange(len(known)),
            np.arange(len(known), len(chosen)),
            months[chosen],
            seed=config.seed,
        )
    return checks


def _drawn(ids: Rows, random: np.random.Generator) -> Rows:
    """Enough of these row numbers to tell a leak, in order."""
    if len(ids) <= SENTINEL_ROWS:
        return ids
    return np.sort(random.choice(ids, SENTINEL_ROWS, replace=False))


def _months(held: HeldOut[Any]) -> Rows:
    """Month of each row, a number: the sentinel compares rows of the same one only."""
    as_of = held.spine.arrow()["as_of"].to_numpy()
    return np.asarray(as_of.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64))


@dataclass(frozen=True)
class _Binary:
    """A booster as the sentinel asks it."""

    booster: lgb.Booster
    threads: int

    @property
    def gain(self) -> Vector:
        return np.asarray(self.booster.feature_importance("gain"), dtype=np.float64)

    def score(self, x: Matrix) -> Vector:
        return np.asarray(self.booster.predict(x, num_threads=self.threads), dtype=np.float64)


def _specification(config: BoosterConfig, seed: int, threads: int) -> Fit:
    """The head's own parameters, for one class against the rest."""
    parameters = config.parameters(seed, threads, objective="binary")

    def fit(x: Matrix, labels: Vector, names: tuple[str, ...]) -> _Binary:
        dataset = lgb.Dataset(x, labels, params=parameters)
        rounds = min(config.max_rounds, SENTINEL_ROUNDS)
        return _Binary(lgb.train(parameters, dataset, rounds), threads)

    return fit
