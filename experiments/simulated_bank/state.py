"""What is true of every customer at the start of a month: the history that outcomes depend on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from experiments.simulated_bank.luck import Bools, Floats, Ints, Luck
from experiments.simulated_bank.parameters import Parameters
from experiments.simulated_bank.people import People
from experiments.simulated_bank.timeline import HOUR, NEVER, next_business_day


@dataclass
class Book:
    """All holdings ever opened, one row each; ``closed`` is `NEVER` while open."""

    customer: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    product: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    opened: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    amount: Floats = field(default_factory=lambda: np.empty(0))
    maturity: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    closed: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    handle: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    value: Floats = field(default_factory=lambda: np.empty(0))

    def open(
        self,
        customer: Ints,
        product: Ints,
        opened: Ints,
        amount: Floats,
        maturity: Ints,
        handle: Ints,
    ) -> None:
        """Add holdings; ``value`` starts as the amount and then follows market or repayment."""
        self.customer = np.concatenate([self.customer, customer])
        self.product = np.concatenate([self.product, product])
        self.opened = np.concatenate([self.opened, opened])
        self.amount = np.concatenate([self.amount, amount])
        self.maturity = np.concatenate([self.maturity, maturity])
        self.closed = np.concatenate([self.closed, np.full(len(customer), NEVER)])
        self.handle = np.concatenate([self.handle, handle])
        self.value = np.concatenate([self.value, amount])

    @property
    def is_open(self) -> Bools:
        """Which rows have not been closed."""
        return np.asarray(self.closed == NEVER)


@dataclass
class State:
    """Arrays of shape (N,) unless said otherwise, at the first moment of ``month``."""

    parameters: Parameters
    people: People
    luck: Luck
    intercept: Floats  # (P,)
    month: int
    present: Bools
    need: Floats  # (N, needs)
    demand: Floats
    book: Book
    held: Ints  # (N, P)
    maturing: Floats  # CNY falling due this month
    inflow: Floats  # 1 after a month with a large inflow, fading
    fatigue: Floats  # recent contacts
    last_handle: Ints  # −1 before the first
    reachable: Bools  # (N, channels)
    consented: Bools  # (N, channels)
    assessment_expires: Ints
    benefit: Floats  # unused benefits
    managed: Bools
    overdue_days: Ints

    @property
    def age(self) -> Floats:
        """Age in years in the middle of the month."""
        return self.people.age(self.parameters.timeline.year(self.month))

    @property
    def moment(self) -> int:
        """The first moment of the month, UTC microseconds."""
        return self.parameters.timeline.start(self.month)

    @property
    def assessment_valid(self) -> Bools:
        """Whether a risk assessment holds at the first moment of the month."""
        return np.asarray(self.assessment_expires > self.moment)

    def class_values(self) -> Floats:
        """Value by customer and asset class, CNY, shape (N, classes); demand money included."""
        classes = self.parameters.asset_class[self.book.product]
        rows = self.book.is_open & (classes >= 0)
        number = 6
        values = np.bincount(
            self.book.customer[rows] * number + classes[rows],
            weights=self.book.value[rows],
            minlength=len(self.people) * number,
        ).reshape(len(self.people), number)
        return np.asarray(values + self.demand[:, None] * (np.arange(number) == 0))

    def count_held(self) -> Ints:
        """Open holdings by customer and product, shape (N, P)."""
        rows = self.book.is_open
        size = len(self.parameters.products)
        return np.bincount(
            self.book.customer[rows] * size + self.book.product[rows],
            minlength=len(self.people) * size,
        ).reshape(len(self.people), size)


def desk_time(
    state: State, day: Ints, drawn: Floats, online: Bools, within_month: bool = True
) -> Ints:
    """Place a moment on a day: 7 to 23 o'clock online, else 9 to 17 on a business day.

    A weekend becomes the Monday after or, where that lies in the next month and the moment must
    not (``within_month``), the Friday before.
    """
    timeline = state.parameters.timeline
    last = timeline.day(state.month + 1) - 1
    working = next_business_day(day)
    if within_month:
        friday = day - ((day + 3) % 7 - 4)
        working = np.where((working > last) & (day <= last), friday, working)
    hour = np.where(online, 7 + 16 * drawn, 9 + 8 * drawn)
    return timeline.at(np.where(online, day, working), (hour * HOUR).astype(np.int64))


def maturity_of(parameters: Parameters, product: Ints, opened: Ints) -> Ints:
    """Give the due time: the same day of the month after the tenor, a business day at nine."""
    months = parameters.tenor_months[product]
    day = parameters.timeline.add_months(parameters.timeline.local_day(opened), months)
    due = parameters.timeline.at(next_business_day(day), 9 * HOUR)
    return np.where(months > 0, due, NEVER)
