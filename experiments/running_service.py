"""The real service as a child process: started, asked whether it is ready, stopped or killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from features.errors import OnePointError
from serving.client import ServiceClient
from serving.config import ROOT

READY_S = 300.0
HIDDEN = ("ONEPOINT_KEYS_FILE", "ONEPOINT_PSEUDONYM_KEY", "ONEPOINT_POSTGRES_URL")
"""Variables of this machine that would send a service under test to somebody's real store."""


def own_environment() -> dict[str, str]:
    """Give the environment without what speaks of somebody's real store or keys."""
    return {name: one for name, one in os.environ.items() if name not in HIDDEN}


class ServiceError(OnePointError):
    """The service did not start or did not stop; says where its log is."""


@dataclass
class RunningService:
    """A service and its workers, on a port of 127.0.0.1."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @classmethod
    def start(
        cls,
        command: list[str],
        log: Path,
        port: int | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> RunningService:
        """Start ``python COMMAND --port PORT``, wait until it is ready; its log is added to."""
        chosen = port or free_port(usual=0)
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 (our own commands)
                [sys.executable, *command, "--port", str(chosen)],
                cwd=ROOT,
                env={**own_environment(), **(extra or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        service = cls(process, chosen, log)
        service.wait_until_ready()
        return service

    @classmethod
    def onepoint(
        cls, work: Path, port: int | None = None, extra: Mapping[str, str] | None = None
    ) -> RunningService:
        """Serve a work folder."""
        command = ["-m", "serving", "serve", "--work", str(work)]
        return cls.start(command, work / "service.log", port, extra)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        """Wait for `/readyz`; `ServiceError` where it ends or never comes, and nothing is left."""
        until = time.monotonic() + READY_S
        client = ServiceClient(self.url, "")
        while time.monotonic() < until and self.process.poll() is None:
            if client.wait_until_ready(1.0):
                return
        self.kill()
        last = "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-8:])
        raise ServiceError(f"the service did not start; the end of {self.log}:\n{last}")

    def processes(self) -> list[psutil.Process]:
        """The supervisor and its workers, which have sessions of their own."""
        try:
            supervisor = psutil.Process(self.process.pid)
            return [supervisor, *supervisor.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def resident_mb(self) -> float:
        """Memory of all its processes (MB)."""
        return float(sum(one.memory_info().rss for one in self.processes()) / 1024**2)

    def kill(self) -> None:
        """`kill -9`, as a power cut would; the workers first, so that none finishes anything."""
        for one in reversed(self.processes()):
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait()

    def terminate(self) -> None:
        """Ask it to stop, and do not wait."""
        self.process.terminate()

    def stop(self) -> None:
        """Ask politely, then not; nothing of it is left."""
        everybody = self.processes()
        stop_politely(self.process)
        _, left = psutil.wait_procs(everybody, timeout=10)
        for one in left:
            one.kill()


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Make SIGTERM end this process as Ctrl-C does, so that services it started are stopped."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def stop_politely(process: subprocess.Popen[bytes], patience_s: float = 15.0) -> None:
    """Ask a process group to stop, then make it."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, how)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
        return


def free_port(usual: int) -> int:
    """Take the usual port where nobody has it, else any that is free."""
    for port in (usual, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServiceError("no free port on 127.0.0.1")
