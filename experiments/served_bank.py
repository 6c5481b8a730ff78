"""A simulated bank that can be served: simulated, trained, published, with keys to try it."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import yaml

from experiments.demo import CLOCK
from experiments.simulated_bank.bank import simulate
from experiments.simulated_bank.config import load_simulation
from experiments.truth_study import AFTER_THE_LOG, BANK, RELEASE, SOURCE
from features.online import OnlineStore, publish_customers
from features.sources import open_source
from features.spine import customers_at, data_end
from serving.config import WorkFolder
from serving.trial_keys import trial_key, write_trial_keys
from training.config import load_run_config
from training.models.release import Release
from training.run import train

CUSTOMERS = 2_000
LEAST = 300
BANK_VARIABLE = "ONEPOINT_SERVED_BANK"
DOORS = ("mobile_bank", "wechat_bank", "teller", "human_call")
SERVED = ("release", "online.sqlite", "service.yaml", "data")
"""What of a work folder is copied for another service: no decisions, no keys, no logs."""


def make_bank(folder: Path, customers: int = CUSTOMERS) -> Path:
    """Simulate a bank, train its models and publish its customers, as `make run` does; its folder.

    The clock is pinned where the demo's is: ten hours after the bank's data ends.
    """
    tables = simulate(load_simulation(BANK), customers, 1, folder / "data")
    source = open_source(SOURCE, tables, AFTER_THE_LOG)
    train(load_run_config(RELEASE), source, folder / "release")
    end = data_end(source)
    feature_set = Release.load(folder / "release").feature_set
    publish_customers(folder / "online.sqlite", feature_set, customers_at(source, [end]), end)
    source.con.close()
    (folder / "service.yaml").write_text(yaml.safe_dump({"clock": CLOCK}), "utf-8")
    return folder


@cache
def _made(customers: int) -> tuple[tempfile.TemporaryDirectory[str], Path]:
    folder = tempfile.TemporaryDirectory(prefix="onepoint-bank-")
    return folder, make_bank(Path(folder.name), customers)


def made_once(scale: float) -> Path:
    """Give the benchmarks' bank: made by the first that asks, gone when the process ends.

    A folder in `ONEPOINT_SERVED_BANK` that `make run` or an earlier soak made is taken instead.
    """
    given = os.environ.get(BANK_VARIABLE)
    return Path(given) if given else _made(max(LEAST, round(CUSTOMERS * scale)))[1]


def copy_bank(bank: Path, to: Path) -> WorkFolder:
    """Copy what a bank is served from, with new keys and an empty decision store."""
    to.mkdir(parents=True)
    for name in SERVED:
        one = bank / name
        if one.is_dir():
            shutil.copytree(one, to / name)
        elif one.is_file():
            shutil.copyfile(one, to / name)
    work = WorkFolder(to)
    write_trial_keys(work.keys, work.trial_keys)
    return work


def key_of(work: WorkFolder, audience: str) -> str:
    """Give the trial key of an audience."""
    return trial_key(work.trial_keys, audience)


def customer_ids(work: WorkFolder) -> list[str]:
    """Everybody in the online store."""
    with OnlineStore(work.online) as store:
        return store.customer_ids()
