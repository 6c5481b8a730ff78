"""Pasts that only tags about value, life and relationship read."""

from __future__ import annotations

from collections.abc import Callable

from features.history import Frame
from features.spine import Spine

HISTORIES: dict[str, tuple[str, Callable[[Spine], Frame]]] = {}
"""By name: the table it needs and how it is made."""
