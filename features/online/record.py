"""What is stored of a customer, and what a store says of itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt
from pydantic import AwareDatetime

from features.config import StrictConfig
from features.errors import OnePointError
from features.state import CustomerState

Vector = npt.NDArray[np.float64]

Row = tuple[str, bytes | memoryview | None, str, str | None]
"""A customer as written: id, vector (float64, little-endian; None without features), state JSON,
and tags (`features.tags.packed`; None without), which are kept apart: decisions do not read them.
"""

Written = tuple[bytes | None, str | bytes]
"""A customer as read: vector and state."""


def batches(rows: Iterable[Row], most: int) -> Iterator[list[Row]]:
    """Give rows as they come, up to ``most`` at once."""
    iterator = iter(rows)
    while batch := list(itertools.islice(iterator, most)):
        yield batch


class OnlineStoreError(OnePointError):
    """The online store is absent, unreadable or not of the form this version writes."""


class OnlineStoreUnreachable(OnlineStoreError):
    """What holds the store does not answer, or answers that this user may not read there."""


@dataclass(frozen=True)
class OnlineRecord:
    """One customer as published: `vector` has shape (F,) float64, or is None without features."""

    customer_id: str
    as_of: datetime
    vector: Vector | None
    state: CustomerState


class StoreMeta(StrictConfig):
    """What all vectors of a store have in common: feature-set version, moment, feature names."""

    version: str
    as_of: AwareDatetime
    names: tuple[str, ...]


class Published(Protocol):
    """An opened store of one version, whatever holds it; all but `close` may fail.

    They raise `OnlineStoreError`. ``where`` names the store to a person and holds no password.
    """

    where: str
    meta: StoreMeta

    def get(self, customer_id: str) -> Written | None:
        """Give a customer's vector and state as written; None for who is not there."""

    def get_many(self, customer_ids: Sequence[str]) -> list[Written | None]:
        """Give what `get` gives of each of some hundreds of customers, in their order."""

    def tags(self, customer_id: str) -> str | bytes | None:
        """Give a customer's tags as written; None for who has none there."""

    def customer_ids(self) -> list[str]:
        """Give all customers, in order of id."""

    def is_current(self) -> bool:
        """Whether no other version has taken this one's place."""

    def close(self) -> None:
        """Let go of the file or the connection."""
