"""`python -m serving`: start the service, or ask a running one."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from typing import Annotated, Optional

import typer
from rich.console import Console

from features.errors import OnePointError
from features.terminal import parse_clock, print_json, run
from serving.client import ServiceClient
from serving.commands.decide import decide_command
from serving.commands.export import export_command
from serving.commands.frontier import frontier_command
from serving.commands.keys import keys_app
from serving.commands.replay import replay_command
from serving.commands.scorecard import app as scorecard_app
from serving.commands.shadow import shadow_report_command
from serving.commands.simulate import simulate_command
from serving.commands.swap import swap_command
from serving.commands.why import why_command
from serving.config import ROOT, WorkFolder
from serving.contract import RecommendResponse
from serving.front_desk import WIDTH, show_answer
from serving.options import CatalogOption, ClockOption, WorkOption
from serving.startup import SUPERVISOR_VARIABLE, Start, check_start, choose_start, load_rules
from serving.trial_keys import trial_key

app = typer.Typer(no_args_is_help=True, help="From request to decision.")

PortOption = Annotated[int, typer.Option("--port", min=1, max=65535)]

PORT_WAIT_S = 5.0
"""How long a taken port is waited for: workers of a supervisor that was killed leave within 1 s."""

app.command("decide")(decide_command)
app.add_typer(keys_app, name="keys")
app.command("replay")(replay_command)
app.command("export")(export_command)
app.command("why")(why_command)
app.command("simulate")(simulate_command)
app.command("frontier")(frontier_command)
app.add_typer(scorecard_app, name="scorecard")
app.command("swap")(swap_command)
app.command("shadow-report")(shadow_report_command)


@app.command()
def serve(
    work: WorkOption,
    port: PortOption = 3000,
    host: Annotated[str, typer.Option("--host", help="address to listen on")] = "127.0.0.1",
    catalog: CatalogOption = None,
    clock: ClockOption = None,
    without_release: Annotated[
        bool, typer.Option("--without-release", help="no models: rules and popularity only")
    ] = False,
) -> None:
    """Check everything, then serve until interrupted; what is wrong is said here.

    Exit code 2: nothing could be answered like this. Without a sound release or the customers'
    features it serves, degraded, and takes up what is mended.
    """
    start = choose_start(work, catalog, parse_clock(clock) if clock else None, without_release)
    for lacking in check_start(start):
        print(f"degraded until this is mended: {lacking}", file=sys.stderr)
    _wait_for_port(host, port)
    environment = {
        **os.environ,
        **start.environment(),
        # this process, which becomes BentoML's supervisor
        SUPERVISOR_VARIABLE: str(os.getpid()),
        "BENTOML_DO_NOT_TRACK": "true",
        "BENTOML_HOME": os.environ.get("BENTOML_HOME") or str(work.resolve() / "bentoml"),
        # One row is scored at a time; more threads only wait for each other.
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:OnePointService"]
    command += ["--host", host, "--port", str(port), "--working-dir", str(ROOT)]
    print(_where_it_serves(start, host, port), file=sys.stderr, flush=True)
    sys.stdout.flush()
    # Replaces this process: signals reach the server itself, and what the check loaded is freed.
    os.execve(sys.executable, command, environment)  # noqa: S606


def _wait_for_port(host: str, port: int) -> None:
    """Find the port free; what BentoML says of one that is taken is a trace, and too late."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    until = time.monotonic() + PORT_WAIT_S
    while True:
        try:
            socket.create_server((host, port), family=family).close()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                why = f"{error.strerror}; mend --host or --port"
            elif time.monotonic() < until:
                time.sleep(0.1)
                continue
            else:
                why = "something else listens there; stop it, or give another --port"
            raise OnePointError(f"cannot serve on {host}, port {port}: {why}") from None
        return


def _where_it_serves(start: Start, host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    line = f"checked; serving on http://{shown}:{port} until Ctrl-C · keys: {start.work.keys}"
    pinned = f" · clock pinned at {start.clock.isoformat()}" if start.clock else ""
    return line + pinned


@app.command()
def ask(
    work: WorkOption,
    customer: Annotated[str, typer.Option("--customer", help="customer id")],
    channel: Annotated[str, typer.Option("--channel", help="the door the customer stands at")],
    intent: Annotated[
        Optional[str],  # noqa: UP045 (typer reads it)
        typer.Option("--intent", help="offer the customer says he came for"),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=20)] = 3,
    scope: Annotated[
        str, typer.Option("--scope", help="whose trial key: customer or staff")
    ] = "staff",
    port: PortOption = 3000,
    catalog: CatalogOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the answer as it came")] = False,
) -> None:
    """Ask a running service what to offer a customer, and print the answer."""
    key = trial_key(WorkFolder(work).trial_keys, scope)
    request: dict[str, object] = {"customer_id": customer, "channel": channel, "limit": limit}
    if intent is not None:
        request["intent"] = {"offer": intent}
    client = ServiceClient(f"http://127.0.0.1:{port}", key)
    answer = client.recommend(request)
    if as_json:
        print_json(answer)
        return
    rules = load_rules(WorkFolder(work), catalog)
    console = Console(width=max(WIDTH, Console().width))
    show_answer(RecommendResponse.model_validate(answer), rules, channel, console)


if __name__ == "__main__":
    run(app)
