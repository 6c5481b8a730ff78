"""Counting a source's tables into profiles: two queries a table, whatever its size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from features.quality.profile import ColumnProfile, Distribution, Profile, TableProfile
from features.sources import Source
from features.spine import MICROSECONDS_A_DAY
from features.tables import TABLES, Column, Dtype, Table

DECILES = [number / 10 for number in range(1, 10)]
MOST_WORDS = 30
"""Words of a column that are counted by name; the others are one bin."""
FEW_WORDS = 10
"""A text of more words than that, most of which stand once, is a name and is not counted."""

NUMBERS: tuple[Dtype, ...] = ("money", "number", "integer", "date")
_OTHER = -1

Grids = Mapping[str, Mapping[str, Distribution]]
"""By table and column, distributions in whose bins other rows are to be counted."""


@dataclass(frozen=True)
class _Bins:
    """Bins to count in; ``words`` None: the commonest, found while they are counted."""

    edges: tuple[float, ...] = ()
    words: tuple[str, ...] | None = None


def count_source(
    source: Source,
    clock: str,
    recent_days: int,
    grids: Grids | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Profile, dict[str, dict[str, Distribution]]]:
    """Profile every table, in bins of its own and in the bins of `grids`.

    Returns
    -------
    Profile
        With its own bins: deciles of numbers, the commonest words.
    dict
        By table and column, the recent rows in the bins of `grids`, where both have the column.
    """
    tables, recounted = {}, {}
    newest = _newest(source)
    for name in source.rows:
        progress(name)
        tables[name], recounted[name] = _count_table(
            source, TABLES[name], newest.get(name), recent_days, (grids or {}).get(name, {})
        )
    profile = Profile(
        source=source.config.name, clock=clock, recent_days=recent_days, tables=tables
    )
    return profile, recounted


def measure(column: Column, table: Table) -> str | None:
    """Give the SQL of the number that drift of a column is looked for in; None for words and ids.

    Times only move forward, so each is taken as its distance from the row's `event_time`: a
    tenor, a delay. `event_time` itself and the times of tables without it say nothing of drift.
    """
    if column.dtype in NUMBERS:
        return f'cast("{column.name}" as double)'
    if column.dtype == "time" and table.has_history and column.name != "event_time":
        return f'cast("{column.name}" - "event_time" as double)'
    return None


def has_words(column: Column) -> bool:
    """Whether the values of a column are words: texts, flags, and ids of a catalog."""
    return column.dtype in ("text", "flag") or bool(column.vocabulary)


def _count_table(
    source: Source,
    table: Table,
    newest: int | None,
    recent_days: int,
    grids: Mapping[str, Distribution],
) -> tuple[TableProfile, dict[str, Distribution]]:
    given = [one for one in table.columns if source.has(f"{table.name}.{one.name}")]
    recent = _recent(newest, recent_days)
    head, cells = _summary(source, table, given, recent)
    own = {
        column.name: bins
        for column in given
        if (bins := _own_bins(column, table, cells[column.name])) is not None
    }
    # a vocabulary that became nothing but names is still counted in the bins of before
    theirs = {
        column.name: _Bins(grid.edges, grid.words)
        for column in given
        if (grid := grids.get(column.name)) is not None
    }
    rows = head["recent_rows"]
    mine, recounted = _counted(source, table, recent, rows, (own, theirs))
    columns = {
        column.name: _column_profile(column, cells[column.name], head, mine.get(column.name))
        for column in given
    }
    profile = TableProfile(
        rows=head["rows"], recent_rows=rows, sample=head["sample"], newest=newest,
        columns=columns,
    )  # fmt: skip
    return profile, recounted


def _newest(source: Source) -> dict[str, int | None]:
    """Newest `event_time` of every table that has one, in one query."""
    tables = [name for name in source.rows if TABLES[name].has_history]
    if not tables:
        return {}
    selects = [f"select '{name}', max(event_time) from \"{name}\"" for name in tables]  # noqa: S608
    return dict(source.con.sql(" union all ".join(selects)).fetchall())


def _recent(newest: int | None, days: int) -> str:
    """Give the SQL of what is recent: a number, since a subquery in every cell is slow."""
    return "true" if newest is None else f"event_time > {newest - days * MICROSECONDS_A_DAY}"


def _summary(
    source: Source, table: Table, given: list[Column], recent: str
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Rows of the table, and counts and extremes of each column, in one query."""
    unit = "distinct customer_id" if any(c.name == "customer_id" for c in given) else "*"
    cells = ", ".join(
        f'{_column_summary(column, table, recent)} as "{column.name}"' for column in given
    )
    relation = source.con.sql(
        f"""select {{'rows': count(*), 'recent_rows': count(*) filter ({recent}),
                     'sample': count({unit}) filter ({recent})}} as "(head)",
                   {cells}
            from "{table.name}" """  # noqa: S608
    )
    (row,) = relation.fetchall()
    found = dict(zip(relation.columns, row, strict=True))
    return found.pop("(head)"), found


