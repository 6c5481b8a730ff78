"""Customer states from the tables: the same as-known-at rule as features, for the rules' facts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import narwhals.stable.v2 as nw

from features.history import YEAR_DAYS, Frame, attributes, latest, made_contacts, managed, past
from features.spine import MICROSECONDS_A_DAY, Spine, moment
from features.state import (
    BrokenApplication,
    CreditOffer,
    CustomerState,
    Holding,
    Outlet,
    Owner,
    PastContact,
    Refusal,
    Restriction,
    RiskAssessment,
)

BREAK_DAYS = 3
"""An application not completed is broken off for 72 hours; then it is history."""

Rows = dict[str, list[dict[str, Any]]]


def customer_states(spine: Spine) -> Iterator[CustomerState]:
    """State of each customer of a spine that has one moment, in order of `row_id`.

    Raises `ValueError` where the spine has several moments: facts are kept by customer.
    """
    source = spine.source
    rows = spine.arrow().to_pylist()
    if len({row["as_of"] for row in rows}) > 1:
        raise ValueError("customer states are of one moment; make a spine for each")
    missing = source.missing_tables
    reader = _Reader(spine)
    facts = {name: reader.rows(name) for name in _FACTS}
    outlets = _outlets(spine)
    staff = _staff(spine)
    overdue_known = source.has("accounts.overdue_days")
    for row in rows:
        customer = row["customer_id"]
        own = {name: rows.get(customer, []) for name, rows in facts.items()}
        attribute = own["attributes"][0] if own["attributes"] else {}
        balances = own["balances"]
        yield CustomerState(
            customer_id=customer,
            as_of=moment(row["as_of"]),
            missing=missing,
            birth_date=_day(attribute.get("birth_date")),
            outlet=outlets.get(attribute.get("org_id") or ""),
            owner=_owner(own["assignments"], staff),
            holdings=_holdings(own["holdings"]),
            demand_cny=_sum(balances, "demand") if source.has("balances") else None,
            assets_cny=_sum(balances, None) if source.has("balances") else None,
            restrictions=_restrictions(own["restrictions"]),
            consents={one["channel"]: one["allowed"] for one in own["consents"]},
            reachable={one["channel"]: one["reachable"] for one in own["reachability"]},
            risk_assessment=_assessment(own["risk_assessments"]),
            credit_offers=_credit_offers(own["credit_offers"]),
            overdue_days=max((one["overdue_days"] or 0 for one in own["accounts"]), default=0)
            if overdue_known
            else None,
            refusals=_refusals(own["refusals"]),
            contacts=_contacts(own["contacts"]),
            complaint_open_since=min(
                (moment(one["event_time"]) for one in own["complaints"]), default=None
            ),
            broken_application=_broken(own["journeys"], own["holdings"]),
        )


class _Reader:
    """Collects one fact's rows by customer; a table the bank lacks has none."""

    def __init__(self, spine: Spine) -> None:
        self._spine = spine

    def rows(self, name: str) -> Rows:
        table, make = _FACTS[name]
        found: Rows = defaultdict(list)
        if not self._spine.source.has(table):
            return found
        frame: Frame = make(self._spine)
        # a fixed order, so that equal tables give equal states
        columns = sorted(frame.collect_schema().names())
        for row in frame.sort(*columns, nulls_last=True).collect("pyarrow").rows(named=True):
            found[row["customer_id"]].append(row)
        return found


def _open_rows(spine: Spine) -> Frame:
    return past(spine, "holdings").filter(nw.col("closed_at").is_null())


def _live_restrictions(spine: Spine) -> Frame:
    ended = ~nw.col("until").is_null() & (nw.col("until") <= nw.col("as_of"))
    return past(spine, "restrictions").filter(~ended)


def _live_credit(spine: Spine) -> Frame:
    return latest(spine, "credit_offers", ("offer",)).filter(nw.col("expires_at") > nw.col("as_of"))


def _open_complaints(spine: Spine) -> Frame:
    return past(spine, "ratings").filter(nw.col("complaint") & nw.col("resolved_at").is_null())


def _refused(spine: Spine) -> Frame:
    year = YEAR_DAYS * MICROSECONDS_A_DAY
    refused = ~nw.col("refused_at").is_null()
    return made_contacts(spine).filter(refused & (nw.col("as_of") - nw.col("refused_at") <= year))


def _recent_contacts(spine: Spine) -> Frame:
    return made_contacts(spine).filter(nw.col("age_us") <= 30 * MICROSECONDS_A_DAY)


def _journeys(spine: Spine) -> Frame:
    return past(spine, "interactions", BREAK_DAYS).filter(
        nw.col("kind").is_in(["apply", "step", "complete", "error", "abandon"])
        & ~nw.col("product").is_null()
    )


