"""A tiny bank to serve: a real release trained on made-up rows, and customers written by hand."""

import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from sqlalchemy import create_engine, make_url, text

from experiments.running_service import HIDDEN, own_environment
from features.catalog import Names, load_catalog
from features.feature_set import FeatureSet
from features.online import publish
from features.state import (
    CustomerState,
    Holding,
    Outlet,
    Owner,
    RiskAssessment,
)
from serving import releases
from serving.config import CATALOGS, ROOT, WorkFolder, load_service_config
from serving.recommender import Recommender
from serving.startup import choose_start, open_recommender
from serving.trial_keys import write_trial_keys
from training.about import ATTRIBUTES, INTENDED, LIMITS, NOT_INTENDED
from training.models.about import About, Worse
from training.models.channel_preference import (
    ChannelPreferenceConfig,
    ChannelPreferenceModel,
    ChoiceRows,
)
from training.models.completion import CompletionModel
from training.models.expected_amount import ExpectedAmountModel
from training.models.next_product import NextProductModel
from training.models.rates import Popularity, TierAmounts
from training.models.release import Manifest, Release
from training.models.start_learner import NextProductConfig, StartRows

AS_OF = datetime(2026, 6, 30, 16, 0, tzinfo=UTC)
"""Midnight in Shanghai, the first of July."""
CLOCK = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
FRIDAY = datetime(2026, 7, 3, 1, 0, tzinfo=UTC)
PLANTED, PLANTED_NAME = "C_13912345678", "Zhuge.Qiandao"
"""A customer's id that is a phone number, and a name: neither may be seen anywhere."""
GROUPS = {
    "total_assets_cny": "asset_size",
    "age_years": "life_stage",
    "login_count_30d": "activity",
    "branch_visits_90d": "channel_history",
    "deposits_held": "holdings",
    "complaints_90d": "experience",
}
FEATURES = FeatureSet(names=tuple(GROUPS), groups=GROUPS, vocabularies={})


TAGS = {
    "C_MATURES": (
        '{"tier_aum":[3.0,{},7.0],"churn_risk":[1.0,{"outflow_share":0.6},7.0],'
        '"fatigue":[2.0,{},0.25],'
        '"maturity_30d":[1.0,{"product":"deposit_1y","amount_cny":100000.0,"date_days":2.375},'
        '2.375],"dnc":[1.0,{"human_call":1.0},1.0],"kyc_gap":[1.0,{"gender":1.0},30.0],'
        '"managed_by":["S00001",{"date_days":-30.0},31.0],"gone_since":[1.0,{},31.0]}'
    ),
    "C_OPTED_OUT": '{"tier_aum":[3.0,{},7.0],"no_personalisation":[1.0,{},1.0]}',
    "C_PLAIN": "{}",
    PLANTED: '{"managed_by":["S00001",{},31.0]}',
}
"""What was published of their tags; of the others nothing."""


def train_release(folder: Path, catalog_name: str = "bank", luck: int = 7) -> Release:
    """A real release in a second: the rich start funds, the old choose the teller."""
    catalog = load_catalog(CATALOGS / catalog_name)
    random = np.random.default_rng(luck)
    rows, products, channels = 900, catalog.product_ids, catalog.handle_ids
    x = random.normal(size=(rows, len(GROUPS)))
    starts = random.random((rows, len(products))) < 0.03 + 0.2 * (x[:, :1] > 0.5)
    split = np.split(np.arange(rows), [500, 700])
    small = {"max_rounds": 4, "num_leaves": 3}
    next_product = NextProductModel.fit(
        NextProductConfig(**small, minimum_negatives=300),
        products,
        StartRows(
            x,
            np.full(len(GROUPS), -1),
            starts,
            np.ones_like(starts),
            np.arange(rows, 0.0, -1),
            *split,
        ),
        seed=1,
        threads=1,
    )
    chosen = np.where(x[:, 1] > 0, 0, random.integers(0, len(channels), rows))
    preference = ChannelPreferenceModel.fit(
        ChannelPreferenceConfig(**small),
        channels,
        catalog.offer_ids,
        ("application", "servicing"),
        ChoiceRows(
            x,
            [products[n % len(products)] for n in range(rows)],
            ["application"] * rows,
            np.full(rows, np.nan),
            chosen,
            *split,
        ),
        seed=1,
        threads=1,
    )
    manifest = Manifest(
        id="",
        heads=("next_product", "channel_preference"),
        catalog=catalog_name,
        offer_ids=catalog.offer_ids,
        channel_ids=catalog.channel_ids,
        feature_set_version=FEATURES.version,
        time_zone="Asia/Shanghai",
        windows={
            "train": ("2025-06-30T16:00:00+00:00", "2026-03-31T16:00:00+00:00"),
            "test": ("2026-03-31T16:00:00+00:00", "2026-06-30T16:00:00+00:00"),
        },
        horizon="30",
        metrics={},
        config={},
        data={},
        files={},
    )
    return Release(
        folder,
        manifest,
        FEATURES,
        next_product,
        preference,
        CompletionModel.fit([(products[0], "application", channels[0], True)]),
        ExpectedAmountModel.of_table(TierAmounts.fit([(products[0], 100_000.0, 20_000.0)])),
        Popularity(
            offers=dict.fromkeys(products, 0.02),
            channels={one: 1 / len(channels) for one in channels},
        ),
        About(
            owner="data science",
            purpose=Names(zh="试验", en="a trial"),
            intended=INTENDED,
            not_intended=NOT_INTENDED,
            attributes=(ATTRIBUTES["age_years"],),
            limits=LIMITS,
            heads_by_group=("next_product",),
            worse=(Worse(head="next_product", segment="age band", group="65 and over"),),
        ),
    ).save(folder, x)


