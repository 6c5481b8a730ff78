"""One customer's case: the facts every rule reads, worked out once per decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from features.catalog import STAGES, Channel, Offer, Stage
from features.state import CustomerState, Refusal
from features.tables import PERSONALISATION
from serving.contract import Intent
from serving.decide.actions import NOTHING, Actions, ActionSets
from serving.decide.calendar_days import age_on, local_day, months_after, utc
from serving.decide.caps import contact_free_from, free_from
from serving.decide.deployment import Deployment
from serving.decide.door import Door, Row
from serving.decide.once import once
from serving.decide.record import DecisionInputs

if TYPE_CHECKING:
    from serving.decide.cells import Cell
    from serving.decide.rulebook import Rulebook


@dataclass(frozen=True)
class Case:
    """A customer at a door at a moment, with what the rules need already worked out.

    ``sets`` are the candidates; ``reach`` is the channel where the customer is or, ``outbound``
    (we would go to him unasked), would be spoken to. ``today`` is the day in the bank's time zone,
    ``age`` in full years (None: not known). ``stages`` is the next stage of each offer.
    ``personal`` is False where the customer refused personalisation: then only vetoes may read what
    is known of him. ``unknown`` is True where his record could not be read at all.
    """

    rules: Rulebook
    sets: ActionSets
    inputs: DecisionInputs
    outbound: bool
    reach: Channel
    state: CustomerState
    now: datetime
    today: date
    zone: ZoneInfo
    stages: dict[str, Stage]
    personal: bool
    unknown: bool
    age: int | None
    held: frozenset[str]
    restrictions: frozenset[str]

    @property
    def intent_offer(self) -> str | None:
        """The offer the customer says he came for; who is contacted said nothing."""
        intent = self.inputs.intent
        return None if intent is None or self.outbound else intent.offer

    @once
    def door(self) -> Door:
        """That channel as a place to go on from."""
        return self.rules.door(self.inputs.channel)

    @once
    def staff_cny(self) -> Row:
        """What the staff time at each handle costs (CNY)."""
        return self.door.staff_cny(self.inputs.prices)

    @property
    def alone(self) -> Actions:
        """The handles where the customer does it himself: online, and at machines."""
        return self.sets.mode["online"] | self.sets.at(self.rules.policy.doors.machines)

    @once
    def deployment(self) -> Deployment:
        """What the scorecard forbids this customer, at the stages that come next for him."""
        return self.rules.deployment(tuple(self.stages.values()), self.segment)

    def cell(self, offer: Offer, handle: Channel) -> Cell | None:
        """Read the scorecard for this customer, at the stage that comes next for him.

        None where no rule names the cell: the step is not deployed there.
        """
        return self.rules.cell(offer.id, self.stages[offer.id], handle.id, self.segment)

    @once
    def senior(self) -> bool:
        """Whether the customer is of the age that rules protect (False where age is unknown)."""
        return self.age is not None and self.age >= self.rules.policy.elderly.age

    @once
    def segment(self) -> str:
        """His segment of the scorecard; all that may be his where age or assets are not known."""
        return self.rules.scorecard.segment_of(self.age, self.state.assets_cny)

    @once
    def complaint_open(self) -> bool:
        """Whether a complaint waits to be settled."""
        since = self.state.complaint_open_since
        return since is not None and utc(since) <= self.now

    @once
    def assessment_valid_until(self) -> date | None:
        """The first day on which the risk assessment no longer counts; None without one.

        The earlier of its own expiry and twelve months to the day, in the bank's time zone.
        """
        newest = self.state.risk_assessment
        if newest is None or utc(newest.assessed_at) > self.now:
            return None
        months = self.rules.policy.assessment_months
        birthday = months_after(local_day(newest.assessed_at, self.zone), months)
        return min(birthday, local_day(newest.expires_at, self.zone))

    @once
    def assessment_expired(self) -> bool:
        """Whether there is an assessment that no longer counts."""
        newest, until = self.state.risk_assessment, self.assessment_valid_until
        if newest is None or until is None:
            return False
        months = self.rules.policy.assessment_months
        birthday = months_after(local_day(newest.assessed_at, self.zone), months)
        return self.today >= birthday or self.now >= utc(newest.expires_at)

    @once
    def served(self) -> Actions:
        """The offers he holds and came to be served in, so that nothing is sold."""
        if self.outbound:
            return NOTHING
        return self.sets.of(one for one in self.held if self.stages.get(one) == "servicing")

    def not_known(self, table: str) -> bool:
        """Whether this bank does not bring a table, or the customer's record cannot be read."""
        return table in self.state.missing

    def refusal_until(self, refusal: Refusal, offer: Offer) -> date:
        """Return the first day on which a refused offer may be made again."""
        cool = self.rules.policy.cool_downs
        days = cool.credit_days if offer.suitability == "credit" else cool.other_days
        return self.refusal_day(refusal) + timedelta(days=days)

    def refusal_day(self, refusal: Refusal) -> date:
        """Return the day the customer refused, as the bank counts days."""
        return local_day(refusal.refused_at, self.zone)

    @property
    def rating_held_until(self) -> date | None:
        """The first day the risk rating no longer counts as raised lately; None where never."""
        newest = self.state.risk_assessment
        if newest is None or newest.raised_at is None or utc(newest.raised_at) > self.now:
            return None
        days = self.rules.policy.high_risk.raised_hold_days
        return local_day(newest.raised_at, self.zone) + timedelta(days=days)

    @property
    def contact_from(self) -> date:
        """The first day the caps of all channels together let us contact him again."""
        return contact_free_from(self._contacted(), self.rules.policy.caps)

    @property
    def channel_from(self) -> date:
        """The first day the cap of the channel lets us contact him by it again."""
        most = self.rules.policy.caps.by_channel_30_days.get(self.reach.id)
        return date.min if most is None else free_from(self._contacted(self.reach.id), most, 30)

    @once
    def unanswered(self) -> list[date]:
        """The days of the last 30 with a contact since he last answered one, newest first."""
        made = [(utc(one.event_time), one.responded) for one in self.state.contacts]
        made = [(at, responded) for at, responded in made if at <= self.now]
        answered = max((at for at, responded in made if responded), default=None)
        silent = [at for at, _ in made if answered is None or at > answered]
        days = sorted((local_day(at, self.zone) for at in silent), reverse=True)
        return [day for day in days if day > self.today - timedelta(days=30)]

    @property
    def rested_from(self) -> date:
        """The first day on which his silence no longer keeps us from contacting him."""
        most = self.rules.policy.caps.unanswered_30_days
        return date.min if most is None else free_from(self.unanswered, most, 30)

    def _contacted(self, channel: str | None = None) -> list[date]:
        """List the days he was contacted (by one channel), newest first."""
        made = (one for one in self.state.contacts if channel in (None, one.channel))
        times = (utc(one.event_time) for one in made)
        return sorted((local_day(at, self.zone) for at in times if at <= self.now), reverse=True)

    @once
    def refused(self) -> dict[str, Refusal]:
        """The offers that a refusal still holds back, with the newest such; credit by category."""
        found: dict[str, Refusal] = {}
        for refusal in self.state.refusals:
            if utc(refusal.refused_at) > self.now:
                continue
            for offer in self._alike(refusal.offer):
                if self.today < self.refusal_until(refusal, offer):
                    found.setdefault(offer.id, refusal)
        if self.rules.policy.cool_downs.lifted_by_intent and self.intent_offer is not None:
            found.pop(self.intent_offer, None)
        return found

    def _alike(self, refused: str) -> list[Offer]:
        """List what a refusal speaks of: the offer itself, of credit its whole category."""
        offer = self.rules.catalog.offer_by_id.get(refused)
        if offer is None:
            return []
        if offer.suitability != "credit":
            return [offer]
        kind = (offer.suitability, offer.category)
        return [one for one in self.rules.catalog.offers if (one.suitability, one.category) == kind]