_FACTS = {
    "attributes": ("customers", attributes),
    "assignments": ("assignments", managed),
    "holdings": ("holdings", _open_rows),
    "balances": ("balances", lambda spine: latest(spine, "balances", ("asset_class",))),
    "restrictions": ("restrictions", _live_restrictions),
    "consents": ("consents", lambda spine: latest(spine, "consents", ("channel",))),
    "reachability": ("reachability", lambda spine: latest(spine, "reachability", ("channel",))),
    "risk_assessments": ("risk_assessments", lambda spine: latest(spine, "risk_assessments")),
    "credit_offers": ("credit_offers", _live_credit),
    "accounts": ("accounts", lambda spine: past(spine, "accounts", YEAR_DAYS)),
    "refusals": ("contacts", _refused),
    "contacts": ("contacts", _recent_contacts),
    "complaints": ("ratings", _open_complaints),
    "journeys": ("interactions", _journeys),
}


def _day(days: int | None) -> date | None:
    return None if days is None else date(1970, 1, 1) + timedelta(days=days)


def _time(us: int | None) -> datetime | None:
    return None if us is None else moment(us)


def _sum(rows: list[dict[str, Any]], asset_class: str | None) -> float:
    chosen = [row for row in rows if asset_class is None or row["asset_class"] == asset_class]
    return float(sum(row["balance_cny"] for row in chosen))


def _outlets(spine: Spine) -> dict[str, Outlet]:
    if not spine.source.has("orgs"):
        return {}
    rows = spine.source.frame("orgs").collect("pyarrow").rows(named=True)
    return {
        row["org_id"]: Outlet(
            org_id=row["org_id"],
            kind=row["kind"],
            name=row["name"],
            business_scope=tuple(filter(None, (row["business_scope"] or "").split(";"))),
        )
        for row in rows
    }


def _staff(spine: Spine) -> dict[str, dict[str, Any]]:
    if not spine.source.has("staff"):
        return {}
    rows = spine.source.frame("staff").collect("pyarrow").rows(named=True)
    return {row["staff_id"]: row for row in rows}


def _owner(rows: list[dict[str, Any]], staff: dict[str, dict[str, Any]]) -> Owner | None:
    known = [row for row in rows if row["staff_id"] in staff]
    if not known:
        return None
    newest = max(known, key=lambda row: (row["from"], row["staff_id"]))
    person = staff[newest["staff_id"]]
    return Owner(
        staff_id=person["staff_id"],
        org_id=person["org_id"],
        role=person["role"],
        name=person["name"],
    )


def _holdings(rows: list[dict[str, Any]]) -> tuple[Holding, ...]:
    return tuple(
        Holding(
            offer=row["product"],
            opened_at=moment(row["event_time"]),
            amount_cny=None if row["amount_cny"] is None else float(row["amount_cny"]),
            maturity_at=_time(row["maturity_at"]),
        )
        for row in sorted(rows, key=lambda row: (row["event_time"], row["product"]))
    )


def _restrictions(rows: list[dict[str, Any]]) -> tuple[Restriction, ...]:
    return tuple(
        Restriction(kind=row["kind"], since=moment(row["event_time"]), until=_time(row["until"]))
        for row in rows
    )


def _assessment(rows: list[dict[str, Any]]) -> RiskAssessment | None:
    if not rows:
        return None
    row = rows[-1]
    return RiskAssessment(
        level=int(row["level"][1]),
        assessed_at=moment(row["event_time"]),
        expires_at=moment(row["expires_at"]),
    )


def _credit_offers(rows: list[dict[str, Any]]) -> tuple[CreditOffer, ...]:
    return tuple(
        CreditOffer(
            offer=row["offer"],
            limit_cny=float(row["limit_cny"]),
            expires_at=moment(row["expires_at"]),
        )
        for row in rows
    )


def _refusals(rows: list[dict[str, Any]]) -> tuple[Refusal, ...]:
    newest_first = sorted(rows, key=lambda row: (-row["refused_at"], row["contact_id"]))
    return tuple(
        Refusal(
            offer=row["offer"],
            channel=row["channel"],
            refused_at=moment(row["refused_at"]),
            reason=row["refusal_reason"],
        )
        for row in newest_first
    )


def _contacts(rows: list[dict[str, Any]]) -> tuple[PastContact, ...]:
    newest_first = sorted(rows, key=lambda row: (-row["event_time"], row["contact_id"]))
    return tuple(
        PastContact(
            channel=row["channel"],
            offer=row["offer"],
            event_time=moment(row["event_time"]),
            responded=row["responded_at"] is not None,
        )
        for row in newest_first
    )


def _broken(
    journeys: list[dict[str, Any]], holdings: list[dict[str, Any]]
) -> BrokenApplication | None:
    """Find the newest application neither completed nor turned into a holding, and its stage."""
    ordered = sorted(journeys, key=lambda row: row["event_time"])
    for start in reversed([row for row in ordered if row["kind"] == "apply"]):
        later = [
            row
            for row in ordered
            if row["product"] == start["product"] and row["event_time"] >= start["event_time"]
        ]
        bought = any(
            one["product"] == start["product"] and one["event_time"] >= start["event_time"]
            for one in holdings
        )
        if bought or any(row["kind"] == "complete" for row in later):
            continue
        last = [row for row in later if row["stage"] is not None and row["kind"] != "abandon"][-1:]
        return BrokenApplication(
            offer=start["product"],
            stage=last[0]["stage"] if last else "application",
            channel=last[0]["channel"] if last else start["channel"],
            event_time=moment((last or [start])[0]["event_time"]),
        )
    return None
