"""An HTML page that needs no network: one file, its style, script and pictures inside.

Texts are escaped wherever they enter (`element`). The content security policy allows nothing but
the page's own style and script, by their hashes: whatever a table of a bank holds, it cannot load
or run anything.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass

from features.page_assets import SCRIPT, STYLE

Attribute = str | int | float | bool | None


class Markup(str):
    """HTML that is safe to stand in a page as it is; any other string is text and gets escaped."""

    __slots__ = ()


Child = str | None | Sequence["str | None"]
"""A text, markup, several of them, or nothing."""


def element(tag: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """Write an HTML or SVG element.

    Children may be texts, markup, lists of both, or None for nothing. In attributes a trailing `_`
    is dropped (``class_``) and other `_` become `-`; True stands without a value, None and False
    are left out.

    >>> element("td", "a < b", class_="number", data_group="x")
    '<td class="number" data-group="x">a &lt; b</td>'
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(*children)}</{tag}>")


_VOID = ("col", "input", "meta")


def join(*children: Child) -> Markup:
    """Put markup and escaped texts one after another."""
    parts = []
    for child in children:
        if isinstance(child, Markup):
            parts.append(str(child))
        elif isinstance(child, str):
            parts.append(html.escape(child))
        elif child is not None:
            parts.append(str(join(*child)))
    return Markup("".join(parts))


def _attribute(key: str, value: Attribute) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'


def page(zh: str, en: str, *body: Child) -> str:
    """Write a whole page: its title in both languages, then the body."""
    policy = (
        f"default-src 'none'; style-src '{_hash(STYLE)}'; script-src '{_hash(SCRIPT)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{zh} · {en}"),
        element("style", Markup(STYLE)),
    )
    content = element("main", element("h1", zh, " ", element("small", en)), *body)
    # the script stands last: the rows it filters are there when it runs
    whole = element(
        "html", head, element("body", content, element("script", Markup(SCRIPT))), lang="zh"
    )
    return f"<!DOCTYPE html>\n{whole}\n"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def both(zh: str, en: str) -> Markup:
    """Write a text in Chinese with its English beside it."""
    return element("span", zh, " ", element("small", en))


def toolbar(
    hint_zh: str, hint_en: str, *selects: tuple[str, str, Sequence[tuple[str, str]]]
) -> Markup:
    """Give a search box and drop-down lists; what is chosen stands in the page's address after #.

    Each of ``selects`` is (name, label, (value, text)…). Rows carry `data-text`, what the search
    looks in, and the value of each list as ``data-<name>``; the list named `sort` puts rows in
    order of that ``data-…`` number instead, largest first. The value "" is no choice.
    """
    search = element(
        "input", type="search", name="q", data_control=True, autocomplete="off",
        placeholder=f"{hint_zh} {hint_en}", aria_label=f"{hint_zh} {hint_en}",
    )  # fmt: skip
    lists = [
        element(
            "label",
            element("small", label),
            element(
                "select",
                [element("option", text, value=value) for value, text in options],
                name=name,
                data_control=True,
            ),
        )
        for name, label, options in selects
    ]
    counted = element("output", "", id="count", aria_live="polite")
    # shown by the script, without which it could do nothing
    return element("form", search, lists, counted, class_="toolbar", hidden=True)


@dataclass(frozen=True)
class Heading:
    """Head of a table column: ``class_`` of all its cells, ``width`` in per cent of the table."""

    text: str
    width: int
    class_: str = ""


def cell(heading: Heading, *children: Child, empty: bool = False) -> Markup:
    """Write a cell of a column. Narrow screens show its heading beside it, unless ``empty``."""
    classes = f"{heading.class_} empty".strip() if empty else heading.class_
    return element("td", element("div", *children), data_label=heading.text, class_=classes or None)


def table(headings: Sequence[Heading], rows: Sequence[Markup], sorted_: bool = False) -> Markup:
    """Write a table of rows made with `cell`; with ``sorted_`` the list `sort` orders them."""
    columns = [element("col", width=f"{one.width}%") for one in headings]
    heads = [element("th", one.text, scope="col", class_=one.class_ or None) for one in headings]
    body = element("tbody", rows, data_sorted=sorted_)
    return element(
        "table", element("colgroup", columns), element("thead", element("tr", heads)), body
    )


def badge(level: str, *children: Child) -> Markup:
    """Write a small coloured label: ok, warning, alarm or plain."""
    return element("span", *children, class_=f"badge {level}")


def tile(count: str, zh: str, en: str, level: str = "plain") -> Markup:
    """Write a number with its meaning, for the summary on top of a page."""
    return element("div", element("strong", count), both(zh, en), class_=f"tile {level}")


def share_bar(share: float, class_: str = "", of: float = 1.0) -> Markup:
    """Draw a share 0–1 as a bar, full at `of`, with its per cent beside it."""
    picture = element(
        "svg",
        element("rect", width=100, height=8, class_="track"),
        element("rect", width=round(100 * share / of, 2), height=8, class_="fill"),
        viewBox="0 0 100 8",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    return element(
        "span", picture, element("span", percent(share)), class_=f"share {class_}".strip()
    )


def histogram(counts: Sequence[int], labels: Sequence[str]) -> Markup:
    """Draw counts as columns; each tells its label and its share when pointed at."""
    highest, total = max([*counts, 1]), max(sum(counts), 1)
    columns = []
    for position, (count, label) in enumerate(zip(counts, labels, strict=True)):
        # whatever is not empty can be seen
        height = round(max(28 * count / highest, 1.5 if count else 0), 2)
        told = element("title", f"{label}: {count:,} ({percent(count / total)})")
        columns.append(
            element("rect", told, x=10 * position, y=30 - height, width=9, height=height)
        )
    spoken = "; ".join(f"{label}: {n:,}" for label, n in zip(labels, counts, strict=True))
    base = element("rect", x=0, y=30, width=10 * len(counts) - 1, height=0.6, class_="base")
    return element(
        "svg", base, columns, viewBox=f"0 0 {10 * len(counts) - 1} 31", class_="histogram",
        preserveAspectRatio="none", role="img", aria_label=spoken,
    )  # fmt: skip


def number(value: float | None, unit: str = "") -> str:
    """Write a number as people read it, with its unit.

    >>> number(1234567.891, "CNY")
    '1,234,568 CNY'
    >>> number(0.12345), number(2.0), number(-31.4159), number(None)
    ('0.1235', '2', '−31.42', '–')
    """
    if value is None:
        return "–"
    size = abs(value)
    digits = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 4
    text = f"{size:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    if text == "0" and size:
        text = f"{size:.1e}"
    sign = "−" if value < 0 and text != "0" else ""
    return f"{sign}{text}{' ' + unit if unit else ''}"


def percent(share: float) -> str:
    """Write a share 0–1 in per cent; what is not quite nothing or all does not read so.

    >>> percent(0.1234), percent(0), percent(1), percent(0.00001), percent(0.99999)
    ('12.3 %', '0 %', '100 %', '< 0.1 %', '> 99.9 %')
    """
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    if share < 0.0005:
        return "< 0.1 %"
    return "> 99.9 %" if share > 0.9995 else f"{100 * share:.1f} %"