def hand_written() -> list[tuple[str, np.ndarray | None, CustomerState]]:
    """Customers that fit in a reader's head."""
    base = {
        "as_of": AS_OF,
        "birth_date": date(1980, 5, 4),
        "outlet": Outlet(org_id="O0001", kind="own", name="城西支行"),
        "demand_cny": 80_000.0,
        "assets_cny": 300_000.0,
        "overdue_days": 0,
        "risk_assessment": RiskAssessment(
            level=3, assessed_at=AS_OF - timedelta(days=90), expires_at=AS_OF + timedelta(days=275)
        ),
        "reachable": {"wecom": True},
    }
    deposit = Holding(
        offer="deposit_1y",
        opened_at=FRIDAY - timedelta(days=365),
        amount_cny=100_000.0,
        maturity_at=FRIDAY,
    )
    owner = Owner(staff_id="S00001", org_id="O0001", role="wealth_manager", name="李敏")
    vector = np.array([1.0, 0.4, 0.0, 0.3, 1.0, 0.0])

    def customer(name, features=vector, **facts):
        return name, features, CustomerState(customer_id=name, **{**base, **facts})

    return [
        customer("C_MATURES", holdings=(deposit,), owner=owner),
        customer("C_PLAIN"),
        customer("C_NO_FEATURES", features=None, holdings=(deposit,)),
        customer("C_OPTED_OUT", consents={"personalisation": False}),
        customer("C_CAUTIOUS", risk_assessment=None),
        customer("C_FUTURE", holdings=(deposit,)),
        customer("C0000042"),
        customer(PLANTED, owner=Owner(**{**owner.model_dump(), "name": PLANTED_NAME})),
    ]


@dataclass(frozen=True)
class Bank:
    """A work folder to serve from, and its keys by scope."""

    folder: Path
    keys: dict[str, str]

    def copy(self, to: Path) -> "Bank":
        """A copy to break."""
        shutil.copytree(self.folder, to)
        return Bank(to, self.keys)

    def serve_by(self, workers: int) -> None:
        """Say how many workers serve it; a machine busy with tests may be late with all else."""
        (self.folder / "service.yaml").write_text(
            f"service: {{deadline_s: 10, read_budget_s: 5, drain_s: 0, workers: {workers}}}\n"
        )


@pytest.fixture(scope="session")
def bank(tmp_path_factory) -> Bank:
    folder = tmp_path_factory.mktemp("bank")
    train_release(folder / "release")
    publish(folder / "online.sqlite", FEATURES, AS_OF, hand_written(), TAGS)
    work = WorkFolder(folder)
    made = Bank(folder, write_trial_keys(work.keys, work.trial_keys))
    made.serve_by(1)
    return made


@pytest.fixture(scope="session")
def challenger(tmp_path_factory) -> Path:
    """Another release for the same bank."""
    folder = tmp_path_factory.mktemp("challenger") / "release"
    train_release(folder, luck=8)
    return folder


CROWD = 150


@pytest.fixture(scope="session")
def crowd(bank, tmp_path_factory) -> Bank:
    """The same bank with many customers, drawn at random: ages, means, risk levels, features."""
    folder = bank.copy(tmp_path_factory.mktemp("crowd") / "work")
    random = np.random.default_rng(11)

    def customer(number: int) -> tuple[str, np.ndarray, CustomerState]:
        name = f"C{number:07d}"
        state = CustomerState(
            customer_id=name,
            as_of=AS_OF,
            birth_date=date(1940 + int(random.integers(0, 68)), 5, 4),
            outlet=Outlet(org_id=f"O000{number % 3}", kind="own", name="城西支行"),
            assets_cny=float(random.lognormal(11, 2)),
            overdue_days=0,
            risk_assessment=RiskAssessment(
                level=int(random.integers(1, 6)),
                assessed_at=AS_OF - timedelta(days=90),
                expires_at=AS_OF + timedelta(days=275),
            ),
            reachable={"wecom": True},
        )
        return name, random.normal(size=len(GROUPS)), state

    publish(folder.folder / "online.sqlite", FEATURES, AS_OF, map(customer, range(CROWD)))
    return folder


