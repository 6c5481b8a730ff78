"""The demo's steps, said as they begin, while they run and when they are done."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from features.errors import OnePointError
from serving.config import ROOT
from training.report import RULES

SAY_EVERY_S = 30.0
"""Without a terminal, a step that runs on says so this often."""
METRICS = {
    "map_at_7": "MAP@7",
    "hit_rate_at_3": "hit rate@3",
    "accuracy": "channel accuracy",
}
"""What is said of a run, and how."""


class DemoError(OnePointError):
    """A step of the demo failed; says which command to run by itself."""


class Steps:
    """Says each step as it begins and how long it took; works without a terminal, too."""

    def __init__(
        self,
        console: Console,
        total: int,
        say_every_s: float = SAY_EVERY_S,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.console = console
        self.total = total
        self.say_every_s = say_every_s
        self.environment = environment
        """What its commands are run with; None: with what this process has."""
        self.done = 0
        self.begun = time.perf_counter()

    def note(self, text: str) -> None:
        """Say what the reader should know of the data."""
        self.console.print(f"  {text}", style="yellow", markup=False, soft_wrap=True)

    @contextmanager
    def timed(self, title: str) -> Iterator[list[str]]:
        """Time a step; what is appended to the list given is said with its time."""
        self.done += 1
        label = f"[bold]{self.done}/{self.total}[/bold] {escape(title)}"
        self.console.print(f"{label} …", soft_wrap=True)
        begun = time.perf_counter()
        told: list[str] = []
        yield told
        now = time.perf_counter()
        extra = f" · {escape(told[0])}" if told and told[0] else ""
        self.console.print(
            f"  [green]✓[/green] {now - begun:.1f} s ({now - self.begun:.0f} s in all){extra}",
            soft_wrap=True,
        )

    def run(
        self,
        title: str,
        arguments: list[str],
        out: Path | None = None,
        tell: Callable[[dict[str, Any]], str] = lambda _: "",
        well: tuple[int, ...] = (0,),
    ) -> None:
        """Run a room's command; what it says on stderr is shown only where it fails.

        ``well`` are the exit codes after which the job goes on.

        Raises
        ------
        DemoError
            The command failed; carries what it said and how to run it by itself.
        """
        command = [*arguments, "--json", *([] if out is None else ["--out", str(out)])]
        with self.timed(title) as told, TemporaryFile() as said, TemporaryFile() as complained:
            if self._wait_for(command, title, said, complained) not in well:
                why, by_itself = _text(complained).strip(), to_type(command)
                raise DemoError(f"{why}\n{title}: failed; run it by itself:\n  {by_itself}")
            told.append(tell(json.loads(_text(said).strip().splitlines()[-1])))

    def _wait_for(
        self, command: list[str], title: str, said: IO[bytes], complained: IO[bytes]
    ) -> int:
        """Run a command to its end, showing that time goes by; give its exit code."""
        process = subprocess.Popen(  # noqa: S603 (our own commands)
            [sys.executable, "-m", *command],
            cwd=ROOT,
            stdout=said,
            stderr=complained,
            env=self.environment,
        )
        try:
            if self.console.is_terminal:
                columns = (TextColumn(" "), SpinnerColumn(), TimeElapsedColumn())
                with Progress(*columns, console=self.console, transient=True) as progress:
                    progress.add_task(title, total=None)
                    return process.wait()
            waited = 0.0
            while True:
                try:
                    return process.wait(self.say_every_s)
                except subprocess.TimeoutExpired:
                    waited += self.say_every_s
                    self.console.print(
                        f"  … still {title}, {waited:.0f} s", markup=False, soft_wrap=True
                    )
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def to_type(arguments: list[str]) -> str:
    """Write a room's command as it is typed into a shell, wherever that stands."""
    return shlex.join([sys.executable, "-m", *arguments])


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def tell_tables(said: dict[str, Any], check: list[str]) -> str:
    """Say what `features check` found: tables, rows, what is missing, and how to read alarms."""
    rows = sum(said["tables"].values())
    missing = ", ".join(said["missing"]) or "nothing"
    alarms = sum(one["level"] == "alarm" for one in said["quality"]["findings"])
    found = f"{len(said['tables'])} tables, {rows:,} rows; missing: {missing}"
    if not alarms:
        return found
    count = "1 alarm, read it" if alarms == 1 else f"{alarms} alarms, read them"
    return f"{found}; {count} with\n    {to_type(check)}"


def tell_metrics(said: dict[str, Any]) -> str:
    """Say each metric of the model with that of its best naive rule.

    >>> tell_metrics({"accuracy": 0.66, "majority_accuracy": 0.4, "last_channel_accuracy": 0.59})
    'channel accuracy 0.66, last channel 0.59'
    """
    shown = []
    for metric, name in METRICS.items():
        if said.get(metric) is None:
            continue
        rules = [
            (value, rule) for rule in RULES if (value := said.get(f"{rule}_{metric}")) is not None
        ]
        best = max(rules, default=None)
        naive = f", {best[1].replace('_', ' ')} {best[0]:.2f}" if best else ""
        shown.append(f"{name} {said[metric]:.2f}{naive}")
    return " · ".join(shown)
