"""What the tags of channels read."""

from __future__ import annotations

from collections.abc import Iterable

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.errors import ConfigError
from features.feature import Feature, count, distinct, happened, is_, newest_days, within
from features.spine import MICROSECONDS_A_DAY
from features.tags.book import TagBook, TagSettings
from features.tags.migratable import done_in_app
from features.tags.parts import channels_named

DAY_HOURS = 24
SLOT_HOURS = (1, 2, 3, 4, 6, 8, 12)
RESPONDED = ~nw.col("responded_at").is_null()
DELIVERED = ~nw.col("delivered_at").is_null()


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare the facts of the group."""
    return [
        *_business(catalog, book),
        *_reached(catalog, book),
        *_answers(catalog, book),
        *_hours(catalog, book["best_hour"]),
        *_visits(),
        *_obstacles(catalog, book),
        *_scores(catalog),
    ]


def named(code: str, keys: Iterable[str]) -> dict[str, str]:
    """Name the columns of a fact that is told by channel: channel id → column."""
    return {key: f"fact_{code}_{key}" for key in keys}


def ids(catalog: Catalog, mode: str) -> tuple[str, ...]:
    """Channels of a mode where business can be handled."""
    return tuple(one.id for one in catalog.channels if one.mode == mode and "handle" in one.roles)


def _business(catalog: Catalog, book: TagBook) -> list[Feature]:
    main, completion = book["main_channel"], book["completion_by_channel"]
    done = nw.col("done_us") <= round(completion.number("completion_days") * MICROSECONDS_A_DAY)
    known = within(completion.number("days")) & (
        done | (nw.col("age_us") > round(completion.number("settle_days") * MICROSECONDS_A_DAY))
    )
    declared = []
    for channel in catalog.channels:
        own = is_("channel", channel.id)
        zh, en = channel.names.zh, channel.names.en
        declared += [
            Feature(
                f"fact_done_{channel.id}", "channel_history", "transactions", f"{zh}办成笔数",
                f"Business done at {en}",
                count(own & is_("kind", *main.strings("kinds")) & within(main.number("days"))),
                history="interactions", needs=("interactions.kind",), empty=0,
            ),
            Feature(
                f"fact_begun_{channel.id}", "channel_history", "applications", f"{zh}发起申请数",
                f"Applications begun at {en}", count(own & known), history="applications",
                needs=("interactions.kind", "interactions.product"), empty=0,
            ),
            Feature(
                f"fact_completed_{channel.id}", "channel_history", "applications",
                f"{zh}发起并办成数", f"Applications begun at {en} and completed",
                count(own & known & done), history="applications",
                needs=("interactions.kind", "interactions.product"), empty=0,
            ),
        ]  # fmt: skip
    return declared


def _reached(catalog: Catalog, book: TagBook) -> list[Feature]:
    wecom = channels_named(catalog, book["wecom_active"], "channels")
    reached = channels_named(catalog, book["reachable"], "channels")
    return [
        Feature(
            name, "channel_history", "yes or no", f"可触达:{channel}", f"Reached over {channel}",
            happened(is_("channel", channel) & nw.col("reachable")), history="reachability",
            empty=0, high=1,
        )
        for channel, name in named("reachable", reached).items()
    ] + [
        Feature(
            "fact_wecom_added", "channel_history", "yes or no", "已添加企微", "WeCom added",
            happened(is_("channel", *wecom) & nw.col("reachable")), history="reachability",
            empty=0, high=1,
        ),
        Feature(
            "fact_wecom_reply_days", "channel_history", "days", "距上次企微回复天数",
            "Days since the last answer over WeCom",
            nw.when(is_("channel", *wecom))
            .then(nw.col("as_of") - nw.col("responded_at"))
            .min() / MICROSECONDS_A_DAY,
            history="contacts", needs=("contacts.responded_at",),
        ),
    ]  # fmt: skip


def _answers(catalog: Catalog, book: TagBook) -> list[Feature]:
    calls, clicks = book["call_answer_rate"], book["click_rate"]
    marketing = nw.col("purpose").is_null() | (nw.col("purpose") == "marketing")
    tired = marketing & within(book["fatigue"].number("days"))
    declared = [
        Feature(
            "fact_marketing_contacts", "channel_history", "contacts", "营销触达次数",
            "Marketing contacts", count(tired), history="contacts", empty=0,
        ),
        Feature(
            "fact_marketing_responses", "channel_history", "contacts", "营销触达响应次数",
            "Marketing contacts answered", count(tired & RESPONDED), history="contacts",
            needs=("contacts.responded_at",), empty=0,
        ),
    ]  # fmt: skip
    for what, settings, condition, needs in (
        ("called", calls, None, ()),
        ("answered", calls, DELIVERED, ("contacts.delivered_at",)),
        ("delivered", clicks, DELIVERED, ("contacts.delivered_at",)),
        ("clicked", clicks, DELIVERED & RESPONDED,
         ("contacts.delivered_at", "contacts.responded_at")),
    ):  # fmt: skip
        for channel, name in named(what, channels_named(catalog, settings, "channels")).items():
            own = is_("channel", channel) & within(settings.number("days"))
            declared.append(
                Feature(
                    name, "channel_history", "contacts", f"{what}:{channel}",
                    f"Contacts {what} over {channel}",
                    count(own if condition is None else own & condition), history="contacts",
                    needs=needs, empty=0,
                )
            )  # fmt: skip
    return declared


def slots(settings: TagSettings) -> dict[str, str]:
    """Name the parts of the day in which answers are counted: hours as written → column."""
    hours = settings.number("slot_hours")
    if hours not in SLOT_HOURS:
        raise ConfigError(
            f"tag '{settings.names.zh}': slot_hours is {hours:g}; give hours that divide a day: "
            f"{', '.join(map(str, SLOT_HOURS))}"
        )
    starts = range(0, DAY_HOURS, round(hours))
    return {
        f"{start:02d}:00–{start + round(hours):02d}:00": f"fact_answers_from_{start}"
        for start in starts
    }


def _hours(catalog: Catalog, settings: TagSettings) -> list[Feature]:
    calls, messages = (channels_named(catalog, settings, name) for name in ("calls", "messages"))
    # a call is answered when it gets through, a message when it is clicked
    clicked = nw.when(is_("channel", *messages)).then(nw.col("responded_at"))
    answered = nw.when(is_("channel", *calls)).then(nw.col("delivered_at")).otherwise(clicked)
    clock = (answered + nw.col("utc_offset_us")) % MICROSECONDS_A_DAY
    lately = nw.col("as_of") - answered <= round(settings.number("days") * MICROSECONDS_A_DAY)
    width = round(settings.number("slot_hours") * MICROSECONDS_A_DAY / DAY_HOURS)
    return [
        Feature(
            name, "channel_history", "answers", f"{hours}接通或点击次数", f"Answers at {hours}",
            count(lately & (clock >= number * width) & (clock < (number + 1) * width)),
            history="contacts", needs=("contacts.delivered_at", "contacts.responded_at"), empty=0,
        )
        for number, (hours, name) in enumerate(slots(settings).items())
    ]  # fmt: skip


def _visits() -> list[Feature]:
    favourite = nw.col("outlet_days") == nw.col("most_days")
    needs = ("interactions.kind", "interactions.org_id")
    return [
        Feature(
            "fact_visit_days", "channel_history", "days", "到店天数", "Days at an outlet",
            distinct(nw.col("day")), history="outlet_visits", needs=needs, empty=0,
        ),
        Feature(
            "fact_outlet_days", "channel_history", "days", "常去网点到店天数",
            "Days at the favourite outlet", nw.col("outlet_days").max(), history="outlet_visits",
            needs=needs,
        ),
        Feature(
            "fact_outlet", "channel_history", "id", "常去网点", "Favourite outlet",
            nw.when(favourite).then(nw.col("org_id")).max(), history="outlet_visits",
            needs=needs, low=None, category=True,
        ),
    ]  # fmt: skip


def _obstacles(catalog: Catalog, book: TagBook) -> list[Feature]:
    barrier, jumps, counter = (
        book[code] for code in ("online_barrier", "cross_jumps", "migratable_counter")
    )
    online = tuple(one.id for one in catalog.channels if one.mode == "online")
    recent = within(barrier.number("days"))
    help_us = round(barrier.number("help_hours") * MICROSECONDS_A_DAY / DAY_HOURS)
    soon = nw.col("age_before_us") - nw.col("age_us") <= help_us
    jumped = (nw.col("channel") != nw.col("came_from")) & within(jumps.number("days"))
    before = nw.col("age_before_us") <= round(jumps.number("days") * MICROSECONDS_A_DAY)
    needs = ("interactions.kind", "interactions.error_code")
    return [
        Feature(
            "fact_online_errors", "channel_history", "errors", "线上报错次数", "Errors online",
            count(
                is_("channel", *online)
                & (is_("kind", "error") | ~nw.col("error_code").is_null())
                & recent
            ),
            history="interactions", needs=needs, empty=0,
        ),
        Feature(
            "fact_asked_for_help", "channel_history", "interactions", "线上中途求助次数",
            "Turns from an unfinished step online to a person",
            count((nw.col("was_stuck") == 1) & ~is_("channel", *online) & soon & recent),
            history="next_moves", needs=needs, empty=0,
        ),
        Feature(
            "fact_jumps", "channel_history", "jumps", "跨渠道跳转次数",
            "Steps about a product in another channel than the step before",
            count(jumped & before), history="product_steps",
            needs=("interactions.kind", "interactions.product"), empty=0,
        ),
        Feature(
            "fact_counter_migratable", "channel_history", "transactions", "手机可办的柜面业务笔数",
            "Business done at the counter that the app may do",
            count(
                is_("channel", *channels_named(catalog, counter, "counters"))
                & is_("kind", *counter.strings("kinds"))
                & within(counter.number("days"))
                & done_in_app(catalog, channels_named(catalog, counter, "apps"))
            ),
            history="interactions",
            needs=("interactions.kind", "interactions.product", "interactions.stage"), empty=0,
        ),
    ]  # fmt: skip


def _scores(catalog: Catalog) -> list[Feature]:
    declared = [
        Feature(
            "fact_score_days", "channel_history", "days", "评分天数", "Days since he was scored",
            newest_days(~nw.col("row_id").is_null()), history="top_product_scores",
        ),
        Feature(
            "fact_score_product", "channel_history", "id", "最可能开始的产品",
            "Product he will most likely start", nw.col("product").max(),
            history="top_product_scores", low=None, category=True,
        ),
    ]  # fmt: skip
    for head, channels in (
        ("preference", catalog.handle_ids), ("completion", ids(catalog, "online")),
    ):  # fmt: skip
        declared += [
            Feature(
                name, "channel_history", "probability", f"{head}:{channel}",
                f"Score of {head} at {channel}",
                nw.when(is_("head", head) & is_("channel", channel))
                .then(nw.col("probability"))
                .max(),
                history="top_product_scores", high=1,
            )
            for channel, name in named(f"score_{head}", channels).items()
        ]  # fmt: skip
    return declared
