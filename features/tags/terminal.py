"""Tags in a terminal, or in a pipe."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from features.catalog import Names
from features.tags.book import TAG_GROUPS, TagGroup
from features.tags.show import TagHolders, ToldCustomer, ToldTag
from features.tags.words import OWNERS, Vocabulary

ACT = "►"
ACT_NAMES = Names(zh="待办", en="to act on")
SAY = {True: Names(zh="可告知", en="may be said"), False: Names(zh="勿告知", en="not to be said")}
LOST = Names(
    zh="缺表、列或模型评分而无法判断",
    en="not told, for want of tables, columns or a release's scores",
)
HEADINGS = (
    Names(zh="标签", en="tag"),
    Names(zh="内容", en="what"),
    Names(zh="有效至", en="until"),
    Names(zh="归口", en="owner"),
    Names(zh="对客户", en="to the customer"),
)


class Lang(StrEnum):
    """Which language a page is printed in."""

    zh = "zh"
    en = "en"
    both = "both"


def print_customer(told: ToldCustomer, lang: Lang, console: Console) -> None:
    """Print a customer's tags: reasons to act on top, then group by group."""
    words = told.vocabulary
    table = Table(box=None, pad_edge=False, title_justify="left", show_edge=False)
    table.title = f"{told.customer_id} · {_clock(words.as_of, words)}"
    for heading in HEADINGS:
        table.add_column(_line(heading, lang), overflow="fold")
    acting = [one for one in told.tags if one.acts]
    resting = [one for one in told.tags if not one.acts]
    _section(table, ACT_NAMES, acting, words, lang)
    by_group: groupby[TagGroup, ToldTag] = groupby(resting, lambda one: one.settings.group)
    for group, tags in by_group:
        zh, en = TAG_GROUPS[group]
        _section(table, Names(zh=zh, en=en), tags, words, lang)
    console.print(table)
    if told.lost:
        codes = ", ".join(told.lost)
        console.print(f"{_line(LOST, lang)}: {codes}", highlight=False)


def print_holders(holders: TagHolders, lang: Lang) -> None:
    """Print who has a tag, one line a customer, and how many they are."""
    words, wide = holders.vocabulary, max((len(name) for name, _ in holders.customers), default=0)
    for name, told in holders.customers:
        # plain lines: a bank may have hundreds of thousands of them
        print(f"{name:<{wide}}  {_clock(told.held.expires_at, words)}  {_content(told, lang, ' ')}")
    title = _line(holders.settings.names, lang)
    count = f"{len(holders.customers):,}"
    print(f"{holders.code} ({title}): {count} customers at {_clock(words.as_of, words)}")


def _section(
    table: Table, name: Names, tags: Iterable[ToldTag], words: Vocabulary, lang: Lang
) -> None:
    told = list(tags)
    if not told:
        return
    table.add_row(f"[bold]{_line(name, lang)}[/bold]")
    for one in told:
        mark = f"{ACT} " if one.acts else "  "
        owner = OWNERS.get(one.settings.owner) or Names(
            zh=one.settings.owner, en=one.settings.owner
        )
        table.add_row(
            # the code is what --tag takes
            f"{escape(_lines(one.settings.names, lang, mark))}\n  [dim]{one.held.tag.code}[/dim]",
            escape(_content(one, lang, "\n")),
            _clock(one.held.expires_at, words),
            escape(_lines(owner, lang)),
            _lines(SAY[one.settings.say_to_customer], lang),
        )


def _content(told: ToldTag, lang: Lang, between: str) -> str:
    """Tell value and parts; of a flag that has parts these alone, since it is a yes anyhow."""
    said = list(told.parts)
    if told.value is not None and (told.settings.shape != "flag" or not said):
        said.insert(0, told.value)
    whole = Names(zh="，".join(one.zh for one in said), en=", ".join(one.en for one in said))
    return _lines(whole, lang, between=between)


def _line(names: Names, lang: Lang) -> str:
    return _lines(names, lang, between=" ")


def _lines(names: Names, lang: Lang, mark: str = "", between: str = "\n") -> str:
    """Write a name in the languages asked for; a second line is set in as far as the mark."""
    if lang is Lang.both:
        indent = " " * len(mark) if between == "\n" else ""
        return f"{mark}{names.zh}{between}{indent}{names.en}"
    return mark + (names.zh if lang is Lang.zh else names.en)


def _clock(moment: datetime, words: Vocabulary) -> str:
    """Write a moment by the bank's clock, to the minute."""
    return moment.astimezone(words.zone).strftime("%Y-%m-%d %H:%M")
