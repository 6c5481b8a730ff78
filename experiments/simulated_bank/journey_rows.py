"""The rows that applications leave in `interactions`: apply, error, step, complete or abandon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.simulated_bank import truth
from experiments.simulated_bank.luck import Bools, Floats, Ints
from experiments.simulated_bank.recorder import ERROR_CODES, Recorder
from experiments.simulated_bank.state import State, desk_time
from experiments.simulated_bank.table_log import fen
from experiments.simulated_bank.timeline import HOUR, SECOND

_MINUTE = 60 * SECOND
_STAYS = 0.75
"""Share of customers who take the next step with the person they began with."""


@dataclass(frozen=True)
class Applications:
    """Applications begun in a month, arrays of shape (n,); ``product``, ``handle`` positions."""

    customer: Ints
    product: Ints
    handle: Ints
    amount: Floats
    began: Ints
    done: Bools


class ApplicationRows:
    """Writes the rows of one month's applications; ``org`` is each customer's outlet, (N,)."""

    def __init__(
        self, state: State, recorder: Recorder, org: Ints, applications: Applications
    ) -> None:
        self._state = state
        self._recorder = recorder
        self._org = org
        self._of = applications
        self._offer = state.parameters.offer_code[applications.product]
        self._session = recorder.sessions(len(applications.customer))

    def write(self) -> Ints:
        """Write all rows; returns when each application was completed or given up, (n,)."""
        applications = self._of
        everything = np.ones(len(applications.customer), dtype=bool)
        self._add(everything, "apply", "application", applications.handle, applications.began)
        self._write_errors()
        moment, where, stage = self._take_steps()
        quits = self._uniform("quits")
        credit = np.array([one.suitability == "credit" for one in self._state.parameters.offers])
        hours = np.where(applications.done & credit[applications.product], 24 * (1 + 3 * quits), 0)
        ended = moment + ((3 + 25 * quits) * _MINUTE + hours * HOUR).astype(np.int64)
        for number, name in enumerate(("application", "interview", "signing")):
            here = stage == number
            self._add(applications.done & here, "complete", name, where, ended)
            self._add(~applications.done & here, "abandon", name, where, ended)
        return np.asarray(ended)

    def _uniform(self, purpose: str, *more: int) -> Floats:
        return self._state.luck.uniform(
            purpose, self._of.customer, self._state.month, self._offer, *more
        )

    def _take_steps(self) -> tuple[Ints, Ints, Ints]:
        """Write the steps; returns moment, channel and stage number each application got to."""
        state, applications = self._state, self._of
        parameters = state.parameters
        moment, where = applications.began, applications.handle
        stage = np.zeros(len(where), dtype=np.int64)
        quits = self._uniform("quits")
        for number, name in enumerate(("interview", "signing"), start=1):
            needs = np.array([name in setting.steps for setting in parameters.settings])
            goes_on = needs[applications.product] & (
                applications.done | (quits > 0.5 + 0.2 * number)
            )
            chosen = truth.chosen_channels(
                state, applications.customer, applications.product, applications.amount, number
            )
            if parameters.config.signal > 0:
                stays = (parameters.handle_mode[where] > 0) & (
                    self._uniform("stays", number) < _STAYS
                )
                chosen = np.where(stays, where, chosen)
            gap = 1 + (4 * self._uniform("gap", number)).astype(np.int64)
            later = desk_time(
                state,
                parameters.timeline.local_day(moment) + gap,
                self._uniform("step clock", number),
                parameters.handle_mode[chosen] == 0,
                within_month=False,
            )
            self._add(goes_on, "step", name, chosen, later)
            moment, where = np.where(goes_on, later, moment), np.where(goes_on, chosen, where)
            stage = np.where(goes_on, number, stage)
        return moment, where, stage

    def _write_errors(self) -> None:
        """Online, something fails now and then, more often in less practised hands."""
        state, applications = self._state, self._of
        online = state.parameters.handle_mode[applications.handle] == 0
        ease = state.people.ease[applications.customer]
        rate = state.parameters.config.activity.error_rate * (1.2 - ease)
        fails = online & (self._uniform("error") < rate)
        code = (self._uniform("error code") * len(ERROR_CODES)).astype(np.int64)
        moment = applications.began + 2 * _MINUTE
        self._add(fails, "error", "application", applications.handle, moment, code)

    def _add(
        self,
        rows: Bools,
        kind: str,
        stage: str,
        where: Ints,
        moment: Ints,
        error_code: Ints | None = None,
    ) -> None:
        parameters = self._state.parameters
        customer = self._of.customer[rows]
        drawn = self._state.luck.uniform("duration", customer, moment[rows])
        mode = parameters.handle_mode[where[rows]]
        self._recorder.add(
            "interactions",
            customer,
            moment[rows],
            kind=kind,
            stage=stage,
            channel=parameters.handle_code[where[rows]],
            product=self._offer[rows],
            session_id=self._session[rows],
            amount_cny=fen(self._of.amount[rows]),
            duration_s=np.round(60 + 600 * drawn * (1 + mode)),
            wait_s=_waits(drawn, mode),
            org_id=np.where(mode == 2, self._org[customer], -1),
            error_code=-1 if error_code is None else error_code[rows],
        )


def _waits(drawn: Floats, mode: Ints) -> Floats:
    """Give the waiting time in seconds: none online, a queue elsewhere, longer in the branch."""
    scale = np.choose(mode, [np.nan, 90.0, 600.0])
    return np.asarray(np.round(-scale * np.log(1 - 0.98 * drawn)))
