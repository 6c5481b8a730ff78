"""The bento: what is served, without what only training needs."""

import os
import subprocess
import sys
import tomllib

import pytest
import yaml

from serving.config import ROOT

TRAINING_ONLY = ("mlflow", "optuna", "shap", "matplotlib", "fairlearn", "experiments")
# Run in the bento's own folder: what it lacks cannot be found, what it may not have is refused.
IMPORT_AND_TELL = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {TRAINING_ONLY!r}:
            raise ModuleNotFoundError(f"the service imports {{name}}")

sys.meta_path.insert(0, Refuse())
sys.path[:] = [one for one in sys.path if {str(ROOT)!r} not in (one, one + "/")
               or "site-packages" in one]
sys.path.insert(0, ".")
import serving.service
import serving.config
print(serving.config.ROOT)
"""


@pytest.fixture(scope="module")
def bento(tmp_path_factory):
    home = tmp_path_factory.mktemp("bentoml")
    done = subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--output", "tag"],
        cwd=ROOT,
        env={**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    name, version = done.stdout.strip().splitlines()[-1].removeprefix("__tag__:").split(":")
    return home / "bentos" / name / version


def test_the_bento_holds_the_service_and_nothing_of_training_but_its_models(bento):
    source = bento / "src"
    assert {one.name for one in source.iterdir() if one.is_dir()} == {
        *("features", "serving", "training", "configs")
    }
    inside = {one.name for one in (source / "training").iterdir()}
    assert inside == {"__init__.py", "errors.py", "models"}
    assert {one.name for one in (source / "configs").iterdir()} == {"catalog", "serving"}
    assert not list(source.rglob("*.pyc"))


def test_the_bento_asks_for_no_package_that_only_training_needs(bento):
    wanted = (bento / "env" / "python" / "requirements.txt").read_text().lower()
    for one in (*TRAINING_ONLY, "scikit-learn", "pandas"):
        assert one not in wanted


def test_the_bento_imports_by_itself(bento):
    done = subprocess.run(
        [sys.executable, "-I", "-c", IMPORT_AND_TELL],
        cwd=bento / "src",
        env={"PATH": os.environ["PATH"], "HOME": str(bento), "BENTOML_HOME": str(bento / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str((bento / "src").resolve())


def test_its_packages_are_ours_at_the_same_floors():
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    bento = yaml.safe_load((ROOT / "bentofile.yaml").read_text())["python"]["packages"]
    assert set(bento) <= set(ours)
