"""The rulebook: catalog, scorecard, policy and approved sentences, checked against each other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from features.catalog import Catalog, Channel, Offer, Stage, load_catalog
from features.config import parse_config, read_yaml
from features.errors import ConfigError, did_you_mean
from serving.decide.actions import ActionSets
from serving.decide.cells import Cell, Cells, fill_cells
from serving.decide.deployment import Deployment, deployment_of
from serving.decide.door import Door, door_of
from serving.decide.gates import exclusion_codes
from serving.decide.phrases import Phrases, parse_phrases
from serving.decide.policy import Policy
from serving.decide.reason_rules import ReasonRule, Spot
from serving.decide.reasons import ALWAYS_NEEDED, said_at
from serving.decide.record import Scores
from serving.decide.scorecard import Scorecard


@dataclass(frozen=True)
class Rulebook:
    """All that a decision needs to know of the bank; never changes once loaded.

    ``cells`` is the scorecard written out: (offer, stage, segment) → handle channel → cell.
    ``catalog_version`` changes with channels, offers, scorecard or sentences,
    ``policy_version`` with the policy (12 hexadecimal digits of a sha256 of the parsed content).
    """

    catalog: Catalog
    scorecard: Scorecard
    cells: Cells
    policy: Policy
    phrases: Phrases
    catalog_version: str
    policy_version: str

    @cached_property
    def first_stages(self) -> dict[str, Stage]:
        """The stage at which each offer begins: services and care have no application."""
        offers = self.catalog.offers
        return {one.id: "application" if one.kind == "product" else "servicing" for one in offers}

    @cached_property
    def handles(self) -> tuple[Channel, ...]:
        """The channels where a step can be handled, in catalog order."""
        return tuple(self.catalog.channel_by_id[handle] for handle in self.catalog.handle_ids)

    @cached_property
    def sets(self) -> ActionSets:
        """The candidates, as the gates count with them."""
        return ActionSets(self.catalog)

    @cached_property
    def _deployments(self) -> dict[tuple[tuple[Stage, ...], str], Deployment]:
        return {}

    def deployment(self, stages: tuple[Stage, ...], segment: str) -> Deployment:
        """Say what the scorecard forbids a segment at these stages, one an offer; remembered."""
        found = self._deployments.get((stages, segment))
        if found is None:
            by_offer = dict(zip(self.catalog.offer_ids, stages, strict=True))
            found = deployment_of(by_offer, segment, self.cells, self.sets)
            self._deployments[stages, segment] = found
        return found

    @cached_property
    def _doors(self) -> dict[str, Door]:
        return {}

    def door(self, channel: str) -> Door:
        """Say what going on at each handle takes from a channel; remembered."""
        found = self._doors.get(channel)
        if found is None:
            reach = self.catalog.channel_by_id[channel]
            found = self._doors[channel] = door_of(reach, self.handles, self.policy)
        return found

    @cached_property
    def _said(self) -> dict[tuple[str, str, str, bool], tuple[ReasonRule, ...]]:
        return {}

    def said_at(
        self, offer: Offer, handle: Channel, reach: Channel, personal: bool
    ) -> tuple[ReasonRule, ...]:
        """Name the reasons that may apply to an offer done at a handle; remembered."""
        key = offer.id, handle.id, reach.id, personal
        found = self._said.get(key)
        if found is None:
            found = self._said[key] = said_at(Spot(self, offer, handle, reach), personal)
        return found

    @cached_property
    def zone(self) -> ZoneInfo:
        """The bank's time zone."""
        return self.policy.zone

    def cell(self, offer: str, stage: Stage, handle: str, segment: str) -> Cell | None:
        """Return the scorecard's cell for a segment of customers, None where no rule names it."""
        return self.cells[offer, stage, segment].get(handle)

    @cached_property
    def handle_ids(self) -> tuple[str, ...]:
        """Ids of `handles`."""
        return self.catalog.handle_ids

    @cached_property
    def handle_place(self) -> dict[str, int]:
        """The place of each handle channel among `handles`."""
        return {handle: place for place, handle in enumerate(self.handle_ids)}

    @cached_property
    def popular(self) -> Scores:
        """What is believed of every offer where neither a model nor a count speaks of it."""
        popularity, offers = self.policy.popularity, self.catalog.offers
        width = len(self.handles)
        return Scores(
            offers=self.catalog.offer_ids,
            handles=self.handle_ids,
            p_start=tuple(popularity.p_start[offer.kind] for offer in offers),
            p_start_is=("popularity",) * len(offers),
            amount_cny=tuple(offer.expected_amount_cny or 0.0 for offer in offers),
            preference=((1.0 / width,) * width,) * len(offers),
            completion=((popularity.completion,) * width,) * len(offers),
        )


def load_rulebook(folder: Path, policy_path: Path | None = None) -> Rulebook:
    """Read a catalog folder whole: channels, offers, scorecard, policy and reasons.

    ``policy_path`` is a policy to try instead of the folder's own.

    Raises
    ------
    ConfigError
        A file is absent, breaks its form, or names what another file does not have; the message
        names the file, the place and the nearest match.
    """
    catalog = load_catalog(folder)
    card_path, policy_path = folder / "scorecard.yaml", policy_path or folder / "policy.yaml"
    raw = {
        name: read_yaml(folder / f"{name}.yaml")
        for name in ("channels", "offers", "scorecard", "reasons")
    }
    raw_policy = read_yaml(policy_path)
    scorecard = parse_config(raw["scorecard"], Scorecard, str(card_path))
    policy = parse_config(raw_policy, Policy, str(policy_path))
    phrases = parse_phrases(raw["reasons"], str(folder / "reasons.yaml"))
    _check_policy_names(policy, catalog, str(policy_path))
    _check_codes(phrases, folder / "reasons.yaml")
    return Rulebook(
        catalog=catalog,
        scorecard=scorecard,
        cells=fill_cells(scorecard, catalog, str(card_path)),
        policy=policy,
        phrases=phrases,
        catalog_version=_version(list(raw.values())),
        policy_version=_version(raw_policy),
    )


def _check_policy_names(policy: Policy, catalog: Catalog, where: str) -> None:
    for key, names in policy.channels_named().items():
        for name in names:
            if name not in catalog.channel_by_id:
                hint = did_you_mean(name, catalog.channel_ids)
                raise ConfigError(f"{where}: '{key}' names unknown channel '{name}'; {hint}")
    for key, name in policy.offers_named().items():
        if name not in catalog.offer_by_id:
            hint = did_you_mean(name, catalog.offer_ids)
            raise ConfigError(f"{where}: '{key}' names unknown offer '{name}'; {hint}")
    categories = sorted({offer.category for offer in catalog.offers})
    triggers = ("maturity_categories", "idle_cash_categories", "tier_gap_categories")
    named = {f"triggers.{key}": getattr(policy.triggers, key) for key in triggers}
    named["own_money_categories"] = policy.own_money_categories
    named["agency_categories"] = policy.agency_categories
    for key, names in named.items():
        for name in names:
            if name not in categories:
                hint = did_you_mean(name, categories)
                raise ConfigError(f"{where}: '{key}' names unknown '{name}'; {hint}")


def _check_codes(phrases: Phrases, path: Path) -> None:
    lost = [code for code in (*exclusion_codes(), *ALWAYS_NEEDED) if code not in phrases.by_code]
    if lost:
        raise ConfigError(f"{path}: no text for {', '.join(lost)}; the rules need each of them")


def _version(content: Any) -> str:
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()[:12]
