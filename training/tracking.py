"""MLflow: every run is kept for the reviewer. The only module that imports mlflow."""

from __future__ import annotations

import json
import logging
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from training.config import flat
from training.errors import PromotionError, TrainingError
from training.model_card import model_card
from training.provenance import data_hash, git_commit
from training.review_folder import write_review
from training.run import TrainingRun
from training.tuning import HeadStudy, TrialResult

logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

TRAINED_BY = "trained_by"
CHAMPION = "champion"


def database_url(work: Path) -> str:
    """The SQLite database of a work folder."""
    return f"sqlite:///{(work / 'mlflow.db').resolve()}"


def log_run(
    run: TrainingRun,
    work: Path,
    tracking_uri: str | None = None,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Keep a finished run for its reviewer, with a child run for each head, in order.

    The run has card, configuration, data, release and all metrics; a child its head's metrics,
    pictures and tables (`training.review_folder`).

    Parameters
    ----------
    run
        What `training.run.train` gave.
    work
        Folder of the SQLite database and of the artifacts, used unless `tracking_uri` is given.
    tracking_uri
        Another MLflow server or database.
    tags
        More to say of it: who trained it (`TRAINED_BY`), the studies that tuned it.

    Returns
    -------
    str
        The MLflow run id.
    """
    client, experiment_id = _experiment(run.source, work, tracking_uri)
    with tempfile.TemporaryDirectory() as folder:
        review = write_review(run, Path(folder))
        title = f"{run.config.name} {run.release.id}"
        with _kept(client, experiment_id, title, {**_tags(run), **tags}) as run_id:
            for key, value in flat(run.config.model_dump(mode="json")).items():
                client.log_param(run_id, key, value)
            for name, seconds in run.seconds.items():
                client.log_metric(run_id, f"seconds_{name}", seconds)
            _log_metrics(client, run_id, run.metrics())
            client.log_artifacts(run_id, str(review.run))
            # the page of runs shows the newest first: the last head is logged before the first
            for number, (head, path) in reversed([*enumerate(review.heads.items(), start=1)]):
                own = {MLFLOW_PARENT_RUN_ID: run_id, "head": head, "release": run.release.id}
                with _kept(client, experiment_id, f"{number} {head}", own) as child:
                    _log_metrics(client, child, run.reports[head].metrics)
                    client.log_artifacts(child, str(path))
    return run_id


def release_of(run_id: str, work: Path, into: Path, tracking_uri: str | None = None) -> Path:
    """Fetch the release that a run made into a folder; `TrainingError` where there is none."""
    return _fetched(MlflowClient(tracking_uri or database_url(work)), run_id, into)


def _fetched(client: MlflowClient, run_id: str, into: Path) -> Path:
    try:
        return Path(client.download_artifacts(run_id, "release", str(into)))
    except (MlflowException, OSError) as error:
        raise TrainingError(
            f"'{run_id}' is neither a release folder nor an MLflow run with a release ({error}); "
            "name one of them, and the runs' --work or MLFLOW_TRACKING_URI"
        ) from None


@contextmanager
def _kept(
    client: MlflowClient, experiment_id: str, name: str, tags: dict[str, str]
) -> Iterator[str]:
    """Begin a run, give its id, and end it as finished, or as failed where anything raises."""
    run_id: str = client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
    try:
        yield run_id
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _experiment(source: str, work: Path, tracking_uri: str | None) -> tuple[MlflowClient, str]:
    """The experiment that keeps the runs of a source, made where it is not there."""
    work.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri or database_url(work))
    name = f"onepoint/{source}"
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return client, experiment.experiment_id
    location = None if tracking_uri else (work / "mlflow_artifacts").resolve().as_uri()
    return client, client.create_experiment(name, artifact_location=location)


def _tags(run: TrainingRun) -> dict[str, str]:
    manifest = run.release.manifest
    return {
        "release": run.release.id,
        "source": run.source,
        "catalog": manifest.catalog,
        "owner": run.config.owner,
        "heads": ", ".join(manifest.heads),
        "code": git_commit(),
        "data": data_hash(manifest.data),
        "mlflow.note.content": model_card(run),
    }


def _log_metrics(client: MlflowClient, run_id: str, metrics: dict[str, float]) -> None:
    for name, value in metrics.items():
        if not math.isnan(value):
            client.log_metric(run_id, name, value)


def log_study(study: HeadStudy, source: str, work: Path, tracking_uri: str | None = None) -> str:
    """Keep a study as a run with a child for each trial, in order; gives the id of its run.

    Called after each trial, or after many: what is kept already is not kept twice.
    """
    client, experiment_id = _experiment(source, work, tracking_uri)
    found = client.search_runs([experiment_id], f"tags.study = '{study.name}'", max_results=1)
    parent = (
        found[0]
        if found
        else client.create_run(
            experiment_id,
            start_time=_milliseconds(study.default.begun),
            run_name=f"tune {study.head}",
            tags={"study": study.name, "head": study.head, "source": source},
        )
    )
    run_id: str = parent.info.run_id
    within = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run_id}'"
    kept = {
        one.data.tags["trial"]
        for one in client.search_runs([experiment_id], within, max_results=10_000)
    }
    for trial in study.trials:
        if str(trial.number) not in kept:
            _log_trial(client, experiment_id, run_id, study.head, trial)
    client.set_tag(run_id, "best_trial", str(study.best.number))
    client.set_tag(run_id, "mlflow.note.content", study.verdict)
    for name, value in {
        "trials": len(study.trials), "gain": study.gain,
        "default_log_loss": study.default.loss, "best_log_loss": study.best.loss,
    }.items():  # fmt: skip
        client.log_metric(run_id, name, value, step=len(study.trials))
    client.set_terminated(run_id, "FINISHED", _milliseconds(study.trials[-1].ended))
    return run_id


def _log_trial(
    client: MlflowClient, experiment_id: str, parent: str, head: str, trial: TrialResult
) -> None:
    run = client.create_run(
        experiment_id,
        start_time=_milliseconds(trial.begun),
        run_name=f"{head} trial {trial.number}" + (" (default)" if not trial.number else ""),
        tags={
            MLFLOW_PARENT_RUN_ID: parent,
            "trial": str(trial.number),
            "outcome": "pruned" if trial.loss is None else "complete",
        },
    )
    for name, value in trial.parameters.items():
        client.log_param(run.info.run_id, name, value)
    for fold, loss in enumerate(trial.losses):
        client.log_metric(run.info.run_id, "fold_log_loss", loss, step=fold)
    if trial.loss is not None:
        client.log_metric(run.info.run_id, "log_loss", trial.loss)
    client.set_terminated(run.info.run_id, "FINISHED", _milliseconds(trial.ended))


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


@dataclass(frozen=True)
class LoggedRelease:
    """A release that a run keeps; ``trained_by`` is None where the run does not say."""

    run_id: str
    release: str
    trained_by: str | None


@dataclass(frozen=True)
class Reign:
    """A version of the registered model: the release of a run, and why it became the champion."""

    version: str
    run_id: str
    tags: dict[str, str]

    @property
    def release(self) -> str:
        """Its release id."""
        return self.tags["release"]


class Registry:
    """The registered model of a source: its versions are releases, one has the alias `champion`.

    Parameters
    ----------
    source
        Name of the source.
    work
        Folder of the MLflow database, used unless `tracking_uri` is given.
    tracking_uri
        Another MLflow server or database.
    """

    def __init__(self, source: str, work: Path, tracking_uri: str | None = None) -> None:
        self.model = f"onepoint-{source}"
        self._source = source
        self._client, self._experiment_id = _experiment(source, work, tracking_uri)

    def find(self, named: str) -> LoggedRelease:
        """The finished run that keeps a release, named by run id, release id or release folder."""
        manifest = Path(named) / "manifest.json"
        release = json.loads(manifest.read_text("utf-8"))["id"] if manifest.is_file() else named
        quoted = str(release).replace("'", "")
        found = self._client.search_runs(
            [self._experiment_id],
            f"tags.source = '{self._source}' and tags.release = '{quoted}' "
            "and attributes.status = 'FINISHED'",
            max_results=1,
        )
        run = found[0] if found else self._run(named)
        tags = run.data.tags
        return LoggedRelease(run.info.run_id, tags["release"], tags.get(TRAINED_BY))

    def _run(self, run_id: str) -> Run:
        try:
            run = self._client.get_run(run_id)
        except MlflowException:
            run = None
        if (
            run is None
            or run.info.status != "FINISHED"
            or run.info.experiment_id != self._experiment_id
            or not {"release", "source"} <= set(run.data.tags)
        ):
            raise PromotionError(
                f"'{run_id}' is no finished training run of source '{self._source}', no release "
                "that one keeps, and no folder of such a release; `make mlflow` lists the runs"
            )
        return run

    def fetch(self, run_id: str, into: Path) -> Path:
        """Copy the release that a run keeps below a folder, as `release_of`; gives the copy."""
        return _fetched(self._client, run_id, into)

    def keep(self, run_id: str, name: str, report: dict[str, object], text: str) -> None:
        """Keep a gate report with the run it is about, as JSON and as Markdown."""
        self._client.log_dict(run_id, report, f"promotion/{name}.json")
        self._client.log_text(run_id, text, f"promotion/{name}.md")

    def champion(self) -> Reign | None:
        """What the alias points to; None where there is no champion yet."""
        try:
            return _reign(self._client.get_model_version_by_alias(self.model, CHAMPION))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def crown(self, run: LoggedRelease, instead_of: Reign | None, tags: Mapping[str, str]) -> Reign:
        """Register the release of a run as a new version and move the alias to it.

        `PromotionError` where the champion is not (or no longer) the one it was compared with.
        """
        if self.champion() != instead_of:
            raise PromotionError(f"'{self.model}' has another champion meanwhile; promote again")
        try:
            self._client.get_registered_model(self.model)
        except MlflowException:
            self._client.create_registered_model(self.model)
        told = {"release": run.release, **tags}
        if instead_of is not None:
            told["previous_version"] = instead_of.version
        artifacts = self._client.get_run(run.run_id).info.artifact_uri
        version = self._client.create_model_version(
            self.model, f"{artifacts}/release", run.run_id, tags=told
        )
        # last, and in one step: until here nothing that anybody looks at has changed
        self._client.set_registered_model_alias(self.model, CHAMPION, version.version)
        return _reign(version)

    def succession(self) -> tuple[Reign, Reign]:
        """The champion and the one before it; `PromotionError` where there are not two."""
        now = self.champion()
        if now is None:
            raise PromotionError(f"'{self.model}' has no champion: nothing to roll back")
        if "previous_version" not in now.tags:
            raise PromotionError(
                f"release {now.release} was the first champion: there is none to go back to; "
                "promote another release"
            )
        version = self._client.get_model_version(self.model, now.tags["previous_version"])
        return now, _reign(version)

    def restore(self, left: Reign, before: Reign, tags: Mapping[str, str]) -> None:
        """Move the alias back from one version to another; `tags` say why on the one left."""
        for name, value in tags.items():
            self._client.set_model_version_tag(self.model, left.version, name, value)
        self._client.set_registered_model_alias(self.model, CHAMPION, before.version)


def _reign(version: ModelVersion) -> Reign:
    return Reign(str(version.version), str(version.run_id), dict(version.tags))
