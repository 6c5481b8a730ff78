"""What is wrong is said before the service starts; what is decided outlives its killing."""

import json
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time

import psutil
import pytest

from features.errors import OnePointError
from serving.client import ServiceClient
from serving.config import ROOT
from serving.startup import check_start, choose_start

pytestmark = pytest.mark.usefixtures("environment_of_the_work_folder")


@pytest.fixture
def own(bank, tmp_path):
    return bank.copy(tmp_path / "own")


def check(folder, catalog=None, without_release=False) -> str:
    return "; ".join(check_start(choose_start(folder, catalog, None, without_release)))


def served(own, *options) -> subprocess.CompletedProcess[str]:
    """Run the command to its end: it must refuse."""
    return subprocess.run(
        [sys.executable, "-m", "serving", "serve", "--work", str(own.folder), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_sound_work_folder_lacks_nothing(own):
    assert check(own.folder) == ""


@pytest.mark.parametrize(
    "name", ["next_product.json", "rare_products.txt", "channel_preference.txt", "features.json"]
)
def test_a_truncated_model_file_is_named(own, name):
    file = own.folder / "release" / name
    file.write_bytes(file.read_bytes()[:-100])
    assert re.search(f"{name}.*sha256", check(own.folder))


def test_the_command_says_what_is_wrong_without_a_traceback_and_exits_with_2(own):
    (own.folder / "keys.yaml").unlink()
    done = served(own)
    assert done.returncode == 2
    assert "keys.yaml" in done.stderr
    assert "Traceback" not in done.stderr
    assert "BentoServer" not in done.stdout + done.stderr


def test_a_port_that_is_taken_is_said_before_anything_is_served(own):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = served(own, "--port", str(port))
    assert done.returncode == 2
    assert re.fullmatch(rf"error: cannot serve on 127.0.0.1, port {port}: .*--port\n", done.stderr)


def test_a_missing_release_is_named_with_the_two_ways_out(own):
    shutil.rmtree(own.folder / "release")
    assert re.search(r"release.*training run.*--without-release", check(own.folder))
    assert check(own.folder, without_release=True) == ""


def test_a_catalog_the_release_was_not_trained_with_is_refused_with_both_lists(own):
    with pytest.raises(OnePointError) as refused:
        check(own.folder, catalog="insurance")
    assert "deposit_3m, deposit_1y" in str(refused.value)
    assert "item_1, item_2" in str(refused.value)


def test_asking_a_stopped_service_says_how_to_start_it():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client = ServiceClient(f"http://127.0.0.1:{free.getsockname()[1]}", "no key")
        with pytest.raises(OnePointError, match=r"`make serve`.*serve --work DIR"):
            client.recommend({})


def test_an_unknown_catalog_is_named(own):
    with pytest.raises(
        OnePointError, match=r"name of a folder under configs/catalog.*did you mean 'bank'"
    ):
        check(own.folder, catalog="bnak")


def test_a_missing_online_store_is_named(own):
    (own.folder / "online.sqlite").unlink()
    assert re.search(r"online\.sqlite.*features publish", check(own.folder))


def test_a_broken_online_store_is_named(own):
    (own.folder / "online.sqlite").write_bytes(b"not a database, by any means" * 100)
    assert re.search(r"online\.sqlite.*not a readable online store", check(own.folder))


def test_without_keys_nothing_starts(own):
    (own.folder / "keys.yaml").unlink()
    with pytest.raises(OnePointError, match=r"no API keys; make one with .*serving keys add"):
        check(own.folder)


def test_keys_are_for_their_owners_eyes_only(own, bank):
    for name in ("keys.yaml", "trial_keys.env"):
        assert (bank.folder / name).stat().st_mode & 0o777 == 0o600


def test_an_unknown_setting_of_the_work_folder_is_named(own):
    (own.folder / "service.yaml").write_text("clok: 2026-07-01T10:00:00+08:00\n")
    with pytest.raises(OnePointError, match=r"unknown key 'clok'; did you mean 'clock'"):
        check(own.folder)


def test_a_missing_work_folder_is_named(tmp_path):
    with pytest.raises(OnePointError, match="no such folder; make it with `make run`"):
        check(tmp_path / "nowhere")


def test_a_decision_is_on_disk_before_it_is_answered(own, serve):
    service = serve(own)
    line = next(one for one in service.log.read_text().splitlines() if "serving on" in one)
    assert f"serving on {service.url} " in line
    assert str(own.folder / "keys.yaml") in line
    assert "clock pinned at 2026-07-01" in line
    try:
        with service.client("staff") as client:
            ask = {"customer_id": "C_MATURES", "channel": "teller"}
            answers = [client.post("/v1/recommend", json=ask) for _ in range(5)]
    finally:
        service.kill()
    with sqlite3.connect(own.folder / "decisions.sqlite") as log:
        stored = dict(log.execute("select decision_id, answer from decisions"))
    log.close()
    assert len(stored) == len(answers)
    for answer in answers:
        assert stored[answer.json()["decision_id"]] == answer.content
        assert json.loads(answer.content)["recommendations"]


@pytest.mark.parametrize(("loaded", "within_s"), [(True, 15), (False, 60)])
def test_workers_whose_supervisor_was_killed_leave_the_port(own, serve, launch, loaded, within_s):
    own.serve_by(2)
    service = (serve if loaded else launch)(own)
    if loaded:
        service.loaded(2)
    until = time.monotonic() + 60
    while len(service.processes()) < 3:
        assert time.monotonic() < until
        time.sleep(0.01)
    supervisor, *of_it = service.processes()
    supervisor.kill()
    service.process.wait()
    # those that were loading go on to the end of it first
    _, left = psutil.wait_procs(of_it, timeout=within_s)
    for one in left:
        one.kill()
    assert not left
