"""What tests may need of a machine, and the small banks they share.

A test marked ``@pytest.mark.needs("data" | "postgres" | "redis" | "java" | "chromium")`` is skipped
where the machine lacks it, and says what is missing; with ONEPOINT_CI set it fails instead.
"""

import os
import shutil
import socket
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy

from features.sources import Source, open_source

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")
os.environ.setdefault("ONEPOINT_DATA", str(ROOT.parent / "shared" / "data"))
os.environ.setdefault("ONEPOINT_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")
os.environ.setdefault("ONEPOINT_REDIS_URL", "redis://127.0.0.1:6379/0")


def _data_lacks() -> str:
    folder = Path(os.environ["ONEPOINT_DATA"])
    if (folder / "README.md").is_file():
        return ""
    return f"no public data in {folder}; fetch the sets and name their folder in ONEPOINT_DATA"


def _postgres_lacks() -> str:
    try:
        engine = sqlalchemy.create_engine(
            os.environ["ONEPOINT_POSTGRES_URL"],
            poolclass=sqlalchemy.NullPool,
            connect_args={"connect_timeout": 3},
        )
        with engine.connect():
            return ""
    except sqlalchemy.exc.SQLAlchemyError as error:
        # the driver's words only: the URL may hold a password
        reason = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
        return f"no PostgreSQL ({reason}); start one and name it in ONEPOINT_POSTGRES_URL"


def _redis_lacks() -> str:
    url = urlsplit(os.environ["ONEPOINT_REDIS_URL"])
    try:
        address = (url.hostname or "127.0.0.1", url.port or 6379)
        with socket.create_connection(address, timeout=3) as connection:
            if url.password:
                connection.sendall(f"AUTH {url.password}\r\n".encode())
                connection.recv(128)
            connection.sendall(b"PING\r\n")
            answer = connection.recv(128)
    except OSError as error:
        return f"no Redis ({error}); start one and name it in ONEPOINT_REDIS_URL"
    return "" if answer.startswith(b"+PONG") else f"Redis answers {answer!r} to PING"


def _java_lacks() -> str:
    java = shutil.which("java")
    if (
        java is None
        or subprocess.run([java, "-version"], capture_output=True, check=False).returncode
    ):
        return "no Java; install a JRE of version 17 or later"
    return ""


def _chromium_lacks() -> str:
    if shutil.which("chromium") is None:
        return "no chromium on PATH; install the browser (Debian package chromium)"
    return ""


NEEDS = {
    "data": _data_lacks,
    "postgres": _postgres_lacks,
    "redis": _redis_lacks,
    "java": _java_lacks,
    "chromium": _chromium_lacks,
}


@cache
def lacks(what: str) -> str:
    """Why this machine lacks `what`; empty where it is there."""
    return NEEDS[what]()


def require(what: str) -> None:
    """Skip the test where `what` is lacking; fail it in CI, where nothing may be skipped."""
    reason = lacks(what)
    if reason and os.environ.get("ONEPOINT_CI"):
        pytest.fail(f"CI must run this test: {reason}", pytrace=False)
    if reason:
        pytest.skip(reason)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for what in marker.args:
            require(what)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of public data sets."""
    require("data")
    return Path(os.environ["ONEPOINT_DATA"])


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """SQLAlchemy URL of a PostgreSQL where a test may make a schema of its own."""
    require("postgres")
    return os.environ["ONEPOINT_POSTGRES_URL"]


@pytest.fixture(scope="session")
def redis_url() -> str:
    """URL of a Redis that answers."""
    require("redis")
    return os.environ["ONEPOINT_REDIS_URL"]


@pytest.fixture(scope="session")
def clock() -> datetime:
    """Now, for the example bank: Wednesday 1 July 2026, 10:00 in Shanghai."""
    return datetime(2026, 7, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="session")
def example_folder() -> Path:
    """The CSV files of the eight hand-written customers; told in its README."""
    return ROOT / "tests" / "customers"


@pytest.fixture(scope="session")
def example_yaml(example_folder: Path) -> Path:
    """The source YAML of the eight customers."""
    return example_folder / "source.yaml"


@pytest.fixture(scope="session")
def example_source(example_yaml: Path, example_folder: Path, clock: datetime) -> Source:
    """The eight hand-written customers, opened. Shared: make spines, change no table."""
    return open_source(example_yaml, example_folder, clock)


@pytest.fixture(scope="session")
def simulated_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parquet files of a simulated bank of 300 customers and 30 months, seed 1."""
    from experiments.simulated_bank.bank import simulate
    from experiments.simulated_bank.config import load_simulation

    settings = load_simulation(ROOT / "configs" / "simulation" / "bank.yaml", None)
    return simulate(settings, 300, 1, tmp_path_factory.mktemp("bank") / "tables")


@pytest.fixture(scope="session")
def simulated_source(simulated_folder: Path) -> Source:
    """The simulated bank, opened. Shared: make spines, change no table."""
    path = ROOT / "configs" / "sources" / "simulated_bank.yaml"
    return open_source(path, simulated_folder, datetime(2027, 1, 1, tzinfo=UTC))
