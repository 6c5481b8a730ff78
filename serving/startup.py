"""Opening all that the service needs; what is wrong stops it here, by name, not in an answer."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from features.errors import OnePointError, did_you_mean
from features.online import OnlineStoreError
from serving.config import CATALOGS, Clock, ServiceConfig, WorkFolder, load_service_config
from serving.decide.rulebook import Rulebook, load_rulebook
from serving.errors import StartError
from serving.keys import read_keys
from serving.logs import pseudonym_key
from serving.recommender import Recommender
from serving.releases import load_release, open_scorer, scorer_with
from serving.scoring import Scorer
from serving.stores.decisions import open_decision_store
from serving.stores.online import PublishedCustomers
from training.models.release import MANIFEST

WORK_VARIABLE = "ONEPOINT_WORK"
SUPERVISOR_VARIABLE = "ONEPOINT_SUPERVISOR"
CATALOG_VARIABLE = "ONEPOINT_CATALOG"
CLOCK_VARIABLE = "ONEPOINT_CLOCK"
WITHOUT_RELEASE_VARIABLE = "ONEPOINT_WITHOUT_RELEASE"


@dataclass(frozen=True)
class Start:
    """What to serve: a work folder, the catalog, the present, and whether to do without models.

    ``catalog`` None is the catalog the release was trained with (without a release: `bank`);
    ``clock`` None is the machine's clock.
    """

    work: WorkFolder
    catalog: str | None
    clock: datetime | None
    without_release: bool

    def environment(self) -> dict[str, str]:
        """Environment that tells a worker process what to serve."""
        return {
            WORK_VARIABLE: str(self.work.path.resolve()),
            CATALOG_VARIABLE: self.catalog or "",
            CLOCK_VARIABLE: self.clock.isoformat() if self.clock else "",
            WITHOUT_RELEASE_VARIABLE: "yes" if self.without_release else "",
        }


def choose_start(
    work: Path, catalog: str | None, clock: datetime | None, without_release: bool
) -> Start:
    """Join flags and what the work folder says of itself; flags win."""
    if not work.is_dir():
        raise StartError(f"work folder {work}: no such folder; make it with `make run`")
    folder = WorkFolder(work)
    left = folder.config()
    return Start(folder, catalog, clock or (left.clock if left else None), without_release)


def start_from_environment() -> Start:
    """Read what `Start.environment` wrote."""
    work = os.environ.get(WORK_VARIABLE)
    if not work:
        raise StartError(f"{WORK_VARIABLE} is not set; start with `python -m serving serve`")
    clock = os.environ.get(CLOCK_VARIABLE)
    return choose_start(
        Path(work),
        os.environ.get(CATALOG_VARIABLE) or None,
        datetime.fromisoformat(clock) if clock else None,
        bool(os.environ.get(WITHOUT_RELEASE_VARIABLE)),
    )


def check_start(start: Start) -> list[str]:
    """Open everything once and close it again, before any process is started.

    Gives, by file and remedy, what the service will do without: a release that is missing or
    corrupt, an online store that is absent or out of reach.

    Raises an `OnePointError` that names the file or setting to mend where nothing could be
    answered: no keys, a broken catalog, other ids than the release was trained with, a decision
    store that cannot be written.
    """
    if not read_keys(start.work.keys).keys:
        raise StartError(f"{start.work.keys}: holds no key; make one with `serving keys add`")
    pseudonym_key(start.work.pseudonym_key)
    config = load_service_config(start.work)
    recommender = open_recommender(start, config)
    without = [recommender.unsound] if recommender.unsound else []
    try:
        recommender.customers.current()
    except OnlineStoreError as error:
        without.append(str(error))
    finally:
        recommender.close()
    return without


def open_recommender(start: Start, config: ServiceConfig) -> Recommender:
    """Load rules and release, open the stores, warm up.

    Where the release is missing or corrupt, rules and popularity answer until a sound one is there.
    Raises an `OnePointError` where it was trained with other ids than the catalog has.
    """
    rules = load_rules(start.work, start.catalog)
    scorer, unsound = _scorer_or_rules(start, rules, config)
    recommender = Recommender(
        rules,
        scorer,
        PublishedCustomers(start.work.online_store()),
        open_decision_store(start.work.path),
        Clock(start.clock),
        config,
        unsound,
    )
    recommender.warm_up()
    return recommender


def _scorer_or_rules(
    start: Start, rules: Rulebook, config: ServiceConfig
) -> tuple[Scorer, str | None]:
    """Open the release, else do without one and say why."""
    by_rules = Scorer(rules, None, config.top_features)
    if start.without_release:
        return by_rules, None
    try:
        release = load_release(start.work.release)
    except (OnePointError, OSError) as error:
        return by_rules, str(error)
    return scorer_with(release, rules, config), None


def scorer_of(start: Start, rules: Rulebook, config: ServiceConfig) -> Scorer:
    """Open the release of a work folder, or do without one where that is wished."""
    if start.without_release:
        return Scorer(rules, None, config.top_features)
    return open_scorer(start.work.release, rules, config)


def load_rules(work: WorkFolder, catalog: str | None, policy: Path | None = None) -> Rulebook:
    """Load the rulebook that goes with a work folder, or with another ``policy`` in its place."""
    return load_rulebook(_catalog_folder(catalog_name(catalog, work)), policy)


def catalog_name(chosen: str | None, work: WorkFolder) -> str:
    """Say which catalog goes with a work folder: the chosen one, else the release's, else `bank`.

    Reads no more of the release (or, where there is none, of the one before) than its name for it;
    loading checks the rest.
    """
    if chosen:
        return chosen
    for release in (work.release, work.previous_release):
        try:
            return str(json.loads((release / MANIFEST).read_text("utf-8"))["catalog"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return "bank"


def _catalog_folder(name: str) -> Path:
    names = sorted(one.name for one in CATALOGS.iterdir() if one.is_dir())
    if name not in names:
        raise StartError(
            f"--catalog '{name}': give the name of a folder under configs/catalog, not a path; "
            f"{did_you_mean(name, names)}"
        )
    return CATALOGS / name
