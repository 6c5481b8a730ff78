"""What the scorecard forbids, as sets of candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from features.catalog import Stage
from serving.decide.actions import NOTHING, Actions, ActionSets
from serving.decide.cells import Cells


@dataclass(frozen=True)
class Deployment:
    """The scorecard at one stage an offer: the bank's own steps, what no cell names or one forbids.

    ``expiries`` are the last valid days, each with its cells, the earliest first.
    """

    internal: Actions
    unnamed: Actions
    forbidden: Actions
    expiries: tuple[tuple[date, Actions], ...]

    def expired_on(self, day: date) -> Actions:
        """Return the cells that are no longer valid; the last day still counts."""
        expired = NOTHING
        for last, cells in self.expiries:
            if day <= last:
                break
            expired |= cells
        return expired


def deployment_of(
    stages: Mapping[str, Stage], segment: str, cells: Cells, sets: ActionSets
) -> Deployment:
    """Lay out the cells that count for a segment where these are the stages, by offer."""
    unnamed, forbidden = sets.everything, NOTHING
    expiries: dict[date, Actions] = {}
    for offer, stage in stages.items():
        for handle, cell in cells[offer, stage, segment].items():
            one = sets.offer[offer] & sets.handle[handle]
            unnamed &= ~one
            forbidden |= NOTHING if cell.allowed else one
            expiries[cell.expires] = expiries.get(cell.expires, NOTHING) | one
    return Deployment(
        internal=sets.of(offer for offer, stage in stages.items() if stage == "approval"),
        unnamed=unnamed,
        forbidden=forbidden,
        expiries=tuple(sorted(expiries.items())),
    )
