"""One measured job in a process of its own, so that its peak memory is its own.

`python -m experiments.benchmarks.worker duckdb|pandas FOLDER` reads the events of a folder and
computes the sixty window features; prints the seconds it took, reading apart.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from experiments.benchmarks import window_features
from experiments.benchmarks.events import AS_OF
from experiments.running_service import own_environment
from features.build import build
from features.registry import available_features
from features.sources import open_source
from features.spine import customers_at, microseconds

# A child's peak memory counts what its parent held when it was forked, and a benchmark may hold
# gigabytes: a small process stands between, and measures.
_BETWEEN = """
import os, sys
child = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[2:]], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    file.write(f"{os.waitstatus_to_exitcode(status)} {usage.ru_maxrss}")
"""


def measured(command: list[str]) -> tuple[str, float, float]:
    """Run Python with these arguments; give its output, seconds and peak memory in GB.

    What this machine's environment says of a real decision store or its keys is not passed on.

    Raises `subprocess.CalledProcessError`, with what it said, where it fails.
    """
    with tempfile.NamedTemporaryFile("r") as told:
        begun = time.perf_counter()
        done = subprocess.run(  # noqa: S603 (our own commands)
            [sys.executable, "-I", "-S", "-c", _BETWEEN, told.name, *command],
            capture_output=True, text=True, env=own_environment(), check=True,
        )  # fmt: skip
        seconds = time.perf_counter() - begun
        code, peak_kb = map(int, told.read().split())
    if code:
        raise subprocess.CalledProcessError(code, command, done.stdout, done.stderr)
    return done.stdout, seconds, peak_kb / 1024**2


def windows(engine: str, folder: Path) -> dict[str, Any]:
    """Read the events and compute the sixty; seconds of each, and the rows."""
    begun = time.perf_counter()
    if engine == "pandas":
        rows = len(window_features.with_pandas(folder, microseconds(AS_OF)))
        return {"rows": rows, "seconds": time.perf_counter() - begun}
    source = open_source(folder / "source.yaml", folder, AS_OF + timedelta(days=1))
    by_name = {feature.name: feature for feature in available_features(source)}
    wanted = [by_name[name] for name in window_features.names()]
    rows = build(customers_at(source, [AS_OF]), wanted).num_rows
    return {"rows": rows, "seconds": time.perf_counter() - begun}


if __name__ == "__main__":
    print(json.dumps(windows(sys.argv[1], Path(sys.argv[2]))))
