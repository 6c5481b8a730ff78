"""All features of a catalog, and those of them that a given bank can have."""

from __future__ import annotations

from features.bank import Bank
from features.catalog import Catalog
from features.customer import (
    activity,
    asset_size,
    channel_history,
    demand,
    experience,
    holdings,
    life_stage,
)
from features.feature import Feature
from features.histories import HISTORIES

_GROUP_MODULES = (
    asset_size, life_stage, activity, channel_history, holdings, experience, demand,
)  # fmt: skip


def all_features(catalog: Catalog) -> list[Feature]:
    """Every declared feature of a catalog, in a fixed order; names are unique."""
    declared = [feature for module in _GROUP_MODULES for feature in module.features(catalog)]
    names = [feature.name for feature in declared]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"features declared twice: {sorted(twice)}")
    return declared


def available_features(source: Bank) -> list[Feature]:
    """Keep the features whose tables and columns the bank brings."""
    kept: list[Feature] = []
    names: set[str] = set()
    for feature in all_features(source.catalog):
        table = HISTORIES[feature.history][0] if feature.history else ""
        needs = (*((table,) if table else ()), *feature.needs)
        if all(source.has(need) for need in needs) and names.issuperset(feature.inputs):
            kept.append(feature)
            names.add(feature.name)
    return kept
