"""The catalogue as a page: searchable, by group, with distributions and importance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from features.catalogue.catalogue import Catalogue
from features.catalogue.entries import FeatureEntry, MissingTagEntry, TagEntry
from features.catalogue.spread import Spread
from features.page import (
    Child,
    Heading,
    Markup,
    badge,
    both,
    cell,
    element,
    histogram,
    number,
    page,
    percent,
    share_bar,
    table,
    tile,
    toolbar,
)
from features.tags.book import Threshold

KINDS = {"fact": "事实 fact", "rule": "规则 rule", "model": "模型 model"}
WHAT = {"feature": ("特征", "features"), "tag": ("客户标签", "tags")}


def catalogue_page(catalogue: Catalogue) -> str:
    """Write the page of a catalogue, as one HTML file."""
    return page(
        "特征与客户标签", f"features and tags: {catalogue.catalog}",
        _lead(catalogue),
        _tiles(catalogue),
        _toolbar(catalogue),
        _features(catalogue),
        _tags(catalogue) if catalogue.tags else None,
        _not_carried(catalogue.tags_not_carried) if catalogue.tags_not_carried else None,
        element("h2", both("口径", "how to read this")),
        _rules(catalogue),
    )  # fmt: skip


def _lead(catalogue: Catalogue) -> Markup:
    told = []
    if catalogue.described is not None:
        one = catalogue.described
        told += [
            f"数据 data: {one.source}",
            f"时点 as of: {one.as_of.isoformat(' ', 'minutes')}",
            f"客户 customers: {one.customers:,} / {one.all_customers:,}",
        ]
    if catalogue.release is not None:
        told.append(f"模型版本 release: {catalogue.release}")
    return element("p", [element("span", one) for one in told], class_="lead")


def _tiles(catalogue: Catalogue) -> Markup:
    core = sum(one.core for one in catalogue.tags)
    tiles = [tile(f"{len(catalogue.features):,}", "特征", "features")]
    if catalogue.tags:
        tiles += [
            tile(f"{len(catalogue.tags):,}", "标签", "tags"),
            tile(f"{core:,}", "核心标签", "core tags"),
            tile(f"{len(catalogue.tags_not_carried):,}", "暂缺标签", "tags not carried"),
        ]
    if catalogue.described is not None:
        tiles.append(tile(f"{catalogue.described.customers:,}", "客户", "customers"))
    return element("div", tiles, class_="tiles")


def _toolbar(catalogue: Catalogue) -> Markup:
    groups = [("", "全部 all")] + [
        (f"{what}:{group}", f"{WHAT[what][0]} · {zh} {en} ({count})")
        for what, group, (zh, en), count in catalogue.groups()
    ]
    orders = [("", "按组 by group")]
    if catalogue.release is not None:
        orders.append(("importance", "重要性 importance"))
    if catalogue.described is not None:
        orders.append(("missing", "缺失率 missing"))
        orders.append(("held", "持有率 held"))
    selects = [("group", "组 group", groups)]
    if len(orders) > 1:
        selects.append(("sort", "排序 sort", orders))
    return toolbar("搜索名称、含义", "search names and meanings", *selects)


def _features(catalogue: Catalogue) -> Markup:
    name_, group_, range_, needs_, spread_, missing_, importance_ = (
        Heading("特征 feature", 27, "title"), Heading("组 group", 10), Heading("范围 range", 14),
        Heading("所需数据 needs", 15), Heading("分布 distribution", 15),
        Heading("缺失 missing", 9), Heading("重要性 importance", 10),
    )  # fmt: skip
    headings = [name_, group_, range_, needs_]
    headings += [spread_, missing_] if catalogue.described is not None else []
    headings += [importance_] if catalogue.release is not None else []
    most = max((one.importance or 0.0 for one in catalogue.features), default=0.0) or 1.0
    rows = []
    for one in catalogue.features:
        cells = [
            cell(name_, element("code", one.name), _meaning(one.zh, one.en)),
            cell(group_, badge("plain", one.group_names[0]), element("small", one.group_names[1])),
            cell(range_, _declared(one), element("small", one.unit), _seen(one)),
            cell(needs_, _codes(one.needs)),
        ]
        if catalogue.described is not None:
            cells += [
                cell(spread_, _spread(one.spread, _unit(one)), empty=one.spread is None),
                cell(missing_, _missing(one.spread), empty=one.spread is None),
            ]
        if catalogue.release is not None:
            share = None if one.importance is None else share_bar(one.importance, "narrow", most)
            cells.append(cell(importance_, share, empty=one.importance is None))
        rows.append(
            element(
                "tr", cells,
                data_text=" ".join((one.name, one.zh, one.en)),
                data_group=f"feature:{one.group}",
                data_importance=one.importance,
                data_missing=None if one.spread is None else one.spread.missing_share,
            )
        )  # fmt: skip
    return _section("特征", "features", len(rows), table(headings, rows, sorted_=True))


def _tags(catalogue: Catalogue) -> Markup:
    name_, group_, kind_, needs_, valid_, say_, held_, spread_ = (
        Heading("标签 tag", 22, "title"), Heading("组 group", 9), Heading("类型 kind", 11),
        Heading("所需数据 needs", 15), Heading("有效期 · 归口 valid · owner", 9),
        Heading("可告知客户 may be said", 8), Heading("持有率 held", 9),
        Heading("取值 values", 17),
    )  # fmt: skip
    headings = [name_, group_, kind_, needs_, valid_, say_]
    headings += [held_, spread_] if catalogue.described is not None else []
    rows = []
    for one in catalogue.tags:
        cells = [
            cell(name_, element("code", one.name), _meaning(one.zh, one.en), _definition(one)),
            cell(group_, badge("plain", one.group_names[0]), element("small", one.group_names[1])),
            cell(kind_, KINDS[one.kind], element("small", _shape(one))),
            cell(needs_, _codes(one.needs)),
            cell(valid_, number(one.validity_days, "天 days"), element("small", one.owner)),
            cell(say_, "是 yes" if one.say_to_customer else "否 no"),
        ]
        if catalogue.described is not None:
            held = None if one.held_share is None else share_bar(one.held_share, "narrow")
            lost = element("small", "数据源未提供 not brought") if one.lost else None
            cells += [
                cell(held_, held, lost),
                cell(spread_, _spread(one.spread, one.unit), empty=one.spread is None),
            ]
        rows.append(
            element(
                "tr", cells,
                data_text=" ".join((one.name, one.zh, one.en, one.definition_zh,
                                    one.definition_en)),
                data_group=f"tag:{one.group}",
                data_held=one.held_share,
            )
        )  # fmt: skip
    return _section("客户标签", "tags", len(rows), table(headings, rows, sorted_=True))


def _section(zh: str, en: str, count: int, content: Markup) -> Markup:
    head = element("h2", both(zh, f"{en} ({count:,})"))
    return element("section", head, content, data_section=True)


def _meaning(zh: str, en: str) -> list[Markup]:
    return [element("div", zh), element("small", en)]


def _definition(one: TagEntry) -> Markup:
    thresholds = ", ".join(
        f"{name} = {_threshold(value)}" for name, value in one.thresholds.items()
    )
    return element(
        "details",
        element("summary", element("small", "定义 definition")),
        element("div", one.definition_zh),
        element("small", one.definition_en),
        element("code", thresholds) if thresholds else None,
    )


def _threshold(value: Threshold) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_threshold, value))
    return value if isinstance(value, str) else number(value)


def _shape(one: TagEntry) -> str:
    shape = one.unit if one.shape == "number" else one.shape
    marks = [mark for mark, told in (("事件 event", one.event), ("核心 core", one.core)) if told]
    return " · ".join((shape, *marks))


def _declared(one: FeatureEntry) -> str:
    if one.category:
        return "词 words"
    low = "−∞" if one.low is None else number(one.low)
    high = "∞" if one.high is None else number(one.high)
    return f"{low} … {high}"


def _seen(one: FeatureEntry) -> Child:
    """Write the smallest and largest value found, to hold beside what is declared."""
    if one.spread is None or one.spread.quantiles is None:
        return None
    low, *_, high = one.spread.quantiles
    return element("small", f"实际 seen {number(low)} … {number(high)}")


def _unit(one: FeatureEntry) -> str:
    return "" if one.category else one.unit


def _codes(names: Sequence[str]) -> Child:
    return [element("code", name, class_="line") for name in names]


def _missing(spread: Spread | None) -> Child:
    return None if spread is None else share_bar(spread.missing_share, "missing narrow")


def _spread(spread: Spread | None, unit: str) -> Child:
    if spread is None or spread.rows == spread.missing:
        return None if spread is None else element("small", "全部缺失 all missing")
    known = spread.rows - spread.missing
    if spread.words:
        shown = [
            element("div", f"{word} ", element("small", percent(count / known)), class_="inline")
            for word, count in zip(spread.words, spread.counts, strict=True)
        ]
        other = element("small", f"其他 other {percent(spread.other / known)}")
        return [*shown, other if spread.other else None]
    told = []
    if spread.quantiles is not None:
        _, five, half, most, _ = spread.quantiles
        scale = " · log" if spread.log else ""
        told = [
            element("small", f"中位 median {number(half, unit)}"),
            element("small", f"5–95 %: {number(five)} … {number(most)}{scale}"),
        ]
    if spread.zeros:
        told.append(element("small", f"零 zero: {percent(spread.zeros / known)}"))
    return [histogram(spread.counts, bar_labels(spread)), *told]


def bar_labels(spread: Spread) -> list[str]:
    """Name the bars of a distribution of numbers.

    >>> bar_labels(Spread(rows=3, missing=0, counts=(1, 2), edges=(0, 10, 20)))
    ['0 – 10', '10 – 20']
    >>> bar_labels(Spread(rows=3, missing=0, counts=(1, 2), edges=(0, 1, 2)))
    ['0', '1']
    """
    pairs = list(pairwise(spread.edges))
    if all(end - start <= 1 and not start % 1 for start, end in pairs):
        return [number(start) for start, _ in pairs]
    return [f"{number(start)} – {number(end)}" for start, end in pairs]


def _not_carried(missing: Sequence[MissingTagEntry]) -> Markup:
    name_, core_, lacks_ = headings = (
        Heading("标签 tag", 40, "title"), Heading("核心 core", 15), Heading("缺少 lacks", 45),
    )  # fmt: skip
    rows = [
        element(
            "tr",
            cell(name_, element("code", one.name), _meaning(one.zh, one.en)),
            cell(core_, "是 yes" if one.core else "否 no"),
            cell(lacks_, one.lacks),
            data_text=" ".join((one.name, one.zh, one.en)),
            data_group=f"missing:{one.group}",
        )
        for one in missing
    ]
    return _section("暂缺标签", "tags not carried", len(rows), table(headings, rows))


def _rules(catalogue: Catalogue) -> list[Markup]:
    told = []
    if catalogue.described is not None:
        told.append(
            (
                "分布为所述时点全部（或按哈希抽取的部分）客户的取值；直方图两端含轴外的值，"
                "下为中位数与 5%–95% 区间；长尾用对数轴（log），零另列。",
                "Distributions are over the customers at that moment (all, or a part taken by "
                "hash); the outer bars also hold what lies beyond the axis, and the "
                "figures are the median and the 5–95 % interval. Long tails have a log scale, with "
                "zeros told apart.",
            )
        )
    if catalogue.release is not None:
        told.append(
            (
                "重要性为该特征在该模型版本全部树中的分裂增益占比；其余归产品与环节等情境。",
                "Importance is the share of the split gain in all trees of the release; the rest "
                "belongs to the context of a choice: product and stage.",
            )
        )
    told.append(
        (
            "窗口为 [时点 − n 天, 时点)；只用当时已知的数据。",
            "Windows are [moment − n days, moment), and only what was known then counts.",
        )
    )
    return [element("p", both(zh, en)) for zh, en in told]
