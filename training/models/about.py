"""What a release says of itself to whoever asks what the algorithm uses: a page of its card."""

from __future__ import annotations

from features.catalog import Names
from features.config import StrictConfig

ABOUT = "about.json"


class Worse(StrictConfig):
    """A group of customers that a head surely serves worse than all: its whole interval is below.

    ``segment`` is what groups are told apart by (age band, gender, region).
    """

    head: str
    segment: str
    group: str


class About(StrictConfig):
    """Purpose, what is read of a customer, limits and fairness, in Chinese and English.

    ``attributes`` are what of his person the features tell; ``heads_by_group`` the heads whose
    fairness by group could be measured, ``worse`` the groups found to be served worse.
    """

    owner: str
    purpose: Names
    intended: tuple[Names, ...]
    not_intended: tuple[Names, ...]
    attributes: tuple[Names, ...]
    limits: tuple[Names, ...]
    heads_by_group: tuple[str, ...]
    worse: tuple[Worse, ...]
