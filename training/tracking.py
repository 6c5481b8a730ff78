"""MLflow: every run is kept for the reviewer. The only module that imports mlflow."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from training.config import flat
from training.errors import TrainingError
from training.model_card import model_card
from training.provenance import data_hash, git_commit
from training.review_folder import write_review
from training.run import TrainingRun

logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)


def database_url(work: Path) -> str:
    """The SQLite database of a work folder."""
    return f"sqlite:///{(work / 'mlflow.db').resolve()}"


def log_run(run: TrainingRun, work: Path, tracking_uri: str | None = None) -> str:
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

    Returns
    -------
    str
        The MLflow run id.
    """
    work.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri or database_url(work))
    name = f"onepoint/{run.source}"
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = None if tracking_uri else (work / "mlflow_artifacts").resolve().as_uri()
        experiment_id = client.create_experiment(name, artifact_location=location)
    else:
        experiment_id = experiment.experiment_id
    with tempfile.TemporaryDirectory() as folder:
        review = write_review(run, Path(folder))
        title = f"{run.config.name} {run.release.id}"
        with _kept(client, experiment_id, title, _tags(run)) as run_id:
            for key, value in flat(run.config.model_dump(mode="json")).items():
                client.log_param(run_id, key, value)
            for name, seconds in run.seconds.items():
                client.log_metric(run_id, f"seconds_{name}", seconds)
            _log_metrics(client, run_id, run.metrics())
            client.log_artifacts(run_id, str(review.run))
            # the page of runs shows the newest first: the last head is logged before the first
            for number, (head, path) in reversed([*enumerate(review.heads.items(), start=1)]):
                tags = {MLFLOW_PARENT_RUN_ID: run_id, "head": head, "release": run.release.id}
                with _kept(client, experiment_id, f"{number} {head}", tags) as child:
                    _log_metrics(client, child, run.reports[head].metrics)
                    client.log_artifacts(child, str(path))
    return run_id


def release_of(run_id: str, work: Path, into: Path, tracking_uri: str | None = None) -> Path:
    """Fetch the release that a run made into a folder; `TrainingError` where there is none."""
    client = MlflowClient(tracking_uri or database_url(work))
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
