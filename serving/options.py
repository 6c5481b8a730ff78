"""Options that several commands of `python -m serving` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

WorkOption = Annotated[
    Path, typer.Option("--work", help="folder with release/, online.sqlite and keys.yaml")
]
CatalogOption = Annotated[
    Optional[str],  # noqa: UP045 (typer reads it)
    typer.Option("--catalog", help="name under configs/catalog; default: the release's"),
]
ClockOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--clock", help="pin the present, as in 2026-07-01T10:00+08:00"),
]
