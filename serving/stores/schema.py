"""The tables of the decision store, the same on SQLite and PostgreSQL; rows are only ever added."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    DDL,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    event,
)

SCHEMA_VERSION = "5"
METADATA = MetaData()


class UtcTime(TypeDecorator[datetime]):
    """An aware time, kept in UTC with microseconds (SQLite has no time zones)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse a time without a zone: it would be read back as another moment."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone; give it one")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _text(name: str, **options: Any) -> Column[str]:
    return Column(name, String(128), **options)


DECISIONS = Table(
    "decisions",
    METADATA,
    _text("decision_id", primary_key=True),
    _text("customer_id", nullable=False),
    _text("request_id"),
    Column("request_sha256", String(64), nullable=False),
    Column("audience", String(16), nullable=False),
    _text("channel", nullable=False),
    Column("as_of", UtcTime, nullable=False),
    Column("stored_at", UtcTime, nullable=False),
    # The exact bytes: a record is replayed byte for byte, which a JSON column would reformat.
    Column("record", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    UniqueConstraint("customer_id", "request_id", name="one_decision_a_request"),
    Index("decisions_by_customer", "customer_id", "as_of"),
    Index("decisions_by_time", "as_of"),
)
PLACES = Table(
    # One row a place of an answer: what an outcome is about, without opening the record.
    "places",
    METADATA,
    _text("decision_id", primary_key=True),
    Column("rank", Integer, primary_key=True, autoincrement=False),
    _text("offer", nullable=False),
    _text("stage", nullable=False),
    _text("reach", nullable=False),
    _text("handle", nullable=False),
    _text("org_id", nullable=False),
    Column("staff_minutes", Float, nullable=False),
    Column("purpose", String(16), nullable=False),
)
OUTCOMES = Table(
    # No foreign key: an outcome may come before its decision (from another host), and is kept,
    # with the channels its reporter spoke for (`doors`, a JSON list): only to a decision of theirs
    # is it joined.
    "outcomes",
    METADATA,
    _text("outcome_id", primary_key=True),
    _text("decision_id", nullable=False),
    Column("rank", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("occurred_at", UtcTime, nullable=False),
    Column("doors", Text, nullable=False),
    Column("stored_at", UtcTime, nullable=False),
    Index("outcomes_by_time", "kind", "occurred_at"),
    Index("outcomes_by_decision", "decision_id"),
)
LIVE_FACTS = Table(
    # What happened since the customers were published; `outcome_id` where an outcome said so.
    "live_facts",
    METADATA,
    Column("event_id", String(160), primary_key=True),
    _text("customer_id", nullable=False),
    Column("kind", String(16), nullable=False),
    Column("event_time", UtcTime, nullable=False),
    Column("stored_at", UtcTime, nullable=False),
    _text("outcome_id"),
    Column("body", Text, nullable=False),
    Index("live_facts_by_customer", "customer_id", "event_time"),
)
STORE_FACTS = Table(
    "store_facts",
    METADATA,
    _text("name", primary_key=True),
    Column("value", Text, nullable=False),
)

_POSTGRES_FUNCTION = (
    "CREATE OR REPLACE FUNCTION onepoint_append_only() RETURNS trigger AS "
    "$$ BEGIN RAISE EXCEPTION 'the decision store is append-only'; END $$ LANGUAGE plpgsql"
)


def _append_only(table: Table) -> None:
    """Let the database itself refuse to change or delete a row."""
    for verb in ("UPDATE", "DELETE"):
        _after_create(
            table,
            "sqlite",
            f"CREATE TRIGGER {table.name}_no_{verb.lower()} BEFORE {verb} ON {table.name} "
            "BEGIN SELECT RAISE(ABORT, 'the decision store is append-only'); END",
        )
    _after_create(table, "postgresql", _POSTGRES_FUNCTION)
    _after_create(
        table,
        "postgresql",
        f"CREATE TRIGGER {table.name}_append_only BEFORE UPDATE OR DELETE ON {table.name} "
        "FOR EACH ROW EXECUTE FUNCTION onepoint_append_only()",
    )


def _after_create(table: Table, dialect: str, statement: str) -> None:
    ddl = DDL(statement)  # type: ignore[no-untyped-call]
    event.listen(table, "after_create", ddl.execute_if(dialect=dialect))


# A decision and its outcome may be stored at the same instant on two hosts; neither would see the
# other, and they would never be joined. Each insert takes the decision's lock until its
# transaction ends, so who comes second sees the first. (SQLite has one writer at a time.)
_MEETING_FUNCTION = (
    "CREATE OR REPLACE FUNCTION onepoint_meet() RETURNS trigger AS "
    "$$ BEGIN PERFORM pg_advisory_xact_lock(hashtextextended(NEW.decision_id, 0)); "
    "RETURN NEW; END $$ LANGUAGE plpgsql"
)


def _meeting(table: Table) -> None:
    """Let rows that name the same decision wait for each other while they are inserted."""
    _after_create(table, "postgresql", _MEETING_FUNCTION)
    _after_create(
        table,
        "postgresql",
        f"CREATE TRIGGER {table.name}_meet BEFORE INSERT ON {table.name} "
        "FOR EACH ROW EXECUTE FUNCTION onepoint_meet()",
    )


for _table in (DECISIONS, PLACES, OUTCOMES, LIVE_FACTS):
    _append_only(_table)
for _table in (DECISIONS, OUTCOMES):
    _meeting(_table)
