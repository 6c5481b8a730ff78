"""`python -m experiments` in this process."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.__main__ import app
from features.terminal import run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def experiments(monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Run the command line as a person does; gives exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.chdir(ROOT)

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["experiments", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            run(app)
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return call