@dataclass
class RunningService:
    """The real BentoML service in its own process group."""

    bank: Bank
    url: str
    process: subprocess.Popen
    log: Path

    def client(self, scope: str | None = "staff") -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.bank.keys[scope]}"} if scope else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def processes(self) -> list[psutil.Process]:
        """The supervisor and its workers, which have sessions of their own."""
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def loaded(self, number: int) -> list[int]:
        """Wait until so many workers have loaded the release; their process ids."""
        until = time.monotonic() + 60
        while len(found := releases.workers(WorkFolder(self.bank.folder))) < number:
            assert time.monotonic() < until, found
            time.sleep(0.1)
        return [one.pid for one in found]

    def kill(self) -> None:
        """`kill -9`, as a power cut would; the workers first, so that none can finish anything."""
        for one in reversed(self.processes()):
            one.kill()
        self.process.wait()


def launch_service(bank: Bank, *flags: str) -> RunningService:
    """Start the real service and do not wait for it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = bank.folder / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "serving", "serve", "--work", str(bank.folder)),
                *("--port", str(port), "--clock", CLOCK.isoformat(), *flags),
            ],
            cwd=ROOT,
            env=own_environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return RunningService(bank, f"http://127.0.0.1:{port}", process, log)


def start_service(bank: Bank, *flags: str, probe: str = "/readyz") -> RunningService:
    service = launch_service(bank, *flags)
    until = time.monotonic() + 300
    while time.monotonic() < until:
        try:
            if httpx.get(f"{service.url}{probe}", timeout=5).status_code == 200:
                return service
        except httpx.TransportError:
            pass  # not listening yet
        if service.process.poll() is not None:
            break
        time.sleep(0.1)
    if service.process.poll() is None:
        service.kill()
    raise AssertionError(f"the service did not start:\n{service.log.read_text()}")


@pytest.fixture(scope="session")
def serve() -> Callable[..., RunningService]:
    """Start the real service on a bank; the caller stops it."""
    return start_service


@pytest.fixture(scope="session")
def launch() -> Callable[..., RunningService]:
    """Start the real service on a bank and do not wait for it; the caller stops it."""
    return launch_service


@pytest.fixture
def environment_of_the_work_folder(monkeypatch) -> None:
    """Nothing but the work folder says what to serve, whatever this machine's environment says."""
    for name in HIDDEN:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def recommender(bank, tmp_path, environment_of_the_work_folder) -> Iterator[Recommender]:
    """All of the service but HTTP, on a bank of the test's own."""
    own = bank.copy(tmp_path / "own")
    opened = open_recommender(
        choose_start(own.folder, None, CLOCK, False), load_service_config(WorkFolder(own.folder))
    )
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres"))])
def address(request, tmp_path) -> Iterator[Path | str]:
    """Where decisions go: a file, or a schema of the test's own in PostgreSQL."""
    if request.param == "sqlite":
        yield tmp_path / "decisions.sqlite"
        return
    base = make_url(request.getfixturevalue("postgres_url")).set(drivername="postgresql+psycopg")
    schema = f"onepoint_test_{uuid.uuid4().hex[:12]}"
    admin = create_engine(base, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"create schema {schema}"))
    own = base.update_query_dict({"options": f"-c search_path={schema}"})
    yield own.render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"drop schema {schema} cascade"))
    admin.dispose()


@pytest.fixture
def workers(bank, address, tmp_path, monkeypatch) -> Iterator[list[Recommender]]:
    """Two workers that share a decision store, on each database it may live in."""
    for name in HIDDEN:
        monkeypatch.delenv(name, raising=False)
    if isinstance(address, str):
        monkeypatch.setenv("ONEPOINT_POSTGRES_URL", address)
    start = choose_start(bank.copy(tmp_path / "own").folder, None, CLOCK, False)
    opened = [open_recommender(start, load_service_config(start.work)) for _ in range(2)]
    yield opened
    for one in opened:
        one.close()


@pytest.fixture(scope="session")
def service(bank, tmp_path_factory) -> Iterator[RunningService]:
    own = bank.copy(tmp_path_factory.mktemp("served") / "work")
    own.serve_by(2)
    running = start_service(own)
    yield running
    everybody = running.processes()
    running.process.terminate()
    running.process.wait(timeout=20)
    _, left = psutil.wait_procs(everybody, timeout=10)
    assert not left
