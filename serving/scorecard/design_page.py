"""The scorecard as a page a product manager reads: stage × channel, the best and why, the basis."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from features.catalog import Catalog, Channel, Offer
from features.page import (
    Heading,
    Markup,
    badge,
    both,
    cell,
    element,
    join,
    page,
    table,
    tile,
    toolbar,
)
from serving.decide.cells import Cell
from serving.decide.scorecard import OTHERS, Criteria, Scorecard
from serving.scorecard.design import (
    CRITERIA,
    CRITERIA_NAMES,
    STAGE_NAMES,
    StageDesign,
    segment_names,
)

SEPARATOR_ZH = "、"


def design_page(
    card: Scorecard, designs: Sequence[StageDesign], catalog: Catalog, day: date
) -> str:
    """Write the page of the stages designed, as one HTML file, as things stand on a day."""
    offers = list({one.offer.id: one.offer for one in designs}.values())
    return page(
        "渠道评分卡", f"channel scorecard: {catalog.name}",
        _lead(card, day),
        _tiles(designs, offers),
        _how(card),
        _toolbar(card, designs, offers),
        [_offer(card, offer, [d for d in designs if d.offer is offer], catalog, day)
         for offer in offers],
    )  # fmt: skip


def _lead(card: Scorecard, day: date) -> Markup:
    told = [
        f"日期 as of: {day}",
        f"归口 owner: {card.owner or '–'}",
        f"依据 evidence: {card.evidence or '–'}",
        f"有效期至 valid until: {card.expires}",
    ]
    return element("p", [element("span", one) for one in told], class_="lead")


def _tiles(designs: Sequence[StageDesign], offers: Sequence[Offer]) -> Markup:
    everybody = [one for one in designs if one.segment == OTHERS]
    allowed = sum(len(one.ranked) for one in everybody)
    forbidden = sum(not cell.allowed for one in everybody for cell in one.cells.values())
    expired = sum(len(one.cells) for one in everybody) - allowed - forbidden
    closed = sum(not one.ranked for one in everybody)
    tiles = [
        tile(f"{len(offers):,}", "产品与服务", "offers"),
        tile(f"{len(everybody):,}", "环节", "stages"),
        tile(f"{allowed:,}", "可办", "cells allowed", "ok"),
        tile(f"{forbidden:,}", "禁止", "cells forbidden"),
        tile(f"{expired:,}", "过期", "cells expired", "alarm" if expired else "plain"),
        tile(f"{closed:,}", "无处可办", "stages done nowhere", "warning" if closed else "plain"),
    ]
    return element("div", tiles, class_="tiles")


def _how(card: Scorecard) -> Markup:
    weights = card.weights.model_dump()
    zh = SEPARATOR_ZH.join(f"{CRITERIA_NAMES[one][0]} {weights[one]:g}" for one in CRITERIA)
    en = ", ".join(f"{CRITERIA_NAMES[one][1]} {weights[one]:g}" for one in CRITERIA)
    return element(
        "p",
        f"适配分(0–100)是可行性与必要性的平均,各按四项标准加权:{zh}。合规一票否决:"
        "禁止、过期和未列的格子不参加排序。★ 为该环节最适合的渠道。",
        element("br"),
        element(
            "small",
            "Fit (0–100) is the mean of feasibility and necessity, each weighted over four "
            f"criteria: {en}. Compliance is a veto: cells forbidden, expired or not listed are not "
            "ranked. ★ marks the channel that fits a stage best.",
        ),
    )


def _toolbar(card: Scorecard, designs: Sequence[StageDesign], offers: Sequence[Offer]) -> Markup:
    named = [("", "全部 all")] + [
        (offer.id, f"{offer.names.zh} {offer.names.en}") for offer in offers
    ]
    stages = dict.fromkeys(one.stage for one in designs)
    staged = [("", "全部 all")] + [(one, " ".join(STAGE_NAMES[one])) for one in stages]
    segments = dict.fromkeys(one.segment for one in designs)
    selects = [("offer", "产品 offer", named), ("stage", "环节 stage", staged)]
    if len(segments) > 1:
        who = [("", "全部 all")] + [(one, " ".join(segment_names(card, one))) for one in segments]
        selects.append(("segment", "客群 customers", who))
    return toolbar("搜索产品、渠道、依据", "search offers, channels, basis", *selects)


def _offer(
    card: Scorecard, offer: Offer, designs: Sequence[StageDesign], catalog: Catalog, day: date
) -> Markup:
    channels = [catalog.channel_by_id[handle] for handle in catalog.handle_ids]
    width = 88 // len(channels)
    stage_ = Heading("环节 stage", 100 - width * len(channels), "title")
    columns = [Heading(f"{one.names.zh} {one.names.en}", width) for one in channels]
    rows = [
        row
        for one in designs
        for row in (_matrix_row(card, one, stage_, columns, channels), _why_row(card, one, catalog))
    ]
    heading = element("h2", both(offer.names.zh, offer.names.en), " ", element("code", offer.id))
    matrix = element("div", table([stage_, *columns], rows), class_="matrix")
    return element("section", heading, matrix, data_section=True)


def _matrix_row(
    card: Scorecard,
    one: StageDesign,
    stage_: Heading,
    columns: Sequence[Heading],
    channels: Sequence[Channel],
) -> Markup:
    points = {fit.handle: fit.points for fit in one.ranked}
    best = {fit.handle for fit in one.best}
    who = None
    if one.segment != OTHERS:
        zh, en = segment_names(card, one.segment)
        who = badge("warning", f"{zh} {en}")
    cells = [cell(stage_, both(*STAGE_NAMES[one.stage]), who)]
    for heading, channel in zip(columns, channels, strict=True):
        known = one.cells.get(channel.id)
        mark = _mark(known, points.get(channel.id), channel.id in best)
        cells.append(cell(heading, mark))
    words = [one.offer.id, one.offer.names.zh, one.offer.names.en, *STAGE_NAMES[one.stage]]
    words += [word for channel in channels if channel.id in one.cells
              for word in (channel.names.zh, channel.names.en)]  # fmt: skip
    words += list(dict.fromkeys(known.basis for known in one.cells.values()))
    return element(
        "tr", cells, class_="with-detail", data_text=" ".join(words),
        data_offer=one.offer.id, data_stage=one.stage, data_segment=one.segment,
    )  # fmt: skip


def _mark(known: Cell | None, points: float | None, best: bool) -> Markup:
    if known is None:
        return element("small", "–", title="未列,不可办 not listed: may not be done")
    if points is not None:
        text, level = f"{'★ ' if best else ''}{points:.0f}", "ok best" if best else "ok"
        return element("span", badge(level, text), title=known.basis)
    if not known.allowed:
        return element("span", badge("alarm", "禁止 no"), title=known.basis)
    return element("span", badge("warning", "过期 expired"), title=f"{known.expires}")


def _why_row(card: Scorecard, one: StageDesign, catalog: Catalog) -> Markup:
    title = element("summary", _why(one, catalog))
    inside = element("details", title, _items(card, one, catalog))
    width = len(catalog.handle_ids) + 1
    return element("tr", element("td", inside, colspan=width), class_="detail")


def _why(one: StageDesign, catalog: Catalog) -> Markup:
    """Say which channel is best, by how much over which, and by which criteria."""
    if not one.ranked:
        return join(badge("alarm", "无处可办 done nowhere"))
    first, second = one.ranked[0].points, one.runner_up
    zh, en = _names(one, [fit.handle for fit in one.best], catalog)
    if second is not None:
        other_zh, other_en = _names(one, [second.handle], catalog)
        ahead = first - second.points
        leads = [(name, gap) for name, gap in one.leads if round(gap, 1)]
        by_zh = SEPARATOR_ZH.join(f"{CRITERIA_NAMES[name][0]} {gap:+.1f}" for name, gap in leads)
        by_en = ", ".join(f"{CRITERIA_NAMES[name][1]} {gap:+.1f}" for name, gap in leads)
        told_zh = f"★ {zh} {first:.0f},领先{other_zh} {ahead:.1f} 分:{by_zh}"
        told_en = f"{en} {first:.0f}, ahead of {other_en} by {ahead:.1f}: {by_en}"
    elif one.best:
        told_zh, told_en = f"★ {zh} {first:.0f},唯一可办渠道", f"{en} {first:.0f}, the only one"
    else:
        told_zh = f"{len(one.ranked)} 个渠道评分相同:{first:.0f}"
        told_en = f"{len(one.ranked)} channels, scored alike: {first:.0f}"
    return join(told_zh, " ", element("small", told_en))


def _names(one: StageDesign, handles: Sequence[str], catalog: Catalog) -> tuple[str, str]:
    names = [catalog.channel_by_id[handle].names for handle in handles]
    return SEPARATOR_ZH.join(name.zh for name in names), ", ".join(name.en for name in names)


def _items(card: Scorecard, one: StageDesign, catalog: Catalog) -> Markup:
    """Itemise the cells of a stage, channels of one rule together, the best first."""
    what_, basis_, feasible_, necessary_, fit_, minutes_, owner_, until_ = (
        Heading("渠道 channels", 15), Heading("合规与依据 compliance, basis", 21),
        Heading("可行性 feasibility", 16), Heading("必要性 necessity", 16),
        Heading("适配 fit", 5), Heading("分钟 minutes", 6),
        Heading("归口与依据 owner, evidence", 13), Heading("有效期至 until", 8),
    )  # fmt: skip
    points = {fit.handle: fit.points for fit in one.ranked}
    by_rule: dict[int, list[str]] = {}
    for handle, known in one.cells.items():
        by_rule.setdefault(known.rule, []).append(handle)
    rows = []
    for number in sorted(by_rule, key=lambda n: -points.get(by_rule[n][0], -1.0)):
        handles, rule = by_rule[number], card.rules[number - 1]
        known, score = one.cells[handles[0]], points.get(handles[0])
        zh, en = _names(one, handles, catalog)
        rows.append(
            element(
                "tr",
                cell(what_, zh, element("small", en)),
                cell(basis_, _verdict(known, score), " ", known.basis,
                     element("small", f"规则 rule {number}")),
                cell(feasible_, _criteria(rule.feasibility, known.feasibility)),
                cell(necessary_, _criteria(rule.necessity, known.necessity)),
                cell(fit_, "–" if score is None else f"{score:.0f}"),
                cell(minutes_, "–" if known.minutes is None else f"{known.minutes}"),
                cell(owner_, known.owner or "–", element("small", known.evidence or "–")),
                cell(until_, known.expires.isoformat()),
            )
        )  # fmt: skip
    headings = [what_, basis_, feasible_, necessary_, fit_, minutes_, owner_, until_]
    return element("div", table(headings, rows), class_="items")


def _verdict(known: Cell, score: float | None) -> Markup:
    if not known.allowed:
        return badge("alarm", "禁止 forbidden")
    return badge("warning", "过期 expired") if score is None else badge("ok", "可办 allowed")


def _criteria(criteria: Criteria | None, weighted: float | None) -> Markup:
    if criteria is None or weighted is None:
        return element("small", "未评 not scored")
    lines = [
        element("small", f"{CRITERIA_NAMES[name][0]} {CRITERIA_NAMES[name][1]}: {value:.0f}")
        for name, value in criteria
    ]
    return join(element("b", f"{weighted:.0f}"), lines)
