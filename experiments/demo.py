"""`make run`: from nothing to an answer at a counter, with models trained a moment ago."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console

from experiments.demo_steps import DemoError, Steps, tell_metrics, tell_tables, to_type
from experiments.running_service import (
    READY_S,
    free_port,
    interrupted_by_sigterm,
    stop_politely,
)
from features.catalog import Catalog
from features.online import OnlineRecord, OnlineStore
from features.sources import SourceConfig, load_source_config
from features.state import Holding
from features.tables import PERSONALISATION
from serving.client import ServiceClient
from serving.config import CATALOGS, ROOT, WorkFolder
from serving.contract import RecommendResponse
from serving.decide.rulebook import Rulebook, load_rulebook
from serving.front_desk import WIDTH, show_answer
from serving.trial_keys import trial_key, write_trial_keys

SIMULATED = "simulated_bank"
INSURANCE = "insurance"
CLOCK = "2026-07-01T10:00+08:00"
FEATURES_AS_OF = "2026-07-01T00:00+08:00"
"""The simulated bank's data ends at this midnight; the demo asks ten hours later, a Wednesday."""
RELEASE_YAML = Path("configs/training/release.yaml")
COUNTER = "teller"
LARGE_DEPOSIT_CNY = 50_000
USUAL_PORT = 3000


@dataclass(frozen=True)
class Visit:
    """Whom to ask for: a customer, the door he stands at, and why he was picked."""

    record: OnlineRecord
    channel: str
    because: str


def run_demo(
    source: Path, data: Path | None, work: Path, once: bool, customers: int = 20_000, seed: int = 1
) -> None:
    """Do the whole job and print one answer.

    Parameters
    ----------
    source
        Source YAML; the simulated bank's makes its own data where ``data`` is None.
    data
        Folder that `{data}` of the source stands for.
    work
        Folder for all that is made: data, release, online store, decisions, keys.
    once
        Stop after the answer; else go on serving until interrupted.
    customers, seed
        Size and seed of the simulated bank.

    Raises
    ------
    DemoError
        A step failed or the service did not become ready; the service is not left running.
    """
    config = load_source_config(source)
    simulated = config.name == SIMULATED
    if data is None and not simulated:
        raise DemoError(f"{source}: needs its data; give the folder with --data (make: DATA=…)")
    # The rooms' commands run in the repository's folder, whatever ours is.
    source, work, data = source.resolve(), work.resolve(), data and data.resolve()
    work.mkdir(parents=True, exist_ok=True)
    steps = Steps(Console(highlight=False), total=6 if data is None else 5)
    if data is None:
        data = work / "data"
        steps.run(
            f"simulating a bank of {customers:,} customers",
            ["experiments", "simulate", "--customers", str(customers), "--seed", str(seed)],
            out=data,
        )
    if config.name == INSURANCE:
        steps.note("this set has no calendar: its dates are made up, only their order is real")
    rules = load_rulebook(CATALOGS / config.catalog)
    folder = WorkFolder(work)
    visit = _prepare(steps, source, data, folder, config, rules.catalog)
    _serve_and_ask(steps, folder, rules, visit, once)


def _prepare(
    steps: Steps,
    source: Path,
    data: Path,
    folder: WorkFolder,
    config: SourceConfig,
    catalog: Catalog,
) -> Visit:
    """Check, train, publish; leave in the work folder all that the service needs."""
    simulated = config.name == SIMULATED
    bank = ["--source", str(source), "--data", str(data)]
    bank += ["--clock", CLOCK] if simulated else []
    # exit code 1 is an alarm about data that keeps the contract: told, and no reason to stop
    check = ["features", "check", *bank]
    tell = partial(tell_tables, check=check)
    steps.run("checking the tables", check, tell=tell, well=(0, 1))
    steps.run(
        "training a release",
        ["training", "run", str(RELEASE_YAML), *bank, "--work", str(folder.path)],
        out=folder.release,
        tell=tell_metrics,
    )
    as_of = FEATURES_AS_OF if simulated else "end"
    steps.run(
        "publishing the online store",
        ["features", "publish", *bank, "--release", str(folder.release), "--as-of", as_of],
        out=folder.online,
        tell=lambda said: f"{said['customers']:,} customers, feature set {said['version']}",
    )
    with OnlineStore(folder.online) as store:
        clock = datetime.fromisoformat(CLOCK) if simulated else store.as_of
        visit = pick_customer(store, config, catalog, clock)
    folder.settings.write_text(yaml.safe_dump({"clock": clock.isoformat()}), "utf-8")
    if not (folder.keys.exists() and folder.trial_keys.exists()):
        write_trial_keys(folder.keys, folder.trial_keys)
    return visit