def _column_summary(column: Column, table: Table, recent: str) -> str:
    value, number = f'"{column.name}"', measure(column, table)
    ranged = column.dtype in (*NUMBERS, "time")
    low, high = (f"min({value})", f"max({value})") if ranged else ("null", "null")
    edges = "null"
    if number is not None:
        edges = f"""list_concat([min({number}) filter ({recent})],
                    list_sort(list_distinct(list_append(
                        quantile_disc({number}, {DECILES}) filter ({recent}),
                        max({number}) filter ({recent})))))"""
    return f"""{{'filled': count({value}), 'distinct': count(distinct {value}), 'low': {low},
                'high': {high}, 'recent': count({value}) filter ({recent}), 'edges': {edges}}}"""


def _own_bins(column: Column, table: Table, cell: dict[str, Any]) -> _Bins | None:
    if measure(column, table) is not None:
        return _Bins(tuple(edge for edge in cell["edges"] or () if edge is not None), ())
    names = cell["distinct"] > FEW_WORDS and 2 * cell["distinct"] > cell["filled"]
    return _Bins() if has_words(column) and not names else None


def _column_profile(
    column: Column, cell: dict[str, Any], head: dict[str, Any], recent: Distribution | None
) -> ColumnProfile:
    low, high = cell["low"], cell["high"]
    if column.dtype == "money" and low is not None:
        low, high = float(low), float(high)
    return ColumnProfile(
        dtype=column.dtype,
        missing=head["rows"] - cell["filled"],
        recent_missing=head["recent_rows"] - cell["recent"],
        distinct=cell["distinct"],
        low=low,
        high=high,
        recent=recent,
    )


def _counted(
    source: Source, table: Table, recent: str, rows: int, grids: tuple[dict[str, _Bins], ...]
) -> list[dict[str, Distribution]]:
    """Count the recent rows in the bins of every column of every grid, in one query."""
    selects = [
        _count_select(table, recent, number, name, bins)
        for number, grid in enumerate(grids)
        for name, bins in grid.items()
    ]
    counts: list[dict[str, dict[str | None, int]]] = [{} for _ in grids]
    if selects:
        for number, name, label, n in source.con.sql(" union all ".join(selects)).fetchall():
            counts[number].setdefault(name, {})[label] = n
    return [
        {name: _filled(bins, found.get(name, {}), rows) for name, bins in grid.items()}
        for grid, found in zip(grids, counts, strict=True)
    ]


def _count_select(table: Table, recent: str, number: int, name: str, bins: _Bins) -> str:
    kept = ""
    if bins.words is None:
        kept = f"""qualify label is null or row_number() over (
                       partition by label is null order by n desc, label) <= {MOST_WORDS}"""
    return f"""(select {number} as grid, '{name}' as name,
                       {_label(table.column(name), table, bins)} as label, count(*) as n
                from "{table.name}" where {recent} group by label {kept})"""  # noqa: S608


def _label(column: Column, table: Table, bins: _Bins) -> str:
    """Give the SQL of a row's bin: its number as text, a word, or null where it is missing."""
    number = measure(column, table)
    word = f'cast("{column.name}" as varchar)'
    if number is not None:
        return f"case when {number} is not null then cast({_steps(number, bins)} as varchar) end"
    if bins.words is None:
        return word
    known = ", ".join("'" + one.replace("'", "''") + "'" for one in bins.words)
    position = f"list_position([{known}]::varchar[], {word})"
    return f"case when {word} is not null then cast(coalesce({position}, 0) - 1 as varchar) end"


def _steps(number: str, bins: _Bins) -> str:
    """Give the SQL of the number of a value's bin: how many edges lie below it."""
    if not bins.edges:
        return str(_OTHER)
    low, *inner = bins.edges
    steps = [f"({number} >= {low!r}::double)::int"]
    return " + ".join(steps + [f"({number} > {edge!r}::double)::int" for edge in inner])


def _filled(bins: _Bins, found: dict[str | None, int], rows: int) -> Distribution:
    """Put what a query counted into bins."""
    missing = found.pop(None, 0)
    if bins.words is None:
        words = sorted(found, key=lambda word: (-found[word], str(word)))
        return Distribution(
            rows=rows, missing=missing, words=tuple(map(str, words)),
            counts=tuple(found[word] for word in words),
        )  # fmt: skip
    size = len(bins.edges) + 1 if bins.edges else len(bins.words)
    counts = tuple(found.get(str(position), 0) for position in range(size))
    return Distribution(
        rows=rows, missing=missing, edges=bins.edges, words=bins.words, counts=counts
    )
