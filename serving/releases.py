"""The release a work folder serves, and the one before it: put another in its place, go back.

`release/` is what is served, `release.previous/` what was. Nothing is written into either: a
release is copied beside them, checked there, and takes its name by a rename, which running workers
see within a second (`serving.following`).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from features.online import OnlineStore
from serving.config import ServiceConfig, WorkFolder
from serving.decide.rulebook import Rulebook
from serving.errors import StartError
from serving.scoring import Features, Scorer
from training.models.release import MANIFEST, Release, check_catalog


@dataclass(frozen=True)
class WorkerRelease:
    """What one worker serves; ``refused`` is why it did not take up the last one it was offered."""

    pid: int
    release: str
    refused: str | None = None


def open_scorer(folder: Path, rules: Rulebook, config: ServiceConfig) -> Scorer:
    """Load a release whose hashes, golden rows and catalog ids hold, ready for the next request."""
    return scorer_with(load_release(folder), rules, config)


def scorer_with(release: Release, rules: Rulebook, config: ServiceConfig) -> Scorer:
    """Make a loaded release ready for the next request; its ids must be the catalog's."""
    check_catalog(release, rules.catalog)
    scorer = Scorer(rules, release, config.top_features)
    scorer.warm_up()
    return scorer


def load_release(folder: Path) -> Release:
    """Load a release whose hashes and golden rows hold; never anything less."""
    if not folder.is_dir():
        raise StartError(
            f"release {folder}: no such folder; train one with `python -m training run`, or serve "
            "rules and popularity only with --without-release"
        )
    release = Release.load(folder)
    lacking = sorted({"next_product", "channel_preference"} - set(release.manifest.heads))
    if lacking:
        raise StartError(
            f"release {folder}: has no {' and no '.join(lacking)} model; "
            "train configs/training/release.yaml"
        )
    return release


def check_features(scorer: Scorer, work: WorkFolder) -> None:
    """Refuse a release that cannot read the customers as they are published."""
    with OnlineStore(work.online_store()) as store:
        nobody = Features(store.feature_names, store.version, np.empty(0))
        misfit = scorer.misfit(nobody)
    if misfit is not None:
        raise StartError(f"{work.path}: {misfit}")


def install(work: WorkFolder, folder: Path, check: Callable[[Path], object]) -> None:
    """Put a copy of the release in ``folder`` in the place of the one served, which is kept.

    ``check`` gets the copy and raises where it is not fit to be served; then nothing changes.
    """
    if not (folder / MANIFEST).is_file():
        raise StartError(f"--release {folder}: no {MANIFEST} there; name the folder of a release")
    coming = work.release.with_name("release.coming")
    with _alone(work):
        shutil.rmtree(coming, ignore_errors=True)
        try:
            shutil.copytree(folder, coming)
            check(coming)
            if work.release.exists():
                shutil.rmtree(work.previous_release, ignore_errors=True)
                work.release.rename(work.previous_release)
            coming.rename(work.release)
        finally:
            shutil.rmtree(coming, ignore_errors=True)


def go_back(work: WorkFolder, check: Callable[[Path], object]) -> None:
    """Serve the release before this one again; this one is then the one to go back to."""
    if not work.previous_release.is_dir():
        raise StartError(
            f"{work.previous_release}: no such folder: no release was swapped in here, so there is "
            "none to go back to"
        )
    with _alone(work):
        check(work.previous_release)
        leaving = work.release.with_name("release.leaving")
        if work.release.exists():
            work.release.rename(leaving)
        work.previous_release.rename(work.release)
        if leaving.exists():
            leaving.rename(work.previous_release)


@contextmanager
def _alone(work: WorkFolder) -> Iterator[None]:
    """Let one command at a time move the releases of a work folder."""
    with (work.path / "release.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def report(work: WorkFolder, served: WorkerRelease) -> None:
    """Leave word of what this worker serves, for the command that waits for it."""
    work.workers.mkdir(exist_ok=True)
    file = work.workers / f"{served.pid}.json"
    temporary = file.with_suffix(".writing")
    temporary.write_text(json.dumps(asdict(served)), "utf-8")
    temporary.replace(file)


def leave(work: WorkFolder) -> None:
    """Take this worker's word away: it stops."""
    (work.workers / f"{os.getpid()}.json").unlink(missing_ok=True)


def workers(work: WorkFolder) -> list[WorkerRelease]:
    """What each living worker of this machine serves; the words of dead ones are taken away."""
    living = []
    for file in sorted(work.workers.glob("*.json")):
        try:
            os.kill(int(file.stem), 0)
        except ProcessLookupError:
            file.unlink(missing_ok=True)
            continue
        living.append(WorkerRelease(**json.loads(file.read_text("utf-8"))))
    return living
