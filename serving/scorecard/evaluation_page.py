"""The evaluation as a page: what contradicts the scorecard first, then every stage and channel."""

from __future__ import annotations

from collections.abc import Sequence

from features.catalog import Catalog
from features.page import (
    Heading,
    Markup,
    badge,
    both,
    cell,
    element,
    join,
    number,
    page,
    percent,
    table,
    tile,
    toolbar,
)
from serving.scorecard.design import STAGE_NAMES
from serving.scorecard.evaluation import Contradiction, Evaluation, Row
from serving.scorecard.evaluation_terminal import KIND_NAMES, METRIC_NAMES, figure, interval

LEVELS = {
    "scored_high_does_badly": "alarm",
    "scored_low_does_well": "warning",
    "forbidden_but_done": "plain",
}


def evaluation_page(told: Evaluation, catalog: Catalog) -> str:
    """Write the page of an evaluation, as one HTML file."""
    return page(
        "渠道评分卡·上线后评估", f"channel scorecard after launch: {catalog.name}",
        _lead(told),
        _tiles(told),
        _how(),
        _lacking(told.evidence.lacking) if told.evidence.lacking else None,
        _toolbar(told, catalog),
        _contradictions(
            "与评分卡矛盾的证据", "evidence against the scorecard",
            [one for one in told.contradictions if one.p is not None], catalog,
        ),
        _rows(told, catalog),
        _contradictions(
            "评分卡之外的办理", "done where the scorecard does not allow it",
            [one for one in told.contradictions if one.p is None], catalog,
        ),
    )  # fmt: skip


def _lead(told: Evaluation) -> Markup:
    evidence = told.evidence
    lines = (
        f"申请自 begun since: {evidence.since.isoformat(' ', 'minutes')}",
        f"已知截至 known at: {evidence.until.isoformat(' ', 'minutes')}",
    )
    return element("p", [element("span", one) for one in lines], class_="lead")


def _tiles(told: Evaluation) -> Markup:
    found = [one.kind for one in told.contradictions]
    outside = sum(row.outside for row in told.rows)
    tiles = [
        tile(f"{sum(row.journeys for row in told.rows):,}", "旅程", "journeys"),
        tile(f"{len(told.rows):,}", "格子", "cells with journeys"),
        tile(f"{told.tests:,}", "检验", "comparisons"),
        tile(f"{found.count('scored_high_does_badly'):,}", *KIND_NAMES["scored_high_does_badly"],
             "alarm"),
        tile(f"{found.count('scored_low_does_well'):,}", *KIND_NAMES["scored_low_does_well"],
             "warning"),
        tile(f"{outside:,}", "评分卡之外的旅程", "journeys outside the card"),
    ]  # fmt: skip
    return element("div", tiles, class_="tiles")


def _how() -> Markup:
    return element(
        "p",
        "每个渠道与同一产品、同一环节的其他渠道合并比较;两侧各不少于 30 件、相差不少于 3 个百分点、"
        "错误发现率 5%(Benjamini–Hochberg)才算证据。客户自行选择渠道,差异不等于渠道的效果。",
        " ",
        element(
            "small",
            "Each channel is compared with all other channels of the same offer and stage: 30 "
            "journeys or more on both sides, 3 percentage points or more apart, at a false "
            "discovery rate of 5 % (Benjamini–Hochberg). Customers choose their channels: a "
            "difference is no effect of the channel. Small print: 95 % intervals.",
        ),
    )


def _lacking(lacking: Sequence[str]) -> Markup:
    lines = [element("li", badge("warning", "缺 lacking"), one) for one in lacking]
    return element("ul", lines, class_="findings")


def _toolbar(told: Evaluation, catalog: Catalog) -> Markup:
    offers = catalog.offer_by_id
    groups = [("", "全部 all")] + [
        (one, f"{offers[one].names.zh} {offers[one].names.en}" if one in offers else one)
        for one in dict.fromkeys(row.group for row in told.rows)
    ]
    stages = [("", "全部 all")] + [
        (one, " ".join(STAGE_NAMES[one])) for one in dict.fromkeys(r.stage for r in told.rows)
    ]
    channels = [("", "全部 all")] + [
        (one.id, f"{one.names.zh} {one.names.en}")
        for one in catalog.channels
        if one.id in {row.channel for row in told.rows}
    ]
    return toolbar(
        "搜索", "search",
        ("group", "产品 offer", groups), ("stage", "环节 stage", stages),
        ("channel", "渠道 channel", channels),
        ("sort", "排序 sort", [("", "按产品 by offer"), ("journeys", "件数 journeys"),
                             ("outside", "评分卡之外 outside")]),
    )  # fmt: skip


def _group(name: str, catalog: Catalog) -> Markup:
    offer = catalog.offer_by_id.get(name)
    if offer is None:
        return element("code", name)
    return both(offer.names.zh, offer.names.en)


def _row(one: Contradiction | Row, cells: list[Markup], catalog: Catalog, **data: float) -> Markup:
    names = catalog.channel_by_id[one.channel].names
    offer = catalog.offer_by_id.get(one.group)
    words = [one.group, *STAGE_NAMES[one.stage], one.channel, names.zh, names.en]
    words += [] if offer is None else [offer.names.zh, offer.names.en]
    return element(
        "tr", cells, data_text=" ".join(words), data_group=one.group, data_stage=one.stage,
        data_channel=one.channel, **{f"data_{name}": value for name, value in data.items()},
    )  # fmt: skip


