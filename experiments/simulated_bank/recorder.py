"""What happened, written into the tables as the bank would come to know it: some rows late."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from experiments.simulated_bank.luck import Ints, Luck
from experiments.simulated_bank.parameters import Parameters
from experiments.simulated_bank.people import GENDERS, OCCUPATIONS, REGIONS
from experiments.simulated_bank.table_log import TableLog
from experiments.simulated_bank.timeline import DAY, SECOND
from features.catalog import STAGES
from features.tables import ASSET_CLASSES, NO_CONTACT, PERSONALISATION, TABLES

ID_FORMS = {
    "customer_id": "C%07d", "org_id": "O%04d", "parent": "O%04d", "staff_id": "S%05d",
    "contact_id": "K%09d", "session_id": "V%09d",
}  # fmt: skip
REFUSAL_REASONS = ("no_need", "not_now", "price", "bad_time", "too_many_contacts", "distrust")
ERROR_CODES = ("E_OTP", "E_FACE", "E_TIMEOUT", "E_LIMIT", "E_DOCUMENT")
BENEFITS = ("airport_lounge", "health_check", "cinema_ticket", "points_bonus")
LEVELS = ("C1", "C2", "C3", "C4", "C5")
POLICIES = ("as_is", "manager_discretion", "complaint_service")


class Recorder:
    """Adds rows to the log with the moment they become known; numbers sessions and contacts."""

    def __init__(self, parameters: Parameters, luck: Luck) -> None:
        self.luck = luck
        self._words: dict[tuple[str, str], list[str]] = {
            ("orgs", "name"): [], ("orgs", "business_scope"): [], ("staff", "name"): [],
        }  # fmt: skip
        self._vocabularies = _vocabularies(parameters)
        self._vocabularies.update(self._words)  # type: ignore[arg-type]
        self.log = TableLog(self._vocabularies, ID_FORMS, parameters.timeline.end)
        self._sessions = 0
        self._contacts = 0

    def word(self, table: str, column: str, word: str) -> int:
        """Code of a free word, new or known."""
        words = self._words[(table, column)]
        if word not in words:
            words.append(word)
        return words.index(word)

    def code(self, table: str, column: str, word: str) -> int:
        """Code of a word of a closed vocabulary."""
        return self._vocabularies[(table, column)].index(word)

    def sessions(self, number: int) -> Ints:
        """Give numbers to that many new sessions."""
        self._sessions += number
        return np.arange(self._sessions - number + 1, self._sessions + 1)

    def contacts(self, number: int) -> Ints:
        """Give numbers to that many new contacts."""
        self._contacts += number
        return np.arange(self._contacts - number + 1, self._contacts + 1)

    def add(
        self, table: str, customer: Ints, moment: Ints, *,
        time_column: str = "event_time", prompt: bool = False, **columns: ArrayLike,
    ) -> None:  # fmt: skip
        """Add rows of customers; `prompt` ones are known in minutes, others at times days late."""
        if len(customer) == 0:
            return
        known = moment + self._delay(table, customer, moment, prompt)
        stamped = {time_column: moment, "available_at": known}
        self.log.add(table, customer_id=customer, **stamped, **columns)

    def _delay(self, table: str, customer: Ints, moment: Ints, prompt: bool) -> Ints:
        drawn = self.luck.uniform(f"delay {table}", customer, moment)
        minutes = (60 + drawn * 1_700) * SECOND
        if prompt:
            return np.asarray(minutes.astype(np.int64))
        hours = np.where(drawn > 0.96, (drawn - 0.96) / 0.04 * 20 * 3600 * SECOND, 0.0)
        days = np.where(drawn > 0.995, (drawn - 0.995) / 0.005 * 6 * DAY, 0.0)
        return np.asarray((minutes + hours + days).astype(np.int64))


def _vocabularies(parameters: Parameters) -> dict[tuple[str, str], tuple[str, ...]]:
    """Every closed vocabulary: the catalog's ids, the contract's words, and the bank's own."""
    channels, offers = parameters.catalog.channel_ids, parameters.catalog.offer_ids
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for table in TABLES.values():
        for column in table.columns:
            key = (table.name, column.name)
            if column.vocabulary:
                ids = channels if "channels" in column.vocabulary else offers
                found[key] = (*ids, *column.allowed)
            elif column.allowed:
                found[key] = column.allowed
    found[("interactions", "stage")] = STAGES
    found[("ratings", "stage")] = STAGES
    found[("contacts", "channel")] = (*channels, NO_CONTACT)
    found[("consents", "channel")] = (*channels, PERSONALISATION)
    found[("balances", "asset_class")] = ASSET_CLASSES
    found[("customers", "gender")] = GENDERS
    found[("customers", "region")] = REGIONS
    found[("orgs", "region")] = REGIONS
    found[("customers", "occupation")] = OCCUPATIONS
    found[("interactions", "error_code")] = ERROR_CODES
    found[("contacts", "refusal_reason")] = REFUSAL_REASONS
    found[("contacts", "policy")] = POLICIES
    found[("benefits", "benefit")] = BENEFITS
    found[("risk_assessments", "level")] = LEVELS
    return found
