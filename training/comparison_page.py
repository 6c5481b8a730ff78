"""The comparison of two releases as a page: what speaks for B, what against, and what is unlike."""

from __future__ import annotations

from collections.abc import Sequence

from features.page import (
    Child,
    Heading,
    Markup,
    badge,
    both,
    cell,
    element,
    join,
    number,
    page,
    table,
    tile,
)
from training.breakdown import SEGMENT_POINTS
from training.comparison import (
    ClassPair,
    Comparison,
    Curves,
    Difference,
    HeadComparison,
    MetricPair,
    Pair,
    SegmentPair,
    Verdict,
)

HEADS = {
    "next_product": ("下一产品", "next product"),
    "channel_preference": ("渠道偏好", "channel preference"),
}
SPLITS = {
    "train": "训练 train", "stop": "早停 stop", "calibrate": "校准 calibrate", "test": "测试 test",
}  # fmt: skip
VERDICTS: dict[Verdict, tuple[str, str]] = {
    "better": ("ok", "变好 better"), "worse": ("alarm", "变差 worse"),
    "alike": ("plain", "相同 alike"), "untold": ("plain", "–"),
}  # fmt: skip
SHOWN_CURVES = 9


def comparison_page(comparison: Comparison) -> str:
    """Write the page of a comparison, as one HTML file."""
    return page(
        "模型版本对比", f"two releases: {comparison.a.id} and {comparison.b.id}",
        _sides(comparison),
        _caveats(comparison),
        _tiles(comparison),
        *(_head(name, one) for name, one in comparison.heads.items()),
        _section("时段", "windows (UTC)", _differences(comparison.windows, SPLITS)),
        _section("不同的设置", "settings that differ", _settings(comparison.settings)),
        _section("特征的增减", "features that came and went", _features(comparison)),
        element("h2", both("口径", "how to read this")),
        _rules(),
    )  # fmt: skip


def _sides(comparison: Comparison) -> Markup:
    name_, id_, config_, catalog_, features_, rows_ = headings = (
        Heading("", 8, "title"), Heading("模型版本 release", 20), Heading("配置 configuration", 20),
        Heading("目录 · 预测期 catalog · horizon", 22), Heading("特征 features", 12, "number"),
        Heading("测试行 test rows", 18, "number"),
    )  # fmt: skip
    rows = [
        element(
            "tr",
            cell(name_, element("strong", label)),
            cell(id_, element("code", side.id)),
            cell(config_, side.config),
            cell(catalog_, f"{side.catalog} · {side.horizon}"),
            cell(features_, f"{side.features:,}"),
            cell(rows_, f"{side.rows['test']:,}"),
        )
        for label, side in (("A", comparison.a), ("B", comparison.b))
    ]
    return table(headings, rows)


def _caveats(comparison: Comparison) -> Markup:
    if not comparison.caveats:
        told = both("数据、测试时段与目录相同。", "Data, test window and catalog are the same.")
        return element("p", badge("ok", "可比 comparable"), " ", told)
    return element(
        "ul",
        [
            element("li", badge("warning", "注意 beware"), both(zh, en))
            for zh, en in comparison.caveats
        ],
        class_="findings",
    )


def _tiles(comparison: Comparison) -> Markup:
    verdicts = [one.verdict for head in comparison.heads.values() for one in head.metrics]
    losing = [one for head in comparison.heads.values() for one in head.losing_segments]
    surely = "alarm" if any(one.apart for one in losing) else "warning"
    worse = verdicts.count("worse")
    points = f"{100 * SEGMENT_POINTS:g}"
    return element(
        "div",
        tile(str(verdicts.count("better")), "指标变好", "metrics better in B", "ok"),
        tile(str(worse), "指标变差", "metrics worse in B", "alarm" if worse else "ok"),
        tile(str(len(losing)), f"客群变差超过 {points} 个点",
             f"groups that lose over {points} points", surely if losing else "ok"),
        tile(str(len(comparison.features_new)), "新增特征", "features came"),
        tile(str(len(comparison.features_gone)), "去掉的特征", "features went"),
        tile(str(len(comparison.settings)), "不同的设置", "settings differ"),
        class_="tiles",
    )  # fmt: skip


def _head(name: str, head: HeadComparison) -> list[Markup]:
    zh, en = HEADS.get(name, ("", name))
    return [
        _section(zh, f"{en}: metrics on the test", _metrics(head.metrics)),
        _section(f"{zh}：分产品或渠道", "by product or channel", _classes(head.classes)),
        _section(f"{zh}：分客群", f"by group: {_plain(head.metric)}", _segments(head.segments)),
        _section(f"{zh}：校准", "calibration on the test", _curves(head)),
        _section(f"{zh}：解释与漂移", "explanations and drift", _measures(head.measures)),
    ]