def _contradictions(
    zh: str, en: str, found: Sequence[Contradiction], catalog: Catalog
) -> Markup | None:
    if not found:
        return None
    what_, offer_, stage_, channel_, by_, here_, there_, p_ = (
        Heading("矛盾 contradiction", 20, "title"), Heading("产品 offer", 16),
        Heading("环节 stage", 12), Heading("渠道 channel", 14), Heading("指标 by", 12),
        Heading("本渠道 here", 9, "number"), Heading("其他渠道 elsewhere", 10, "number"),
        Heading("p", 7, "number"),
    )  # fmt: skip
    rows = []
    for one in found:
        names = catalog.channel_by_id[one.channel].names
        kind_zh, kind_en = KIND_NAMES[one.kind]
        counted = one.metric == "journeys"
        cells = [
            cell(what_, badge(LEVELS[one.kind], kind_zh), element("small", kind_en)),
            cell(offer_, _group(one.group, catalog)),
            cell(stage_, both(*STAGE_NAMES[one.stage])),
            cell(channel_, both(names.zh, names.en)),
            cell(by_, both(*METRIC_NAMES[one.metric])),
            cell(here_, f"{one.value:,.0f}" if counted else percent(one.value)),
            cell(there_, "–" if one.others is None else percent(one.others)),
            cell(p_, "–" if one.p is None else f"{one.p:.0e}"),
        ]
        size = {"outside": one.value} if counted else {}
        rows.append(_row(one, cells, catalog, **size))
    headings = [what_, offer_, stage_, channel_, by_, here_, there_, p_]
    heading = element("h2", both(zh, en))
    return element("section", heading, table(headings, rows, sorted_=True), data_section=True)


def _rows(told: Evaluation, catalog: Catalog) -> Markup:
    place_, count_, card_, done_, given_, over_, error_, wait_, time_, rating_, cost_ = (
        Heading("产品·环节·渠道 offer, stage, channel", 17, "title"),
        Heading("件数 journeys", 7, "number"), Heading("评分卡 card", 10),
        Heading("办成 done", 9, "number"), Heading("放弃 given up", 8, "number"),
        Heading("转办 hand-over", 8, "number"), Heading("报错 errors", 8, "number"),
        Heading("等候 wait s", 8, "number"), Heading("时长 time s", 8, "number"),
        Heading("评分·投诉 rating, complaints", 9, "number"),
        Heading("每办成成本 cost per done", 8, "number"),
    )  # fmt: skip
    written = []
    found = [one for one in told.contradictions if one.p is not None]
    for row in told.rows:
        names, offer = catalog.channel_by_id[row.channel].names, _group(row.group, catalog)
        stage = " · ".join(STAGE_NAMES[row.stage])
        cells = [
            cell(place_, offer, element("small", stage), both(names.zh, names.en)),
            cell(count_, f"{row.journeys:,}", _outside(row)),
            cell(card_, _card(row), _against(row, found)),
            *(
                _figure(heading, name, row)
                for heading, name in (
                    (done_, "completion"), (given_, "abandonment"), (over_, "hand_over"),
                    (error_, "errors"), (wait_, "wait_s"), (time_, "duration_s"),
                )
            ),
            cell(rating_, figure("rating", row.metrics.get("rating")), _complaints(row)),
            cell(cost_, number(row.cost_cny, "CNY"),
                 element("small", number(row.staff_minutes, "分钟 min"))),
        ]  # fmt: skip
        written.append(_row(row, cells, catalog, journeys=row.journeys, outside=row.outside))
    headings = [place_, count_, card_, done_, given_, over_, error_, wait_, time_, rating_, cost_]
    heading = element("h2", both("各环节各渠道", "every stage at every channel"))
    return element("section", heading, table(headings, written, sorted_=True), data_section=True)


def _outside(row: Row) -> Markup | None:
    if not row.outside:
        return None
    return element("small", f"卡外 outside {row.outside:,}")


def _card(row: Row) -> Markup:
    if row.feasibility is None or row.necessity is None:
        return badge("alarm", "不可办 no")
    lines = [
        element("div", both(f"{zh} {points:.0f}", en))
        for zh, en, points in (
            ("可行", "feasible", row.feasibility), ("必要", "necessary", row.necessity),
        )
    ]  # fmt: skip
    return join(lines)


def _against(row: Row, found: Sequence[Contradiction]) -> list[Markup]:
    """Mark a row that the evidence contradicts, once a kind."""
    place = (row.group, row.stage, row.channel)
    kinds = dict.fromkeys(one.kind for one in found if (one.group, one.stage, one.channel) == place)
    return [badge(LEVELS[kind], KIND_NAMES[kind][0]) for kind in kinds]


def _complaints(row: Row) -> Markup | None:
    sums = row.metrics.get("complaints")
    if sums is None or not sums.d:
        return None
    return element("small", f"投诉 {figure('complaints', sums)}, n = {sums.d:,.0f}")


def _figure(heading: Heading, name: str, row: Row) -> Markup:
    sums = row.metrics.get(name)
    return cell(heading, figure(name, sums), element("small", interval(name, sums)))
