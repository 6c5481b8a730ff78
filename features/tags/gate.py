"""What must not be done: the facts behind the vetoes."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.errors import ConfigError, did_you_mean
from features.feature import Feature, count, happened, is_, largest, within
from features.spine import MICROSECONDS_A_DAY
from features.tables import PERSONALISATION, TABLES
from features.tags.age import whole_years
from features.tags.book import TagBook, TagSettings
from features.tags.parts import channels_named, leader, together, where
from features.tags.parts import largest as largest_of
from features.tags.tag import Tag, flag, positive

LIMITS = ("non_counter_limit", "aml_high")
"""Tags that are restrictions and nothing else; their threshold `kinds` says which."""


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare what only this group's tags read."""
    return [
        *_consents(catalog, book),
        *(fact for code in LIMITS for fact in _ends(code, book[code])),
        *(fact for code in (*LIMITS, "minor_limited") for fact in _restrictions(code, book[code])),
        *_overdue(book["overdue"]),
        *_identity(book["kyc_gap"]),
        *_refusals(catalog, book["loan_refused"]),
    ]


def _consents(catalog: Catalog, book: TagBook) -> list[Feature]:
    refused = channels_named(catalog, book["dnc"], "channels")
    said = nw.when(nw.col("allowed")).then(nw.lit(1)).otherwise(nw.lit(0))
    return [
        *(
            Feature(
                f"fact_refuses_{channel}", "channel_history", "yes or no", f"谢绝:{channel}",
                f"Refuses {channel}", happened(is_("channel", channel) & ~nw.col("allowed")),
                history="consents_now", empty=0, high=1,
            )
            for channel in refused
        ),
        *(
            Feature(
                name, "channel_history", "yes or no", f"授权:{channel}", f"Allows {channel}",
                nw.when(is_("channel", channel)).then(said).max(), history="consents_now", high=1,
            )
            for channel, name in _allowed(catalog).items()
        ),
        Feature(
            "fact_refuses_personalisation", "channel_history", "yes or no", "关闭个性化推荐",
            "Refuses personal answers",
            happened(is_("channel", PERSONALISATION) & ~nw.col("allowed")),
            history="consents_now", empty=0, high=1,
        ),
    ]  # fmt: skip


def _allowed(catalog: Catalog) -> dict[str, str]:
    """Name the fact of each channel that reaches customers."""
    return {one.id: f"fact_allows_{one.id}" for one in catalog.channels if "reach" in one.roles}


def _restrictions(code: str, settings: TagSettings) -> list[Feature]:
    _check(settings, "kinds", TABLES["restrictions"].column("kind").allowed)
    kinds = settings.strings("kinds")
    return [
        Feature(
            f"fact_{code}_restrictions", "holdings", "restrictions", "未解除限制数",
            f"Restrictions in force: {', '.join(kinds)}", count(is_("kind", *kinds)),
            history="restrictions_in_force", empty=0,
        ),
    ]  # fmt: skip


def _ends(code: str, settings: TagSettings) -> list[Feature]:
    own = is_("kind", *settings.strings("kinds"))
    return [
        Feature(
            f"fact_{code}_endless", "holdings", "restrictions", "未定到期日的限制数",
            "Restrictions in force without an end", count(own & nw.col("until").is_null()),
            history="restrictions_in_force", empty=0,
        ),
        Feature(
            f"fact_{code}_days_left", "holdings", "days", "限制距到期天数",
            "Days until the last restriction ends",
            nw.when(own).then(nw.col("until") - nw.col("as_of")).max() / MICROSECONDS_A_DAY,
            history="restrictions_in_force",
        ),
    ]  # fmt: skip


def _check(settings: TagSettings, name: str, known: tuple[str, ...]) -> None:
    for word in settings.strings(name):
        if word not in known:
            raise ConfigError(
                f"tag '{settings.names.zh}', threshold '{name}': unknown '{word}'; "
                f"{did_you_mean(word, known)}"
            )


def _overdue(settings: TagSettings) -> list[Feature]:
    needs = ("accounts.overdue_days",)
    return [
        Feature(
            "fact_overdue_now", "asset_size", "days", "当前逾期天数", "Days overdue now",
            largest("overdue_days", ~nw.col("row_id").is_null()), history="accounts", needs=needs,
            empty=0,
        ),
        Feature(
            "fact_overdue_longest", "asset_size", "days", "近12月最长逾期天数",
            "Most days overdue in the window",
            largest("overdue_days", within(settings.number("days"))), history="accounts_past",
            needs=needs, empty=0,
        ),
    ]  # fmt: skip


