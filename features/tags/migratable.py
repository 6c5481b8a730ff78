"""The little of the scorecard that tags read: which steps of which offers a channel may do.

Rules are chosen as serving chooses them: the most specific by offer, then channel, then stage
wins; a step that no rule names, and one whose rule has expired, may not be done. Rules for named
customer segments are left out: the tag says what the app does, the decision asks for whom.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from functools import reduce
from operator import or_
from typing import Literal

import narwhals.stable.v2 as nw
from pydantic import BaseModel, ConfigDict

from features.catalog import STAGES, Catalog, Channel, Offer
from features.config import parse_config, read_yaml
from features.source_config import CONFIGS

EPOCH = date(1970, 1, 1)


class _Rule(BaseModel):
    # what only the decision weighs (feasibility, basis, …) is not read here
    model_config = ConfigDict(extra="ignore", frozen=True)

    offers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    compliance: Literal["allowed", "forbidden"]
    expires: date | None = None

    @property
    def rank(self) -> tuple[int, int, int]:
        """How specific the rule is; a higher rank wins."""
        return (
            2 if self.offers else 1 if self.categories else 0,
            2 if self.channels else 1 if self.modes else 0,
            1 if self.stages else 0,
        )

    def names(self, offer: Offer, stage: str, channel: Channel) -> bool:
        """Whether the rule speaks of this step."""
        by_offer = offer.id in self.offers or offer.category in self.categories
        by_channel = channel.id in self.channels or channel.mode in self.modes
        return (
            not self.segments
            and (by_offer or not (self.offers or self.categories))
            and (by_channel or not (self.channels or self.modes))
            and (stage in self.stages or not self.stages)
        )


class _Scorecard(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    expires: date
    rules: tuple[_Rule, ...]


def allowed_steps(catalog: Catalog, channels: Iterable[str]) -> dict[tuple[str, str], date]:
    """Steps (offer, stage) that any of the channels may do, with the last day they may.

    Raises `ConfigError` where the catalog has no readable `scorecard.yaml`.
    """
    path = CONFIGS / "catalog" / catalog.name / "scorecard.yaml"
    card = parse_config(read_yaml(path), _Scorecard, str(path))
    found: dict[tuple[str, str], date] = {}
    for channel in (catalog.channel_by_id[one] for one in channels):
        for offer in catalog.offers:
            for stage in STAGES:
                rules = [rule for rule in card.rules if rule.names(offer, stage, channel)]
                winner = max(rules, key=lambda rule: rule.rank, default=None)
                if winner is not None and winner.compliance == "allowed":
                    last = winner.expires or card.expires
                    found[offer.id, stage] = max(last, found.get((offer.id, stage), last))
    return found


def done_in_app(catalog: Catalog, channels: Iterable[str]) -> nw.Expr:
    """Whether an interaction's product and stage may be done in any of the channels today."""
    by_day: dict[date, list[str]] = defaultdict(list)
    for (offer, stage), last in allowed_steps(catalog, channels).items():
        by_day[last].append(f"{offer}|{stage}")
    step = nw.concat_str("product", "stage", separator="|")
    return reduce(
        or_,
        (
            step.is_in(steps) & (nw.col("as_of_day") <= (last - EPOCH).days)
            for last, steps in by_day.items()
        ),
        nw.lit(False),
    )
