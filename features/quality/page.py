"""The quality report as a page: findings on top, then every table column by column."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import pairwise

from features.page import (
    Child,
    Heading,
    Markup,
    badge,
    both,
    cell,
    element,
    number,
    page,
    percent,
    share_bar,
    table,
    tile,
    toolbar,
)
from features.quality.drift import Drift
from features.quality.findings import ColumnReport, Finding, range_end
from features.quality.limits import Level, worst
from features.quality.profile import Distribution
from features.quality.report import Report, TableReport
from features.spine import MICROSECONDS_A_DAY, moment
from features.tables import Dtype

LEVEL_NAMES: dict[Level, tuple[str, str]] = {
    "ok": ("正常", "ok"), "warning": ("提醒", "warning"), "alarm": ("警报", "alarm"),
}  # fmt: skip
MICROSECONDS_A_MINUTE = 60_000_000


def quality_page(report: Report) -> str:
    """Write the page of a report, as one HTML file."""
    return page(
        "数据质量", f"data quality: {report.source}",
        _lead(report),
        _tiles(report),
        _findings(report.findings),
        element("h2", both("各表", "tables")),
        _overview(report),
        toolbar(
            "搜索表、列、含义", "search tables and columns",
            ("level", "结论 verdict", [("", "全部 all"), *_level_options()]),
        ),
        [_table_section(name, one, report) for name, one in report.tables.items()],
        element("h2", both("口径", "how to read this")),
        _rules(report),
    )  # fmt: skip


def _level_options() -> list[tuple[str, str]]:
    return [(level, " ".join(names)) for level, names in LEVEL_NAMES.items()]


def _lead(report: Report) -> Markup:
    reference = datetime.fromisoformat(report.reference) if report.reference else None
    before = _minute(reference.astimezone(report.clock.tzinfo)) if reference else "无 none"
    told = (("时点 clock", _minute(report.clock)), ("基准 reference", before),
            ("时区 time zone", report.time_zone))  # fmt: skip
    return element(
        "p", [element("span", f"{name}: {value}") for name, value in told], class_="lead"
    )


def _minute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")


def _tiles(report: Report) -> Markup:
    levels = Counter(one.level for one in report.findings)
    columns = sum(len(one.columns) for one in report.tables.values())
    return element(
        "div",
        tile(number(levels["alarm"]), "警报", "alarms", "alarm" if levels["alarm"] else "ok"),
        tile(
            number(levels["warning"]), "提醒", "warnings", "warning" if levels["warning"] else "ok"
        ),
        tile(number(len(report.tables)), "表", "tables"),
        tile(number(columns), "列", "columns"),
        tile(number(sum(one.rows for one in report.tables.values())), "行", "rows"),
        class_="tiles",
    )


def _findings(findings: tuple[Finding, ...]) -> Markup:
    if not findings:
        return element("p", both("没有发现问题。", "Nothing found."))
    return element("ul", [_finding(one) for one in findings], class_="findings")


def _finding(one: Finding) -> Markup:
    place = f"{one.table}.{one.column}" if one.column else one.table
    return element("li", _level(one.level), element("code", place), " ", both(one.zh, one.en))


def _level(level: Level) -> Markup:
    return badge(level, " ".join(LEVEL_NAMES[level]))


def _overview(report: Report) -> Markup:
    name_, rows_, before_, newest_, age_, limit_, alarms_, warnings_ = headings = (
        Heading("表 table", 20, "title"), Heading("行数 rows", 12, "number"),
        Heading("基准行数 rows before", 13, "number"), Heading("最新 newest row", 16),
        Heading("距今天数 days old", 11, "number"),
        Heading("提醒/警报限度 limits, days", 12, "number"), Heading("警报 alarms", 8, "number"),
        Heading("提醒 warnings", 8, "number"),
    )  # fmt: skip
    rows = []
    for name, one in report.tables.items():
        fresh = one.freshness
        levels = Counter(found.level for found in report.findings if found.table == name)
        limit = ""
        if fresh is not None and fresh.warning_days is not None and fresh.alarm_days is not None:
            limit = f"{number(fresh.warning_days)} / {number(fresh.alarm_days)}"
        rows.append(
            element(
                "tr",
                cell(name_, element("code", name)),
                cell(rows_, f"{one.rows:,}"),
                cell(before_, number(one.rows_before), empty=one.rows_before is None),
                cell(newest_, _minute(one.newest) if one.newest else "–", empty=not one.newest),
                cell(age_, f"{fresh.age_days:,.1f}" if fresh else "–", empty=fresh is None),
                cell(limit_, limit or "–", empty=not limit),
                cell(alarms_, _count(levels["alarm"], "alarm"), empty=not levels["alarm"]),
                cell(warnings_, _count(levels["warning"], "warning"), empty=not levels["warning"]),
            )
        )
    return table(headings, rows)


def _count(count: int, level: Level) -> str:
    return badge(level, str(count)) if count else "–"


_COLUMN, _MISSING, _RANGE, _DISTINCT, _PSI, _CHANCE, _VERDICT = _HEADINGS = (
    Heading("列 column", 17, "title"), Heading("缺失 missing", 21),
    Heading("范围 · 近期常见词 range · commonest words", 29),
    Heading("不同值 different", 9, "number"), Heading("PSI", 7, "number"),
    Heading("偶然限度 chance", 8, "number"),
    Heading("结论 verdict", 9),
)  # fmt: skip


def _table_section(name: str, one: TableReport, report: Report) -> Markup:
    rows: list[Markup] = []
    for column, told in one.columns.items():
        level = worst([f.level for f in report.findings if (f.table, f.column) == (name, column)])
        drifted = told.drift is not None and told.drift.level != "ok"
        rows.append(
            element(
                "tr",
                cell(_COLUMN, element("code", column), element("small", _kind(told))),
                cell(_MISSING, _missing(told)),
                cell(_RANGE, _range(told), empty=_range(told) == "–"),
                cell(_DISTINCT, f"{told.distinct:,}"),
                *_drift_cells(told.drift),
                cell(_VERDICT, _level(level)),
                data_text=f"{name} {column} {told.dtype} {told.unit}",
                data_level=level,
                class_="with-detail" if drifted else None,
            )
        )
        if told.drift is not None and drifted:
            spread = element("td", _spread(told.drift, told.dtype), colspan=len(_HEADINGS))
            rows.append(element("tr", spread, class_="detail"))
    counted = f"{one.rows:,} 行 rows · 近期 recent {one.recent_rows:,} 行 rows"
    units = f" · 独立样本 independent {one.sample:,}"
    return element(
        "section",
        element("h2", element("code", name), " ", element("small", counted + units)),
        table(_HEADINGS, rows),
        data_section=True,
    )


def _kind(told: ColumnReport) -> str:
    return f"{told.dtype}, {told.unit}" if told.unit else told.dtype


def _missing(told: ColumnReport) -> Child:
    shares = {percent(told.missing_share), percent(told.recent_missing_share)}
    if told.missing_before is not None:
        shares.add(percent(told.missing_before))
    bar = share_bar(told.missing_share, "missing")
    if len(shares) == 1:
        return bar
    recent = f"近期 recent {percent(told.recent_missing_share)}"
    if told.missing_before is not None:
        recent += f" · 基准 before {percent(told.missing_before)}"
    return [bar, element("small", recent)]


def _range(told: ColumnReport) -> str:
    if told.commonest:
        return ", ".join(f"{word} {rows:,}" for word, rows in told.commonest.items())
    if told.low is None or told.high is None:
        return "–"
    return f"{range_end(told.low)} … {range_end(told.high)} {told.unit}".strip()


def _drift_cells(drift: Drift | None) -> list[Markup]:
    if drift is None:
        return [cell(one, "–", empty=True) for one in (_PSI, _CHANCE)]
    if drift.psi is None or drift.psi_bound is None:
        # said in both cells' place: why there is no number
        return [
            element("td", element("small", drift.untested), data_label=_PSI.text, colspan=2),
        ]
    return [cell(_PSI, f"{drift.psi:.3f}"), cell(_CHANCE, f"{drift.psi_bound:.3f}")]


def _spread(drift: Drift, dtype: Dtype) -> Markup:
    """Draw the distribution before beside that of now, bin by bin."""
    labels = bin_labels(drift.reference, dtype)
    before, now = _shares(drift.reference), _shares(drift.current)
    cells: list[Markup] = [
        element("b", "分箱 bin"), element("b", "基准 before"), element("b", "现在 now"),
    ]  # fmt: skip
    for label, then, share in zip(labels, before, now, strict=True):
        if then or share:
            cells += [element("span", label), share_bar(then, "before"), share_bar(share)]
    return element("div", cells, class_="drift")


def _shares(one: Distribution) -> list[float]:
    return [count / max(one.rows, 1) for count in (*one.counts, one.other, one.missing)]


def bin_labels(one: Distribution, dtype: Dtype) -> list[str]:
    """Name the bins of a distribution in order, other words and missing last.

    >>> bin_labels(Distribution(rows=0, missing=0, edges=(1, 20, 3000), counts=()), "money")
    ['< 1', '1 – 20', '20 – 3,000', '> 3,000', '其他 other', '缺失 missing']
    """
    last = ["其他 other", "缺失 missing"]
    if one.edges:
        edges = [_edge(edge, dtype) for edge in one.edges]
        inner = [f"{low} – {high}" if low != high else low for low, high in pairwise(edges)]
        return [f"< {edges[0]}", *inner, f"> {edges[-1]}", *last]
    return [*one.words, *last]


def _edge(edge: float, dtype: Dtype) -> str:
    if dtype == "date":
        return moment(int(edge) * MICROSECONDS_A_DAY).date().isoformat()
    if dtype == "time":
        if abs(edge) < 2 * MICROSECONDS_A_DAY:
            return number(edge / MICROSECONDS_A_MINUTE, "min")
        return number(edge / MICROSECONDS_A_DAY, "d")
    return number(edge)


def _rules(report: Report) -> list[Markup]:
    limits = report.limits
    return [
        element("p", both(zh, en))
        for zh, en in (
            (
                f"漂移看各表最新一行之前 {limits.recent_days} 天的行（无 event_time 的表看全部）；"
                "时间列看它与 event_time 的间隔。缺失自成一箱，未见过的词自成一箱。",
                f"Drift is looked for in the last {limits.recent_days} days before each table's "
                "newest row (all rows where there is no event_time); a time counts by its distance "
                "from event_time. Missing is a bin, and so are unseen words.",
            ),
            (
                f"PSI 同时超过 {limits.psi_floor:g} 与偶然限度才报警。偶然限度是卡方分位数乘"
                "(1/n + 1/m)，n、m 为独立样本数（有客户号的表按客户数计）；"
                f"全部检验合计误报概率不超过 {percent(limits.false_alarm_share)}。",
                f"PSI alarms above both {limits.psi_floor:g} and what chance could do: a "
                "chi-square quantile times (1/n + 1/m), for n and m independent units "
                "(customers, where a table has them); all tests together give a false alarm "
                f"in at most {percent(limits.false_alarm_share)} of checks.",
            ),
            (
                f"时效：最新一行的年龄超过通常间隔的 {limits.warning_gaps:g} 倍为提醒，"
                f"{limits.alarm_gaps:g} 倍为警报，{limits.fresh_days:g} 天之内不报；"
                "通常间隔是近两年有行之日的间隔的 95% 分位数。",
                f"Freshness: a newest row older than {limits.warning_gaps:g} usual gaps warns, "
                f"older than {limits.alarm_gaps:g} alarms, never within "
                f"{limits.fresh_days:g} days; "
                "the usual gap is the 95th percentile of gaps between days with rows, over two "
                "years.",
            ),
        )
    ]
