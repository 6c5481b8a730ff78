"""What the README says to a channel app runs as it is printed, against a running service."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from serving.config import ROOT
from serving.contract import RecommendResponse

README = (ROOT / "README.md").read_text("utf-8")


def snippet(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture
def run(service, tmp_path):
    """Run a command where a reader would: `.onepoint` beside him, the service at its address."""
    (tmp_path / ".onepoint").symlink_to(service.bank.folder, target_is_directory=True)

    def ran(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "ONEPOINT_URL": service.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return ran


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on PATH; install it")
def test_the_curl_snippet_gets_an_answer(run):
    answer = RecommendResponse.model_validate_json(run("bash", "-c", snippet("sh")))
    assert answer.customer_id == "C0000042"
    assert len(answer.recommendations) == 3


def test_the_python_snippet_asks_tells_and_looks_again(run, service):
    *places, last = run(sys.executable, "-c", snippet("python")).splitlines()
    assert [place[0] for place in places] == ["1", "2", "3"]
    assert "'kind': 'shown'" in last
    with service.client("staff") as staff:
        newest = staff.get("/v1/customers/C0000042").json()["decisions"]
    told = [one for decision in newest for place in decision["places"] for one in place["outcomes"]]
    assert json.dumps(told).count("shown") == 1


def test_without_the_service_or_the_key_it_fails_aloud(tmp_path):
    (tmp_path / ".onepoint").mkdir()
    (tmp_path / ".onepoint" / "trial_keys.env").write_text("staff=nobody\n")
    environment = {**os.environ, "ONEPOINT_URL": "http://127.0.0.1:9"}
    for command in (("bash", "-c", snippet("sh")), (sys.executable, "-c", snippet("python"))):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False
        )
        assert done.returncode != 0
