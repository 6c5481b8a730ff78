"""A copy of the bank's catalog that a test may spoil, and the command line."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from features.terminal import run
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
def scorecard(monkeypatch, capsys):
    """Run `python -m serving scorecard` as a person does; gives exit code, stdout and stderr."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", "400")
        monkeypatch.setattr(sys, "argv", ["serving", "scorecard", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            run(app)
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return call
