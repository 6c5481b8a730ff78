"""`python -m serving swap`: another release in the place of the one served, or the one before."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Annotated, Optional

import typer

from features.errors import OnePointError
from features.terminal import print_json
from serving.config import WorkFolder, load_service_config
from serving.options import CatalogOption, JsonOption, WorkOption
from serving.releases import (
    WorkerRelease,
    check_features,
    go_back,
    install,
    load_release,
    open_scorer,
    workers,
)
from serving.startup import load_rules

POLL_S = 0.2


def swap_command(
    work: WorkOption,
    release: Annotated[
        Optional[Path],  # noqa: UP045 (typer reads it)
        typer.Option("--release", help="folder of the release to serve from now on"),
    ] = None,
    back: Annotated[
        bool, typer.Option("--back", help="serve the release before this one again")
    ] = False,
    catalog: CatalogOption = None,
    wait_s: Annotated[
        float, typer.Option("--wait-s", min=0, help="how long to wait for the workers")
    ] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Swap the release under a running service, in every worker, and wait until all have it."""
    if (release is None) != back:
        raise OnePointError("swap: give either --release FOLDER or --back")
    folder = WorkFolder(work)
    check = partial(_check, folder, catalog)
    if release is not None:
        install(folder, release, check)
    else:
        go_back(folder, check)
    serving = load_release(folder.release).id
    followed = _wait_for_workers(folder, serving, wait_s)
    refused = [one for one in followed if one.release != serving]
    if refused:
        go_back(folder, lambda _: None)
        why = refused[0].refused or f"still on {refused[0].release} after {wait_s:g} s"
        raise OnePointError(
            f"{len(refused)} of {len(followed)} workers did not take up {serving}: {why}; "
            "the release before it is served again"
        )
    if as_json:
        print_json({"release": serving, "workers": [one.pid for one in followed]})
    else:
        number = len(followed)
        told = f"{number} workers serve it" if number else "no worker runs; the next start will"
        typer.echo(f"release {serving}: {told}")


def _check(work: WorkFolder, catalog: str | None, folder: Path) -> None:
    rules = load_rules(work, catalog)
    check_features(open_scorer(folder, rules, load_service_config(work)), work)


def _wait_for_workers(work: WorkFolder, release: str, wait_s: float) -> list[WorkerRelease]:
    until = time.monotonic() + wait_s
    while True:
        found = workers(work)
        decided = all(one.release == release or one.refused for one in found)
        if decided or time.monotonic() >= until:
            return found
        time.sleep(POLL_S)
