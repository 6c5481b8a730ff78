"""A copy of the bank's catalog that a test may spoil, and the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.__main__ import app
from serving.config import CATALOGS

CLOCK = "2026-07-01T10:00+08:00"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CATALOGS / "bank", tmp_path / "bank"))


@pytest.fixture
def change(folder: Path) -> Callable[..., None]:
    """Put one text for another, once, in the copy's scorecard; or add lines at its end."""

    def put(old: str = "", new: str = "", add: str = "") -> None:
        file = folder / "scorecard.yaml"
        text = file.read_text("utf-8")
        assert old in text, "the test is stale"
        file.write_text(text.replace(old, new, 1) + add, "utf-8")

    return put


@pytest.fixture
def scorecard(typed):
    """Run `python -m serving scorecard` as a person does; gives exit code, stdout and stderr."""

    def call(*words: object) -> tuple[int, str, str]:
        return typed(app, "serving", "scorecard", *words)

    return call
