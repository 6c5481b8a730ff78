"""Errors of OnePoint: each says what was wrong, where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OnePointError(Exception):
    """Something a person must mend; the command line prints it without a traceback."""


class ConfigError(OnePointError):
    """A YAML file says something that it may not say."""


class SourceError(OnePointError):
    """A bank's files or database cannot be read as its source YAML says."""


class ContractError(OnePointError):
    """A table breaks the data contract; names table, column, count and example rows."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Name the nearest allowed word, and all of them when they are few.

    >>> did_you_mean("telller", ["teller", "video"])
    "did you mean 'teller'? allowed: teller, video"
    """
    words = sorted(allowed)
    near = difflib.get_close_matches(word, words, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    shown = ", ".join(words[:30]) + (f", … ({len(words)} in all)" if len(words) > 30 else "")
    return f"{hint}allowed: {shown}"
