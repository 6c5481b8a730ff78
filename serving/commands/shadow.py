"""`python -m serving shadow-report`: what a challenger in the shadow would have said otherwise."""

from __future__ import annotations

from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from features.errors import OnePointError
from features.terminal import print_json
from serving.config import WorkFolder
from serving.options import JsonOption, WorkOption
from serving.shadow import Differences, read_differences


def shadow_report_command(
    work: WorkOption,
    as_json: JsonOption = False,
) -> None:
    """Compare the challengers that ran in the shadow of this folder's service with its answers."""
    folder = WorkFolder(work)
    found = read_differences(folder.shadows)
    if not found:
        raise OnePointError(
            f"{folder.shadows}: nothing compared yet; write `shadow: FOLDER` with the challenger's "
            f"folder into {folder.settings}, and ask the running service"
        )
    if as_json:
        print_json({"challengers": [{**asdict(one), **_shares(one)} for one in found]})
        return
    table = Table("challenger", "compared", "same offer", "same handle", "mean gap of p_start",
                  "left out", "unreadable")  # fmt: skip
    for one in found:
        shares = _shares(one)
        table.add_row(
            one.release,
            f"{one.compared:,}",
            _percent(shares["same_offer_share"]),
            _percent(shares["same_handle_share"]),
            "–" if shares["p_start_mean_gap"] is None else f"{shares['p_start_mean_gap']:.4f}",
            f"{one.left_out:,}",
            f"{one.unreadable:,}",
        )
    Console().print(table)


def _shares(one: Differences) -> dict[str, float | None]:
    sums = {
        "same_offer_share": one.same_offer,
        "same_handle_share": one.same_handle,
        "p_start_mean_gap": one.p_start_gap,
    }
    return {name: total / one.compared if one.compared else None for name, total in sums.items()}


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
