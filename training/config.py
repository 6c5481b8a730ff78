"""What a training YAML may say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from features.config import StrictConfig, load_yaml
from features.errors import ConfigError
from training.models.channel_preference import ChannelPreferenceConfig
from training.models.expected_amount import ExpectedAmountConfig
from training.models.start_learner import NextProductConfig

Head = Literal["next_product", "channel_preference"]


class SplitConfig(StrictConfig):
    """Time splits, in order: warm-up, train, stop, calibrate, test.

    Months are for sources with monthly rows, shares (of the moments in time order) for those with
    a row per event; ``--test-from`` moves the start of the test.
    """

    warm_up_months: int = Field(default=12, ge=0)
    stop_months: int = Field(default=1, ge=1)
    calibrate_months: int = Field(default=2, ge=1)
    test_months: int = Field(default=3, ge=1)
    test_share: float = Field(default=0.2, gt=0, lt=1)
    stop_share: float = Field(default=0.1, gt=0, lt=0.5)
    calibrate_share: float = Field(default=0.1, gt=0, lt=0.5)


class RunConfig(StrictConfig):
    """A training run: which heads, how, on which splits.

    Completion and expected amounts are learned in every run, as far as the source tells of them.
    ``heads_from`` takes the sections of sibling YAML files instead of repeating them. Stability and
    faithfulness of explanations are measured on ``explained_rows`` of the test; 0 leaves that out,
    for studies over many banks: it trains the busiest products again with other seeds.
    ``tree_budget`` bounds the trees of all boosters, and with them the time an answer takes: a
    release that has more is not written.
    ``purpose`` is told to customers who ask what the algorithm uses, in Chinese as ``purpose_zh``.
    """

    name: str
    owner: str = "data science"
    purpose: str
    purpose_zh: str | None = None
    seed: int = 1
    threads: int = Field(default=2, ge=1)
    splits: SplitConfig = SplitConfig()
    explained_rows: int = Field(default=100, ge=0)
    tree_budget: int | None = Field(default=None, ge=1)
    next_product: NextProductConfig | None = None
    channel_preference: ChannelPreferenceConfig | None = None
    expected_amount: ExpectedAmountConfig = ExpectedAmountConfig()
    heads_from: tuple[str, ...] = ()

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads this run trains."""
        chosen: list[Head] = []
        if self.next_product is not None:
            chosen.append("next_product")
        if self.channel_preference is not None:
            chosen.append("channel_preference")
        return tuple(chosen)


def load_run_config(path: Path) -> RunConfig:
    """Parse a training YAML and the siblings it takes heads from.

    A head written in the file itself goes before a sibling's.
    """
    return _load(path, ())


def _load(path: Path, asked_by: tuple[Path, ...]) -> RunConfig:
    if path.resolve() in asked_by:
        raise ConfigError(f"{path}: takes its heads from itself; mend heads_from")
    config = load_yaml(path, RunConfig)
    taken: dict[str, object] = {}
    for name in config.heads_from:
        sibling = _load(path.parent / name, (*asked_by, path.resolve()))
        taken.update({head: getattr(sibling, head) for head in sibling.heads})
    taken.update({head: getattr(config, head) for head in config.heads})
    merged = config.model_copy(update=taken)
    if not merged.heads:
        raise ConfigError(
            f"{path}: trains nothing; give next_product, channel_preference or heads_from"
        )
    return merged


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names.

    >>> flat({"seed": 1, "splits": {"stop_months": 2}})
    {'seed': 1, 'splits.stop_months': 2}
    """
    found: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found
