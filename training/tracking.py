"""MLflow: every run is kept for the reviewer. The only module that imports mlflow."""

from __future__ import annotations

import json
import logging
import math
import tempfile
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient

from training.model_card import model_card
from training.plots import draw_all
from training.run import TrainingRun

logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)


def database_url(work: Path) -> str:
    """The SQLite database of a work folder."""
    return f"sqlite:///{(work / 'mlflow.db').resolve()}"


def log_run(run: TrainingRun, work: Path, tracking_uri: str | None = None) -> str:
    """Keep a finished run: configuration, data, metrics, pictures, tables, card and release.

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
    logged = client.create_run(experiment_id, run_name=f"{run.config.name} {run.release.id}")
    run_id: str = logged.info.run_id
    try:
        _fill(client, run_id, run)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
    return run_id


def _fill(client: MlflowClient, run_id: str, run: TrainingRun) -> None:
    manifest = run.release.manifest
    for key, value in _flat(run.config.model_dump(mode="json")).items():
        client.log_param(run_id, key, value)
    for key, tag in {
        "release": run.release.id,
        "source": run.source,
        "catalog": manifest.catalog,
        "owner": run.config.owner,
        "heads": ", ".join(manifest.heads),
        "mlflow.note.content": model_card(run),
    }.items():
        client.set_tag(run_id, key, tag)
    for name, metric in run.metrics().items():
        if not math.isnan(metric):
            client.log_metric(run_id, name, metric)
    client.log_dict(run_id, run.config.model_dump(mode="json"), "config.json")
    client.log_dict(run_id, {"tables": manifest.data, "windows": manifest.windows}, "data.json")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "model_card.md").write_text(model_card(run), "utf-8")
        for head, report in run.reports.items():
            for table, rows in report.tables.items():
                pd.DataFrame(rows).to_csv(root / f"{head}_{table}.csv", index=False)
            curves = json.dumps(report.curves, indent=1)
            (root / f"{head}_calibration.json").write_text(curves, "utf-8")
        draw_all(run, root)
        client.log_artifacts(run_id, folder)
    client.log_artifacts(run_id, str(run.release.folder), "release")


def _flat(nested: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