def _section(zh: str, en: str, *content: Child) -> Markup:
    return element("section", element("h2", both(zh, en)), *content)


def _metrics(metrics: Sequence[MetricPair]) -> Markup:
    name_, a_, b_, gap_, verdict_, naive_a_, naive_b_ = headings = (
        Heading("指标 metric", 22, "title"), Heading("A", 11, "number"), Heading("B", 11, "number"),
        Heading("B − A", 13, "number"), Heading("结论 verdict", 15),
        Heading("A 最好的简单规则 best naive", 14, "number"),
        Heading("B 最好的简单规则 best naive", 14, "number"),
    )  # fmt: skip
    rows = []
    for one in metrics:
        level, text = VERDICTS[one.verdict]
        cells = [
            cell(name_, element("code", one.name)),
            *_pair((a_, b_, gap_), one),
            cell(verdict_, badge(level, text)),
            cell(naive_a_, _figure(one.naive_a), empty=one.naive_a is None),
            cell(naive_b_, _figure(one.naive_b), empty=one.naive_b is None),
        ]
        rows.append(element("tr", cells, data_metric=one.name, data_verdict=one.verdict))
    return table(headings, rows)


def _classes(classes: Sequence[ClassPair]) -> Markup:
    quality = {"auc": "AUC", "recall": "召回 recall"}[classes[0].quality.name]
    name_, *others = headings = (
        Heading("产品或渠道 product or channel", 22, "title"),
        Heading("A 发生数 events", 10, "number"), Heading("B 发生数 events", 10, "number"),
        Heading(f"A {quality}", 10, "number"), Heading(f"B {quality}", 10, "number"),
        Heading("B − A", 10, "number"),
        Heading("A 概率÷发生率 p ÷ rate", 10, "number"),
        Heading("B 概率÷发生率 p ÷ rate", 10, "number"), Heading("B − A", 8, "number"),
    )  # fmt: skip
    events_a, events_b, a_, b_, gap_, ratio_a, ratio_b, ratio_gap = others
    rows = [
        element(
            "tr",
            cell(name_, element("code", one.name)),
            cell(events_a, number(one.events.a)),
            cell(events_b, number(one.events.b)),
            *_pair((a_, b_, gap_), one.quality),
            *_pair((ratio_a, ratio_b, ratio_gap), one.ratio),
        )
        for one in classes
    ]
    return table(headings, rows)


def _segments(segments: Sequence[SegmentPair]) -> Markup:
    if not segments:
        nothing = both("数据源没有年龄、性别与地区。", "The source tells no age, gender or region.")
        return element("p", nothing)
    kind_, name_, rows_, a_, b_, gap_, verdict_ = headings = (
        Heading("分类 kind", 12), Heading("客群 group", 16, "title"),
        Heading("行 rows A · B", 14, "number"), Heading("A (95 %)", 18, "number"),
        Heading("B (95 %)", 18, "number"), Heading("B − A", 10, "number"),
        Heading("结论 verdict", 12),
    )  # fmt: skip
    rows = [
        element(
            "tr",
            cell(kind_, one.segment),
            cell(name_, one.name),
            cell(rows_, f"{one.rows_a:,} · {one.rows_b:,}"),
            cell(a_, _figure(one.a), _interval(one.interval_a)),
            cell(b_, _figure(one.b), _interval(one.interval_b)),
            cell(gap_, _signed(one.difference)),
            cell(verdict_, _judged(one)),
            data_group=one.name,
        )
        for one in segments
    ]
    return table(headings, rows)


def _judged(one: SegmentPair) -> Markup:
    """A loss of more than two points alarms where the intervals part, else it warns."""
    gap = one.difference or 0.0
    if gap < -SEGMENT_POINTS:
        return badge("alarm" if one.apart else "warning", "变差 worse")
    return badge("ok", "变好 better") if one.apart and gap > 0 else badge("plain", "–")


def _interval(ends: tuple[float, float] | None) -> Child:
    return None if ends is None else element("small", f"{ends[0]:.3f} – {ends[1]:.3f}")


def _curves(head: HeadComparison) -> Markup:
    order = [one.name for one in head.classes]
    shown = sorted(head.curves, key=lambda one: order.index(one.name))[:SHOWN_CURVES]
    if not shown:
        few = both("没有 50 次以上的产品或渠道。", "No product or channel happened 50 times.")
        return element("p", few)
    axes = both(
        "横轴为平均概率，纵轴为发生率，两轴同长；在对角线上即所言属实。灰 A，蓝 B。",
        "Mean probability across, observed rate up, both as long as told; on the diagonal what is "
        "given p happens p of the time. Grey is A, blue is B.",
    )
    charts = element("div", [_chart(one) for one in shown], class_="charts")
    return join(element("p", axes), charts)


