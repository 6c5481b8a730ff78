"""Which doors the customer uses, and how he answers when we knock."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.feature import Feature, ratio
from features.tags import channel_facts
from features.tags.book import TagBook
from features.tags.channel_facts import ids, named, slots
from features.tags.parts import largest, leader, together, where
from features.tags.tag import Tag, flag, positive


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare what only this group's tags read."""
    return channel_facts.facts(catalog, book)


def tags(catalog: Catalog, book: TagBook) -> list[Tag]:
    """Declare the group's tags."""
    return [
        *_business(catalog),
        *_reached(book),
        *_answers(book),
        *_ways(book),
        *_models(catalog, book),
    ]


def _business(catalog: Catalog) -> list[Tag]:
    done = named("done", catalog.channel_ids)
    begun, completed = named("begun", catalog.channel_ids), named("completed", catalog.channel_ids)
    most = largest(done.values())
    return [
        Tag(
            "main_channel",
            inputs=tuple(done.values()),
            value=leader(done),
            parts={
                "transactions": positive(most),
                "share": positive(ratio(most, together(done.values()))),
            },
        ),
        Tag(
            "completion_by_channel",
            inputs=(*begun.values(), *completed.values()),
            parts={
                channel: ratio(nw.col(completed[channel]), nw.col(begun[channel]))
                for channel in begun
            },
        ),
    ]


def _reached(book: TagBook) -> list[Tag]:
    reached = named("reachable", book["reachable"].strings("channels"))
    replied = nw.col("fact_wecom_reply_days") <= book["wecom_active"].number("days")
    return [
        Tag(
            "reachable",
            inputs=tuple(reached.values()),
            value=positive(together(reached.values())),
            parts={channel: positive(nw.col(name)) for channel, name in reached.items()},
        ),
        Tag(
            "wecom_active",
            inputs=("fact_wecom_added", "fact_wecom_reply_days"),
            value=flag((nw.col("fact_wecom_added") == 1) & replied),
        ),
    ]


def _answers(book: TagBook) -> list[Tag]:
    rates = []
    for code, asked, answered, total in (
        ("call_answer_rate", "called", "answered", "calls"),
        ("click_rate", "delivered", "clicked", "delivered"),
    ):
        channels = book[code].strings("channels")
        of, yes = named(asked, channels), named(answered, channels)
        number = together(of.values())
        enough = number >= book[code].number("minimum")
        rates.append(
            Tag(
                code,
                inputs=(*of.values(), *yes.values()),
                value=nw.when(enough).then(ratio(together(yes.values()), number)),
                parts=where(
                    enough,
                    **{total: number},
                    **{one: ratio(nw.col(yes[one]), nw.col(of[one])) for one in channels},
                ),
            )
        )
    hours = slots(book["best_hour"])
    most = largest(hours.values())
    often = most >= book["best_hour"].number("minimum")
    contacts, responses = nw.col("fact_marketing_contacts"), nw.col("fact_marketing_responses")
    return [
        *rates,
        Tag(
            "best_hour",
            inputs=tuple(hours.values()),
            value=nw.when(often).then(leader(hours)),
            parts=where(often, answers=most, share=ratio(most, together(hours.values()))),
        ),
        Tag(
            "fatigue",
            inputs=("fact_marketing_contacts", "fact_marketing_responses"),
            value=positive(contacts),
            parts={"response_share": ratio(responses, contacts)},
        ),
    ]


def _ways(book: TagBook) -> list[Tag]:
    errors, helps = nw.col("fact_online_errors"), nw.col("fact_asked_for_help")
    return [
        Tag(
            "visits_90",
            inputs=("fact_visit_days", "fact_outlet", "fact_outlet_days"),
            value=positive(nw.col("fact_visit_days")),
            parts={"outlet": nw.col("fact_outlet"), "outlet_days": nw.col("fact_outlet_days")},
            texts=("outlet",),
        ),
        Tag(
            "migratable_counter",
            inputs=("fact_counter_migratable",),
            value=positive(nw.col("fact_counter_migratable")),
        ),
        Tag(
            "online_barrier",
            inputs=("fact_online_errors", "fact_asked_for_help"),
            value=flag(errors + helps >= book["online_barrier"].number("times")),
            parts={"errors": positive(errors), "helps": positive(helps)},
        ),
        Tag("cross_jumps", inputs=("fact_jumps",), value=positive(nw.col("fact_jumps"))),
    ]


def _models(catalog: Catalog, book: TagBook) -> list[Tag]:
    preference = named("score_preference", catalog.handle_ids)
    completion = named("score_completion", ids(catalog, "online"))
    common = ("fact_score_days", "fact_score_product")
    age = nw.col("fact_score_days")
    fresh = age <= book["channel_pref"].number("score_days")
    best = largest(completion.values())
    alone = best >= book["needs_person"].number("completion")
    needs = (age <= book["needs_person"].number("score_days")) & ~alone
    product = nw.col("fact_score_product")
    return [
        Tag(
            "channel_pref",
            inputs=(*common, *preference.values()),
            value=nw.when(fresh).then(leader(preference)),
            parts=where(
                fresh,
                product=product,
                **{channel: nw.col(name) for channel, name in preference.items()},
            ),
            texts=("product",),
        ),
        Tag(
            "needs_person",
            inputs=(*common, *completion.values()),
            value=flag(needs),
            parts=where(needs, product=product, channel=leader(completion), completion=best),
            texts=("product", "channel"),
        ),
    ]
