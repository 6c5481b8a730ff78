"""Many events of a made-up bank, written by DuckDB alone: for speed and memory, not for truth."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from features.catalog import load_catalog
from features.source_config import CONFIGS
from features.sources import connect

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
SPAN_DAYS = 400
"""Events lie within so many days before `AS_OF`."""

SHARES = {
    "interactions": 0.50,
    "transactions": 0.30,
    "balances": 0.10,
    "contacts": 0.04,
    "holdings": 0.04,
    "ratings": 0.02,
}
"""Of all events, how many go into each table."""

_WHEN = (
    f"(timestamp '{AS_OF:%Y-%m-%d}' - to_microseconds((hash(range, {{salt}}) % {{span}})::bigint))"
)
_COLUMNS = {
    "interactions": """
        {channel} as channel,
        {kind} as kind,
        case when {luck} % 10 < 6 then {product} end as product,
        case when {luck} % 10 < 4 then {stage} end as stage,
        'S' || ({luck} % 4) as session_id,
        case when {luck} % 7 = 0 then (({luck} % 9000000) / 100)::decimal(18, 2) end as amount_cny,
        ({luck} % 600)::double as duration_s,
        case when {luck} % 3 = 0 then ({luck} % 2400)::double end as wait_s,
        case when {luck} % 29 = 0 then 'E' || ({luck} % 50) end as error_code""",
    "transactions": """
        {transaction} as kind,
        case when {luck} % 2 = 0 then 'in' else 'out' end as direction,
        (({luck} % 5000000) / 100)::decimal(18, 2) as amount_cny""",
    "balances": """
        {asset_class} as asset_class,
        (({luck} % 50000000) / 100)::decimal(18, 2) as balance_cny""",
    "contacts": """
        'K' || i as contact_id, {channel} as channel, {product} as offer,
        'marketing' as purpose,
        event_time + interval 1 minute as delivered_at,
        case when {luck} % 9 = 0 then event_time + interval 1 hour end as responded_at""",
    "holdings": """
        {product} as product,
        (({luck} % 9000000) / 100)::decimal(18, 2) as amount_cny,
        case when {luck} % 3 = 0 and event_time < timestamp '2025-12-01'
             then event_time + interval 200 day end as closed_at,
        event_time + interval 300 day as maturity_at,
        {channel} as channel""",
    "ratings": """
        {channel} as channel, ({luck} % 5 + 1)::bigint as score, {luck} % 20 = 0 as complaint""",
}


def write_events(
    folder: Path, events: int, only: str | None = None, per_customer: int = 40
) -> Path:
    """Write the tables of a bank and give the source YAML that reads them.

    Parameters
    ----------
    folder
        Made anew.
    events
        Rows of all event tables together.
    only
        The one event table to write; by default all, in their `SHARES`.
    per_customer
        Events a customer, on average.
    """
    folder.mkdir(parents=True)
    customers = max(events // per_customer, 1)
    con = connect(threads=2, memory_gb=3)
    con.execute("set preserve_insertion_order = false")
    con.execute(
        f"""copy (select 'C' || lpad(range::varchar, 9, '0') as customer_id,
                         date '1940-01-01' + (hash(range, 'born') % 25000)::int as birth_date,
                         case when range % 2 = 0 then 'F' else 'M' end as gender,
                         timestamp '2020-01-01' as joined_at
                  from range({customers}))
            to '{folder}/customers.parquet' (format parquet)"""  # noqa: S608
    )
    tables = {only: 1.0} if only else SHARES
    for table, share in tables.items():
        rows, salt = round(events * share), f"'{table}'"
        when = _WHEN.format(salt=salt, span=SPAN_DAYS * 86_400_000_000)
        columns = _COLUMNS[table].format(**_words(f"hash(i, {salt}, 'what')"))
        con.execute(
            f"""copy (select customer_id, event_time, {columns},
                             event_time + to_microseconds((hash(i) % 3600000000)::bigint)
                                 as available_at
                      from (select range as i, {when} as event_time,
                                   'C' || lpad((hash(range, {salt}, 'who') % {customers})::varchar,
                                               9, '0') as customer_id
                            from range({rows})))
                to '{folder}/{table}.parquet' (format parquet)"""  # noqa: S608
        )
    con.close()
    yaml = folder / "source.yaml"
    selects = "".join(
        f"  {name}: \"select * from read_parquet('{{data}}/{name}.parquet')\"\n"  # noqa: S608
        for name in ("customers", *tables)
    )
    yaml.write_text(f"name: events\ncatalog: bank\ntables:\n{selects}", "utf-8")
    return yaml


def _words(luck: str) -> dict[str, str]:
    """SQL that picks a word of the bank's catalog by luck."""
    catalog = load_catalog(CONFIGS / "catalog" / "bank")
    lists = {
        "channel": catalog.handle_ids,
        "product": catalog.product_ids,
        "kind": ("login", "login", "login", "browse", "browse", "inquiry", "apply", "complete",
                 "abandon", "visit", "call", "service", "error"),
        "stage": ("application", "signing", "servicing", "inquiry"),
        "transaction": ("payroll", "repayment", "bill", "transfer_in", "transfer_out", "spend"),
        "asset_class": ("demand", "deposit", "wealth", "fund", "insurance", "metal"),
    }  # fmt: skip
    picked = {
        name: "[" + ", ".join(f"'{word}'" for word in words) + "]"
        f"[((({luck}) // {97 + number}) % {len(words)})::int + 1]"
        for number, (name, words) in enumerate(lists.items())
    }
    return {"luck": f"(({luck}) // 1000)", **picked}
