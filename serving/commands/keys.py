"""`python -m serving keys`: give a caller a key, see who has one, take it away."""

from __future__ import annotations

from typing import Annotated, cast

import typer
from rich.console import Console
from rich.table import Table

from features.catalog import load_catalog
from features.errors import OnePointError, did_you_mean
from features.terminal import print_json
from serving.config import CATALOGS, WorkFolder
from serving.contract import Audience
from serving.keys import AUDIENCES, EVERY_CHANNEL, VERBS, Verb, add_key, read_keys, revoke_key
from serving.options import JsonOption, WorkOption
from serving.startup import catalog_name

keys_app = typer.Typer(
    no_args_is_help=True,
    help="API keys: each opens some doors and some verbs; a running service follows in a second.",
)


@keys_app.command()
def add(
    work: WorkOption,
    name: Annotated[str, typer.Argument(help="who gets it, as in mobile-app-2026")],
    audience: Annotated[str, typer.Option(help="customer, staff or reviewer")],
    channel: Annotated[list[str], typer.Option(help="a door it speaks for, or '*'; repeatable")],
    verb: Annotated[list[str], typer.Option(help=f"{', '.join(VERBS)}; repeatable")],
    as_json: JsonOption = False,
) -> None:
    """Draw a key and print it, this once; only its digest is kept."""
    folder = WorkFolder(work)
    _check(audience, AUDIENCES, "--audience")
    for one in verb:
        _check(one, VERBS, "--verb")
    known = load_catalog(CATALOGS / catalog_name(None, folder)).channel_ids
    for one in channel:
        _check(one, (EVERY_CHANNEL, *known), "--channel")
    chosen = [cast(Verb, one) for one in verb]
    drawn = add_key(folder.keys, name, cast(Audience, audience), channel, chosen)
    if as_json:
        print_json({"name": name, "key": drawn})
    else:
        typer.echo(drawn)


@keys_app.command("list")
def list_keys(work: WorkOption, as_json: JsonOption = False) -> None:
    """Show who has a key and what it opens; the keys themselves nobody can show."""
    keys = read_keys(WorkFolder(work).keys).keys
    if as_json:
        print_json({"keys": [one.model_dump(mode="json", exclude={"sha256"}) for one in keys]})
        return
    table = Table("name", "audience", "channels", "verbs")
    for one in keys:
        table.add_row(one.name, one.audience, " ".join(one.channels), " ".join(one.verbs))
    Console().print(table)


@keys_app.command()
def revoke(work: WorkOption, name: Annotated[str, typer.Argument(help="as in the list")]) -> None:
    """Take a key away."""
    revoke_key(WorkFolder(work).keys, name)
    typer.echo(f"'{name}' opens nothing any more")


def _check(given: str, allowed: tuple[str, ...], option: str) -> None:
    if given not in allowed:
        raise OnePointError(f"{option} '{given}': {did_you_mean(given, allowed)}")
