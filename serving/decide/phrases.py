"""Approved sentences by reason code, in both languages and for one audience (`reasons.yaml`).

The order of the file is the order of importance: the first reasons that apply are shown.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import cached_property
from string import Formatter
from typing import Any

from pydantic import Field

from features.catalog import Names, Stage
from features.config import StrictConfig, parse_config
from features.errors import ConfigError
from serving.contract import Audience, Reason, ReasonKind, Text

Value = str | Text | Names
"""What fills a placeholder: the same in both languages, or one text for each."""

HEARS: dict[Audience, tuple[Audience, ...]] = {
    "customer": ("customer",),
    "staff": ("customer", "staff"),
    "reviewer": ("customer", "staff", "reviewer"),
}
"""Which audiences' sentences each audience may hear: nothing of staff's reaches a customer."""

STAGE_NAMES: dict[Stage, Text] = {
    "application": Text(zh="申请", en="the application"),
    "interview": Text(zh="面谈", en="the interview"),
    "approval": Text(zh="审批", en="the approval"),
    "signing": Text(zh="签约", en="the signing"),
    "servicing": Text(zh="交易后管理", en="servicing"),
    "inquiry": Text(zh="查询", en="the inquiry"),
    "rating": Text(zh="评价", en="the rating"),
}


class Phrase(StrictConfig):
    """One approved sentence and who may hear it.

    ``fallback`` marks a sentence that is said only where no other reason is left to say. ``tag``
    names the customer tag whose content the sentence tells: a fact about him, which is told at one
    place of an answer, not at all of them.
    """

    audience: Audience
    kind: ReasonKind
    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)
    fallback: bool = False
    tag: str | None = None

    @cached_property
    def placeholders(self) -> frozenset[str]:
        """Names in braces that must be known before the sentence may be said."""
        return _placeholders(self.zh)

    @cached_property
    def fixed(self) -> Text | None:
        """The sentence itself where it has no placeholder; made once."""
        # a doubled brace stands for one, so even this goes through the formatter
        return None if self.placeholders else Text(zh=self.zh.format(), en=self.en.format())


class Phrases(StrictConfig):
    """All sentences by code, in order of importance."""

    by_code: dict[str, Phrase]

    @cached_property
    def order(self) -> dict[str, int]:
        """Place of each code in the file."""
        return {code: place for place, code in enumerate(self.by_code)}

    @cached_property
    def fixed(self) -> dict[str, Reason]:
        """The reasons that need no values, made once."""
        return {
            code: Reason(kind=phrase.kind, code=code, text=phrase.fixed)
            for code, phrase in self.by_code.items()
            if phrase.fixed is not None
        }

    @cached_property
    def heard(self) -> dict[Audience, frozenset[str]]:
        """The codes each audience may hear."""
        return {
            audience: frozenset(
                code for code, phrase in self.by_code.items() if phrase.audience in others
            )
            for audience, others in HEARS.items()
        }

    @cached_property
    def fallbacks(self) -> frozenset[str]:
        """The codes that are said only where nothing else is."""
        return frozenset(code for code, phrase in self.by_code.items() if phrase.fallback)

    @cached_property
    def tagged(self) -> frozenset[str]:
        """The codes that tell a fact about the customer."""
        return frozenset(code for code, phrase in self.by_code.items() if phrase.tag is not None)

    def text(self, code: str, values: Mapping[str, Value]) -> Text | None:
        """Say the sentence of a code; None where a value it needs is not known."""
        phrase = self.by_code[code]
        if phrase.fixed is not None:
            return phrase.fixed
        if not phrase.placeholders <= values.keys():
            return None
        zh: Mapping[str, Value] = values
        en: Mapping[str, Value] = values
        two = [(name, value) for name, value in values.items() if not isinstance(value, str)]
        if two:
            zh = {**values, **{name: value.zh for name, value in two}}
            en = {**values, **{name: value.en for name, value in two}}
        return Text(zh=phrase.zh.format_map(zh), en=phrase.en.format_map(en))

    def reason(self, code: str, values: Mapping[str, Value] | None = None) -> Reason | None:
        """Make a reason of a code; None where a value it needs is not known."""
        known = self.fixed.get(code)
        if known is not None:
            return known
        text = self.text(code, values or {})
        return None if text is None else Reason(kind=self.by_code[code].kind, code=code, text=text)

    def sort(self, reasons: list[Reason]) -> tuple[Reason, ...]:
        """Put reasons in order of importance."""
        order = self.order
        return tuple(sorted(reasons, key=lambda reason: order[reason.code]))

    def heard_by(
        self,
        audience: Audience,
        reasons: tuple[Reason, ...],
        told: Container[str] = (),
        most: int = 3,
    ) -> tuple[Reason, ...]:
        """Pick what an audience hears: at most `most`, a fallback only where nothing else is.

        ``told`` are the facts (`fact`) that earlier places of the answer told: they are not told
        again where anything else is left to say.
        """
        may_hear, fallbacks = self.heard[audience], self.fallbacks
        heard = [reason for reason in reasons if reason.code in may_hear]
        fresh = [reason for reason in heard if self.fact(reason) not in told]
        new = [reason for reason in fresh if reason.code not in fallbacks] or fresh
        return tuple((new or heard)[:most])

    def fact(self, reason: Reason) -> str | None:
        """The fact about the customer that a reason tells, as text; None where it tells none."""
        return reason.text.zh if reason.code in self.tagged else None


class _PhrasesFile(StrictConfig):
    reasons: dict[str, dict[str, Any]] = Field(min_length=1)


def parse_phrases(raw: Any, where: str) -> Phrases:
    """Read the content of `reasons.yaml`.

    Raises
    ------
    ConfigError
        A missing language, an unknown key, or placeholders that differ between the languages;
        names the file and the code.
    """
    codes = parse_config(raw, _PhrasesFile, where).reasons
    phrases: dict[str, Phrase] = {}
    for code, entry in codes.items():
        place = f"{where}: reason '{code}'"
        phrase = parse_config(entry, Phrase, place)
        zh, en = _read_placeholders(phrase.zh, place), _read_placeholders(phrase.en, place)
        if zh != en:
            raise ConfigError(
                f"{place}: zh names {sorted(zh) or 'no placeholder'}, en {sorted(en) or 'none'}; "
                "both must carry the same ones"
            )
        phrases[code] = phrase
    return Phrases(by_code=phrases)


def _placeholders(sentence: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(sentence) if name is not None)


def _read_placeholders(sentence: str, place: str) -> frozenset[str]:
    try:
        names = _placeholders(sentence)
    except ValueError as error:
        raise ConfigError(f"{place}: a brace is wrong in '{sentence}' ({error})") from None
    if not all(name.isidentifier() for name in names):
        raise ConfigError(f"{place}: a placeholder is a plain word in braces, in '{sentence}'")
    return names