def make_case(inputs: DecisionInputs, rules: Rulebook) -> Case:
    """Work out what the rules read."""
    state, zone = inputs.state, rules.zone
    now = utc(inputs.as_of)
    today = local_day(now, zone)
    return Case(
        rules=rules,
        sets=rules.sets,
        inputs=inputs,
        outbound=inputs.direction == "outbound",
        reach=rules.catalog.channel_by_id[inputs.channel],
        state=state,
        now=now,
        today=today,
        zone=zone,
        stages=stages_for(inputs.intent, state, rules),
        personal=personal_answer(state.consents),
        unknown="customers" in state.missing,
        age=None if state.birth_date is None else age_on(state.birth_date, today),
        held=frozenset(holding.offer for holding in state.holdings),
        restrictions=frozenset(_in_force(state, now)),
    )


def personal_answer(consents: Mapping[str, bool]) -> bool:
    """Whether the customer lets his data shape the answer; only an explicit no forbids it.

    >>> personal_answer({}), personal_answer({"personalisation": False})
    (True, False)
    """
    return consents.get(PERSONALISATION) is not False


def stages_for(intent: Intent | None, state: CustomerState, rulebook: Rulebook) -> dict[str, Stage]:
    """Say which step comes next for each offer, in catalog order.

    The stage of the intent for its offer; the stage an application broke off at for that offer;
    else *application* for products and *servicing* for services and care, which have no
    application. Who refused personalisation starts at the beginning: where he stopped is his own
    affair.
    """
    broken = state.broken_application if personal_answer(state.consents) else None
    told: dict[str, Stage] = {}
    if broken is not None:
        told[broken.offer] = _next_stage(broken.stage)
    if intent is not None:
        told[intent.offer] = intent.stage
    first = rulebook.first_stages
    stages = dict(first)
    for offer, stage in told.items():
        if offer in first:
            stages[offer] = first[offer] if stage == "application" else stage
    return stages


def _next_stage(name: str) -> Stage:
    """Read a stage from the tables, where it is text; what is no stage starts at the beginning."""
    return next((stage for stage in STAGES if stage == name), "application")


def _in_force(state: CustomerState, now: datetime) -> Iterable[str]:
    for restriction in state.restrictions:
        ended = restriction.until is not None and utc(restriction.until) <= now
        if utc(restriction.since) <= now and not ended:
            yield restriction.kind
