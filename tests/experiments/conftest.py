"""`python -m experiments` in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.__main__ import app

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def experiments(monkeypatch, typed) -> Callable[..., tuple[int, str, str]]:
    """Run the command line as a person does; gives exit code, stdout and stderr."""
    monkeypatch.chdir(ROOT)

    def call(*words: object) -> tuple[int, str, str]:
        return typed(app, "experiments", *words)

    return call