def _identity(settings: TagSettings) -> list[Feature]:
    _check(settings, "elements", ("gender", "birth_date", "occupation", "region", "income_cny"))
    return [
        Feature(
            f"fact_lacks_{element}", "life_stage", "yes or no", f"缺失:{element}",
            f"{element} is missing", happened(nw.col(element).is_null()), history="attributes",
            needs=(f"customers.{element}",), empty=0, high=1,
        )
        for element in settings.strings("elements")
    ] + [
        Feature(
            "fact_full_years", "life_stage", "years", "周岁", "Age in full years",
            whole_years(nw.col("birth_date"), nw.col("as_of_day")).max(), history="attributes",
            needs=("customers.birth_date",), high=150,
        ),
    ]  # fmt: skip


def _loans(catalog: Catalog, settings: TagSettings) -> dict[str, str]:
    """Name the fact of each offer whose refusal counts."""
    categories = tuple(dict.fromkeys(one.category for one in catalog.offers))
    _check(settings, "categories", categories)
    wanted = settings.strings("categories")
    return {one.id: f"fact_no_{one.id}_left" for one in catalog.offers if one.category in wanted}


def _refusals(catalog: Catalog, settings: TagSettings) -> list[Feature]:
    reason = nw.col("refusal_reason")
    meant = reason.is_null() | reason.is_in(list(settings.strings("reasons")))
    left = settings.number("days") - (nw.col("as_of") - nw.col("refused_at")) / MICROSECONDS_A_DAY
    return [
        Feature(
            name, "channel_history", "days", f"拒绝后剩余天数:{offer}",
            f"Days left of the window after {offer} was refused",
            nw.when(is_("offer", offer) & meant & ~nw.col("refused_at").is_null())
            .then(left)
            .max(),
            history="refusals", needs=("contacts.refused_at", "contacts.refusal_reason"),
            low=None,
        )
        for offer, name in _loans(catalog, settings).items()
    ]  # fmt: skip


def tags(catalog: Catalog, book: TagBook) -> list[Tag]:
    """Declare the group's tags."""
    return [
        *_consent_tags(catalog, book),
        *(_limit(code) for code in LIMITS),
        _overdue_tag(book["overdue"]),
        *_people(book),
        _refused_tag(catalog, book["loan_refused"]),
    ]


def _consent_tags(catalog: Catalog, book: TagBook) -> list[Tag]:
    refused = {one: f"fact_refuses_{one}" for one in book["dnc"].strings("channels")}
    allowed = _allowed(catalog)
    return [
        Tag(
            "dnc",
            inputs=tuple(refused.values()),
            value=flag(together(refused.values()) > 0),
            parts={channel: positive(nw.col(name)) for channel, name in refused.items()},
        ),
        Tag(
            "marketing_consent",
            inputs=tuple(allowed.values()),
            parts={channel: nw.col(name) for channel, name in allowed.items()},
        ),
        Tag(
            "no_personalisation",
            inputs=("fact_refuses_personalisation",),
            value=flag(nw.col("fact_refuses_personalisation") == 1),
        ),
    ]


def _limit(code: str) -> Tag:
    number, endless, left = (
        f"fact_{code}_{name}" for name in ("restrictions", "endless", "days_left")
    )
    return Tag(
        code,
        inputs=(number, endless, left),
        value=flag(nw.col(number) > 0),
        parts=where(nw.col(endless) == 0, days_left=nw.col(left)),
    )


def _overdue_tag(settings: TagSettings) -> Tag:
    now, longest = nw.col("fact_overdue_now"), nw.col("fact_overdue_longest")
    days = settings.number("overdue_days")
    return Tag(
        "overdue",
        inputs=("fact_overdue_now", "fact_overdue_longest"),
        value=flag((now >= days) | (longest >= days)),
        parts={"days_now": positive(now), "days_longest": positive(longest)},
    )


def _people(book: TagBook) -> list[Tag]:
    lacking = {one: f"fact_lacks_{one}" for one in book["kyc_gap"].strings("elements")}
    young = nw.col("fact_full_years") < book["minor_limited"].number("adult_age")
    restricted = nw.col("fact_minor_limited_restrictions")
    return [
        Tag(
            "kyc_gap",
            inputs=tuple(lacking.values()),
            value=flag(together(lacking.values()) > 0),
            parts={element: positive(nw.col(name)) for element, name in lacking.items()},
        ),
        Tag(
            "minor_limited",
            inputs=("fact_full_years", "fact_minor_limited_restrictions"),
            value=flag(young | (restricted > 0)),
            parts={
                **where(young, age_years=nw.col("fact_full_years")),
                "restrictions": positive(restricted),
            },
        ),
    ]


def _refused_tag(catalog: Catalog, settings: TagSettings) -> Tag:
    names = _loans(catalog, settings)
    left = largest_of(names.values())
    refused = left > 0
    return Tag(
        "loan_refused",
        inputs=tuple(names.values()),
        value=flag(refused),
        parts=where(refused, product=leader(names), days_left=left),
        texts=("product",),
    )