def _serve_and_ask(
    steps: Steps, folder: WorkFolder, rules: Rulebook, visit: Visit, once: bool
) -> None:
    port = free_port(USUAL_PORT)
    url = f"http://127.0.0.1:{port}"
    client = ServiceClient(url, trial_key(folder.trial_keys, "staff"))
    with _service(folder.path, port) as process:
        with steps.timed(f"starting the service on {url}"):
            _wait_until_ready(client, process, folder)
        with steps.timed(f"asking for {visit.record.customer_id}: {visit.because}"):
            request = {"customer_id": visit.record.customer_id, "channel": visit.channel}
            answer = RecommendResponse.model_validate(client.recommend(request))
        console = Console(width=max(WIDTH, Console().width))
        show_answer(answer, rules, visit.channel, console, visit.record.state)
        if not once:
            _go_on_serving(steps.console, folder, port, visit, process)


def pick_customer(
    store: OnlineStore, config: SourceConfig, catalog: Catalog, clock: datetime
) -> Visit:
    """Pick whom to ask for.

    Of the simulated bank, a customer whose deposit of 50,000 CNY or more matures on the coming
    Friday, one with a manager first, the largest deposit first. Of other banks, the customer with
    the most holdings, at the channel he used last. Where nobody fits, the first of the store.
    """
    records = [record for one in store.customer_ids() if (record := store.read(one)) is not None]
    if not records:
        raise DemoError("the online store has no customers; is the source empty?")
    if config.name == SIMULATED:
        return _at_the_counter(records, catalog, clock)
    return _at_the_last_channel(records, store.feature_names, catalog)


def _at_the_counter(records: list[OnlineRecord], catalog: Catalog, clock: datetime) -> Visit:
    friday = coming_friday(clock.date())
    found: list[tuple[bool, float, str, OnlineRecord]] = []
    for record in records:
        state = record.state
        amounts = [
            held.amount_cny or 0.0
            for held in state.holdings
            if _matures_on(held, friday, catalog, clock)
        ]
        welcome = state.consents.get(PERSONALISATION, True) and not state.complaint_open_since
        if amounts and max(amounts) >= LARGE_DEPOSIT_CNY and state.outlet and welcome:
            found.append((state.owner is None, -max(amounts), record.customer_id, record))
    if not found:
        return Visit(records[0], COUNTER, "nobody's large deposit matures on Friday; the first one")
    return Visit(min(found, key=lambda one: one[:3])[3], COUNTER, "a deposit matures on Friday")


def _matures_on(held: Holding, day: date, catalog: Catalog, clock: datetime) -> bool:
    if held.maturity_at is None or catalog.offer_by_id[held.offer].category != "deposit":
        return False
    return held.maturity_at.astimezone(clock.tzinfo).date() == day


def _at_the_last_channel(
    records: list[OnlineRecord], names: tuple[str, ...], catalog: Catalog
) -> Visit:
    column = names.index("last_channel_index") if "last_channel_index" in names else None
    ranked = sorted(records, key=lambda one: (-len(one.state.holdings), one.customer_id))
    for record in ranked:
        if column is None or record.vector is None or np.isnan(record.vector[column]):
            continue
        channel = catalog.handle_ids[int(record.vector[column])]
        return Visit(record, channel, "the most holdings, at the channel used last")
    return Visit(ranked[0], catalog.channel_ids[0], "no channel history; the first channel")


def coming_friday(day: date) -> date:
    """Give the Friday of the week, or of the next one after it has passed.

    >>> coming_friday(date(2026, 7, 1)), coming_friday(date(2026, 7, 4))
    (datetime.date(2026, 7, 3), datetime.date(2026, 7, 10))
    """
    return day + timedelta(days=(4 - day.weekday()) % 7)


@contextmanager
def _service(work: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service as a child with a process group of its own; it never outlives us."""
    with (work / "service.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 (our own command)
            [sys.executable, "-m", "serving", "serve", "--work", str(work), "--port", str(port)],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with interrupted_by_sigterm():
            yield process
    finally:
        stop_politely(process)


def _wait_until_ready(
    client: ServiceClient, process: subprocess.Popen[bytes], folder: WorkFolder
) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        if client.wait_until_ready(1.0):
            return
        if process.poll() is not None:
            break
    log = folder.path / "service.log"
    last = "\n".join(log.read_text("utf-8", "replace").splitlines()[-8:])
    raise DemoError(f"the service did not start; the end of {log}:\n{last}")


def _go_on_serving(
    console: Console,
    folder: WorkFolder,
    port: int,
    visit: Visit,
    process: subprocess.Popen[bytes],
) -> None:
    ask = ["serving", "ask", "--work", str(folder.path), "--port", str(port)]
    ask += ["--customer", visit.record.customer_id, "--channel", visit.channel]
    console.print(
        f"serving on http://127.0.0.1:{port} until Ctrl-C; keys to try: {folder.trial_keys}\n"
        f"  {to_type(ask)}",
        markup=False,
        soft_wrap=True,
    )
    try:
        process.wait()
    except KeyboardInterrupt:
        console.print("stopped")
        return
    raise DemoError(f"the service ended by itself; see {folder.path / 'service.log'}")
