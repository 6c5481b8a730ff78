"""What tests may need of a machine, and the small banks they share.

A test marked ``@pytest.mark.needs("data" | "postgres" | "redis" | "java" | "chromium" | "linux")``
is skipped where the machine lacks it, and says what is missing; with ONEPOINT_CI set it fails
instead.
"""

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy
from xdist.scheduler import LoadScopeScheduling

from features.sources import Source, open_source
from features.terminal import run

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")
os.environ.setdefault("ONEPOINT_DATA", str(ROOT.parent / "shared" / "data"))
os.environ.setdefault("ONEPOINT_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")
os.environ.setdefault("ONEPOINT_REDIS_URL", "redis://127.0.0.1:6379/0")


ON_ONE_WORKER = {
    "the small run": (
        "tests/training/test_explanations.py", "tests/training/test_tracking.py",
        "tests/training/test_scoring.py", "tests/training/test_comparison.py",
        "tests/training/test_run.py", "tests/training/test_batch_online.py",
        "tests/training/test_release.py", "tests/training/test_model_card.py",
    ),
}  # fmt: skip
"""Files that share what is long to make: training's run of 600 customers."""

LONGEST_FIRST = (
    "tests/features/test_spark.py",
    "the small run",
    "tests/experiments/test_truth.py",
    "tests/training/test_insurer.py",
    "tests/training/test_tuning.py",
    "tests/experiments/test_benchmarks.py",
    "tests/training/test_promotion.py",
    "tests/serving/test_endurance.py",
    "tests/serving/test_benchmarks_of_the_service.py",
    "tests/serving/test_swapping.py",
    "tests/experiments/test_studies.py",
    "tests/experiments/test_demo.py",
    "tests/serving/test_openapi.py",
)
"""What a worker is given first, so that none is left alone with a long one in the end."""

_SCOPES = {file: name for name, files in ON_ONE_WORKER.items() for file in files}


def _scope(nodeid: str) -> str:
    """What is not divided between workers: a file, or files that share what is long to make."""
    file = nodeid.split("::", 1)[0]
    return _SCOPES.get(file, file)


class WholeFiles(LoadScopeScheduling):
    """`--dist loadfile`, but that some files go together."""

    def _split_scope(self, nodeid: str) -> str:
        return _scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    return WholeFiles(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {scope: place for place, scope in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(_scope(item.nodeid), len(places)))


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


def _linux_lacks() -> str:
    return "" if sys.platform == "linux" else "no Linux; run this test in a container"


NEEDS = {
    "data": _data_lacks,
    "postgres": _postgres_lacks,
    "redis": _redis_lacks,
    "java": _java_lacks,
    "chromium": _chromium_lacks,
    "linux": _linux_lacks,
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


@pytest.fixture
def typed(monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Run a room's command line as a person does; gives exit code, stdout and stderr."""

    def call(app: Any, *words: object) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", "400")
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        with pytest.raises(SystemExit) as caught:
            run(app)
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return call


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
def made_once(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Callable[[str, Callable[[Path], object]], Path]:
    """Make a file or folder by its name once for all workers; who comes later waits for it.

    It is shared: read it only.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent

    def make(name: str, maker: Callable[[Path], object]) -> Path:
        ready = shared / "shared" / name
        ready.parent.mkdir(exist_ok=True)
        with (ready.parent / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not ready.exists():
                half = ready.with_name(f"{name}.half")
                maker(half)
                half.rename(ready)
        return ready

    return make


@pytest.fixture(scope="session")
def simulated_folder(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """Parquet files of a simulated bank of 300 customers and 30 months, seed 1."""
    from experiments.simulated_bank.bank import simulate
    from experiments.simulated_bank.config import load_simulation

    settings = load_simulation(ROOT / "configs" / "simulation" / "bank.yaml", None)
    return made_once("simulated", lambda out: simulate(settings, 300, 1, out))


@pytest.fixture(scope="session")
def simulated_source(simulated_folder: Path) -> Source:
    """The simulated bank, opened. Shared: make spines, change no table."""
    path = ROOT / "configs" / "sources" / "simulated_bank.yaml"
    return open_source(path, simulated_folder, datetime(2027, 1, 1, tzinfo=UTC))


FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr",
)  # fmt: skip


class Dom(HTMLParser):
    """The elements of a page as the browser left it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def all(self, attribute: str) -> list[dict[str, str | None]]:
        return [found for _, found in self.elements if attribute in found]

    def rows(self) -> list[str]:
        """Names of the rows that are shown, in order."""
        return [row["data-text"] for row in self.all("data-text") if "hidden" not in row]


@pytest.fixture(scope="session")
def parse_page():
    """Parse the text of a page as it was written."""
    return Dom


@pytest.fixture
def browse(tmp_path):
    """Open a page's address in the browser; gives its DOM and what stood on the console."""

    def open_page(file: Path, fragment: str = "", width: int = 1280) -> tuple[Dom, list[str]]:
        ran = subprocess.run(
            ["chromium", *FLAGS, f"--user-data-dir={tmp_path / 'profile'}",
             f"--window-size={width},900", "--dump-dom", f"{file.as_uri()}{fragment}"],
            capture_output=True, check=True, timeout=60,
        )  # fmt: skip
        said = ran.stderr.decode("utf-8", "replace").splitlines()
        return Dom(ran.stdout.decode("utf-8")), [line for line in said if "CONSOLE" in line]

    return open_page


@pytest.fixture(scope="session")
def with_script():
    """Copy a page with a script of the test's own, and without the policy that forbids it."""

    def scripted(file: Path, script: str) -> Path:
        policy = r'<meta http-equiv="Content-Security-Policy"[^>]*>'
        text = re.sub(policy, "", file.read_text("utf-8"))
        copy = file.with_name(f"{file.stem}_scripted.html")
        copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
        return copy

    return scripted


MEASURE = "parent.postMessage([name, document.documentElement.scrollWidth], '*');"
FRAMES = """<!DOCTYPE html><body><script>
const wide = {};
addEventListener("message", (told) => {
  wide[told.data[0]] = told.data[1];
  document.body.dataset.wide = JSON.stringify(wide);
});
</script>"""


@pytest.fixture
def overflowing(browse, with_script, tmp_path):
    """Pages that are wider than a phone's or a screen's window, by name and width.

    In frames, since the browser's own window is never as narrow as a phone.
    """

    def measure(*files: Path) -> dict[str, int]:
        widths = {
            f"{file.stem} {width}": (with_script(file, MEASURE), width)
            for file in files
            for width in (390, 1280)
        }
        frames = tmp_path / "frames.html"
        frames.write_text(
            FRAMES
            + "".join(
                f'<iframe name="{name}" width="{width}" height="900" src="{file.as_uri()}">'
                "</iframe>"
                for name, (file, width) in widths.items()
            ),
            "utf-8",
        )
        dom, _ = browse(frames)
        measured = json.loads(dom.all("data-wide")[0]["data-wide"])
        assert set(measured) == set(widths)
        return {name: wide for name, wide in measured.items() if wide > widths[name][1]}

    return measure