def _chart(curves: Curves) -> Markup:
    """Observed rate (up) against mean probability (across); on the diagonal p happens p times."""
    most = max(value for point in (*curves.a, *curves.b) for value in point) or 1.0
    drawn: list[Markup] = [
        element("line", x1=0, y1=100, x2=100, y2=0),
        *(
            element(
                "circle",
                element("title", f"{side}: {p:.4f} → {rate:.4f}"),
                cx=round(100 * p / most, 2), cy=round(100 - 100 * rate / most, 2), r=2.4,
                class_=class_,
            )
            for side, points, class_ in (("A", curves.a, "before"), ("B", curves.b, "now"))
            for p, rate in points
        ),
    ]  # fmt: skip
    picture = element(
        "svg", drawn, viewBox="-3 -3 106 106", role="img",
        aria_label=f"calibration of {curves.name}",
    )  # fmt: skip
    return element(
        "figure",
        element("figcaption", element("code", curves.name), element("small", f"0 – {most:.2g}")),
        picture,
    )


def _measures(measures: Sequence[Pair]) -> Markup:
    name_, a_, b_, gap_ = headings = (
        Heading("量 measure", 46, "title"), Heading("A", 18, "number"), Heading("B", 18, "number"),
        Heading("B − A", 18, "number"),
    )  # fmt: skip
    rows = [
        element("tr", cell(name_, element("code", one.name)), *_pair((a_, b_, gap_), one))
        for one in measures
    ]
    return table(headings, rows)


def _settings(settings: Sequence[Difference]) -> Markup:
    if not settings:
        return element("p", both("全部相同。", "All are the same."))
    return _differences(settings, {})


def _differences(differences: Sequence[Difference], names: dict[str, str]) -> Markup:
    name_, a_, b_ = headings = Heading("", 30, "title"), Heading("A", 35), Heading("B", 35)
    rows = []
    for one in differences:
        other = badge("plain", "相同 alike") if one.a == one.b else one.b
        name = element("code", one.name) if one.name not in names else names[one.name]
        rows.append(element("tr", cell(name_, name), cell(a_, one.a), cell(b_, other)))
    return table(headings, rows)


def _features(comparison: Comparison) -> list[Markup]:
    told = []
    for zh, en, names in (
        ("新增", "came", comparison.features_new), ("去掉", "went", comparison.features_gone),
    ):  # fmt: skip
        listed = [element("code", name, " ") for name in names] if names else ["–"]
        told.append(element("p", element("strong", both(zh, f"{en} ({len(names)}): ")), listed))
    return told


def _rules() -> list[Markup]:
    return [
        element("p", both(zh, en))
        for zh, en in (
            (
                "每个版本的数字来自它自己训练时的测试；B − A 为正只在“越高越好”的指标上是变好，"
                "log_loss 等越低越好的指标结论已按方向给出。",
                "Each release's figures are of the test it was trained with. Verdicts know each "
                "metric's direction (log_loss: lower is better); without one, no verdict is given.",
            ),
            (
                f"客群变差超过 {100 * SEGMENT_POINTS:g} 个点：区间不相交为警报，否则为提醒"
                "（样本少时可能是偶然）。区间按客户聚类（Wilson）。",
                f"A group that loses more than {100 * SEGMENT_POINTS:g} points alarms where the "
                "intervals do not meet, else warns: with few rows chance can do it. Intervals are "
                "Wilson's, clustered by customer.",
            ),
            (
                "此页不做配对检验；是否晋级由 python -m training promote 的门槛决定。",
                "This page pairs nothing: whether B is promoted is decided by the gates of "
                "python -m training promote, on the same rows.",
            ),
        )
    ]


def _pair(headings: tuple[Heading, Heading, Heading], one: Pair) -> list[Markup]:
    a_, b_, gap_ = headings
    return [
        cell(a_, _figure(one.a), empty=one.a is None),
        cell(b_, _figure(one.b), empty=one.b is None),
        cell(gap_, _signed(one.difference), empty=one.difference is None),
    ]


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}" if value % 1 else number(value)


def _signed(value: float | None) -> str:
    if value is None:
        return "–"
    text = f"{value:+.4f}" if value % 1 else f"{value:+,.0f}" if value else "0"
    return text.replace("-", "−")


def _plain(name: str) -> str:
    return name.replace("_", " ")
