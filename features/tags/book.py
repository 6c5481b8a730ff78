"""The tag book: what a bank sets about its tags, in `configs/catalog/<name>/tags/*.yaml`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from features.catalog import Names
from features.config import StrictConfig, load_yaml
from features.errors import ConfigError, did_you_mean

TagGroup = Literal[
    "value", "life", "cycle", "event", "activity", "channel", "product", "benefit", "experience",
    "gate", "org",
]  # fmt: skip
TAG_GROUPS: dict[TagGroup, tuple[str, str]] = {
    "value": ("价值", "value"),
    "life": ("人生阶段", "life stage"),
    "cycle": ("客户关系", "relationship"),
    "event": ("事件", "events"),
    "activity": ("活跃", "activity"),
    "channel": ("渠道", "channels"),
    "product": ("产品", "products"),
    "benefit": ("权益", "benefits"),
    "experience": ("体验", "experience"),
    "gate": ("准入", "gates"),
    "org": ("归属", "belonging"),
}
ALL_GROUPS: tuple[TagGroup, ...] = tuple(TAG_GROUPS)
Threshold = float | str | tuple[float, ...] | tuple[str, ...]


class TagSettings(StrictConfig):
    """What a bank may set about one tag.

    ``kind`` is where its truth comes from (事实/规则/模型). ``shape`` tells how its value reads: a
    ``flag`` is yes (1) or no (0), a ``band`` an index into ``words``, a ``number`` in ``unit``, a
    ``text`` an id or a word. ``validity_days`` is how long a value may be used after the moment it
    speaks of; an event tag ends earlier, where its own rule says so. ``thresholds`` are the rule's
    parameters.
    """

    group: TagGroup
    kind: Literal["fact", "rule", "model"]
    names: Names
    definition: Names
    shape: Literal["flag", "band", "number", "text"]
    unit: str = ""
    words: tuple[Names, ...] = ()
    owner: str = Field(min_length=1)
    validity_days: float = Field(gt=0)
    say_to_customer: bool
    core: bool
    thresholds: dict[str, Threshold] = {}

    @model_validator(mode="after")
    def _reads_well(self) -> TagSettings:
        if (self.shape == "band") != bool(self.words):
            raise ValueError("words go with shape band: one per band, from the lowest")
        if (self.shape == "number") != bool(self.unit):
            raise ValueError("unit goes with shape number")
        return self

    def number(self, name: str) -> float:
        """Give a threshold that is one number."""
        value = self._threshold(name)
        if not isinstance(value, float):
            raise ConfigError(f"threshold '{name}' of tag '{self.names.zh}' is not one number")
        return value

    def numbers(self, name: str) -> tuple[float, ...]:
        """Give a threshold that is a list of numbers."""
        value = self._threshold(name)
        found = value if isinstance(value, tuple) else ()
        numbers = tuple(one for one in found if isinstance(one, float))
        if not numbers or numbers != found:
            raise ConfigError(f"threshold '{name}' of tag '{self.names.zh}' is no list of numbers")
        return numbers

    def strings(self, name: str) -> tuple[str, ...]:
        """Give a threshold that is a list of words (ids of offers, say)."""
        value = self._threshold(name)
        found = value if isinstance(value, tuple) else ()
        words = tuple(one for one in found if isinstance(one, str))
        if not words or words != found:
            raise ConfigError(f"threshold '{name}' of tag '{self.names.zh}' is no list of words")
        return words

    def _threshold(self, name: str) -> Threshold:
        if name not in self.thresholds:
            near = did_you_mean(name, self.thresholds)
            raise ConfigError(f"tag '{self.names.zh}' has no threshold '{name}'; {near}")
        return self.thresholds[name]


class NotCarried(StrictConfig):
    """A tag of the standard list that the tables of the contract cannot give, and what is lacking.

    ``lacks`` names the table or column that would be needed.
    """

    group: TagGroup
    names: Names
    core: bool
    lacks: str = Field(min_length=1)


class _File(StrictConfig):
    tags: dict[str, TagSettings] = {}
    not_carried: dict[str, NotCarried] = {}


class TagBook(StrictConfig):
    """Every tag of a catalog by code, in file order, and the ones that cannot be carried."""

    tags: dict[str, TagSettings]
    not_carried: dict[str, NotCarried]

    def __getitem__(self, code: str) -> TagSettings:
        """Settings of one tag; `ConfigError` where the book has none of that code."""
        if code not in self.tags:
            raise ConfigError(f"no settings for tag '{code}'; {did_you_mean(code, self.tags)}")
        return self.tags[code]


@cache
def load_tag_book(catalog_folder: Path, groups: tuple[TagGroup, ...] = ALL_GROUPS) -> TagBook:
    """Read `tags/*.yaml` of a catalog folder, one file a group; without them the book is empty."""
    tags: dict[str, TagSettings] = {}
    not_carried: dict[str, NotCarried] = {}
    for group in groups:
        path = catalog_folder / "tags" / f"{group}.yaml"
        if not path.is_file():
            continue
        file = load_yaml(path, _File)
        told: dict[str, TagSettings | NotCarried] = {**file.tags, **file.not_carried}
        for code, one in told.items():
            if one.group != group:
                raise ConfigError(f"{path}: tag '{code}' says group '{one.group}', not '{group}'")
            if code in tags or code in not_carried:
                raise ConfigError(f"{path}: tag '{code}' stands twice; codes are unique")
        tags |= file.tags
        not_carried |= file.not_carried
    return TagBook(tags=tags, not_carried=not_carried)
