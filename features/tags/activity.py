"""How active the customer is."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.errors import ConfigError
from features.feature import Feature, count, distinct, happened, is_, ratio, within
from features.history import YEAR_DAYS
from features.spine import MICROSECONDS_A_DAY
from features.tags.book import TagBook
from features.tags.histories_events import products_named
from features.tags.months import month_number
from features.tags.tag import Tag, band, flag, positive

HOUR_US = MICROSECONDS_A_DAY // 24
UP = 2
"""Index of the word for a rise in `activity_trend`."""


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare what only this group's tags read."""
    del catalog
    return [*_logins(book), *_interactions(book), *_transactions(book)]


def _logins(book: TagBook) -> list[Feature]:
    app = book["app_days_30"]
    days = nw.when(
        is_("kind", "login") & is_("channel", *app.strings("channels")) & within(app.number("days"))
    ).then(nw.col("day"))
    rule = book["mau_streak"]
    monthly = is_("kind", "login") & is_("channel", *rule.strings("channels"))
    back = month_number(nw.col("as_of_day")) - month_number(nw.col("day"))
    months = [
        Feature(
            f"fact_login_{number}m_ago", "activity", "yes or no", f"{number}个月前的自然月有登录",
            f"Whether there was a login in the calendar month {number} months ago",
            happened(monthly & (back == number)), history="interactions",
            needs=("interactions.kind",), empty=0, high=1,
        )
        for number in range(_counted_months(book))
    ]  # fmt: skip
    return [
        Feature(
            "fact_login_days", "activity", "days", "近期手机银行登录天数",
            "Days with a login to the mobile bank lately", distinct(days), history="interactions",
            needs=("interactions.kind",), empty=0,
        ),
        *months,
    ]  # fmt: skip


def _counted_months(book: TagBook) -> int:
    months = round(book["mau_streak"].number("months"))
    # the history goes back a year: of the month a year ago only a part is known
    most = YEAR_DAYS // 30
    if not 1 <= months <= most:
        raise ConfigError(f"tag 'mau_streak': months is {months}; give 1 to {most}")
    return months


def _interactions(book: TagBook) -> list[Feature]:
    trend, night = book["activity_trend"], book["night_share"]
    days, before = trend.number("days"), trend.number("before_days")
    lately = within(night.number("days"))
    at_night = (nw.col("clock_us") >= round(night.number("from_hour") * HOUR_US)) | (
        nw.col("clock_us") < round(night.number("to_hour") * HOUR_US)
    )
    return [
        Feature(
            f"fact_interactions_{name}", "activity", "interactions", f"{zh}交互次数",
            f"Interactions {en}", count(rows), history="interactions", empty=0,
        )
        for name, zh, en, rows in (
            ("now", "近期", "lately", within(days)),
            ("before", "此前", "before those", within(days + before) & ~within(days)),
            ("lately", "夜间占比所看的", "of the window for the night", lately),
            ("at_night", "夜间", "of that window at night", lately & at_night),
        )
    ]  # fmt: skip


def _transactions(book: TagBook) -> list[Feature]:
    active, bills = book["txn_active"], book["bills_active"]
    month_us = round(bills.number("month_days") * MICROSECONDS_A_DAY)
    paid = is_("kind", "bill") & within(bills.number("months") * bills.number("month_days"))
    # a bill exactly one month old is of the first month
    month = ((nw.col("age_us") - 1) / month_us).floor()
    return [
        Feature(
            "fact_own_transactions", "activity", "transactions", "近期主动动账笔数",
            "Transactions of the customer's own lately",
            count(is_("kind", *active.strings("kinds")) & within(active.number("days"))),
            history="transactions", empty=0,
        ),
        Feature(
            "fact_bill_months", "activity", "months", "近期有缴费的月数",
            "Months with a bill lately", distinct(nw.when(paid).then(month)),
            history="transactions", empty=0,
        ),
    ]  # fmt: skip


def tags(catalog: Catalog, book: TagBook) -> list[Tag]:
    """Declare the group's tags."""
    wallets = [f"holds_{one}" for one in _wallets(catalog, book)]
    bound = nw.sum_horizontal(*(nw.col(name) for name in wallets))
    bills = book["bills_active"]
    return [
        Tag(
            "app_days_30",
            ("fact_login_days",),
            value=band(nw.col("fact_login_days"), book["app_days_30"].numbers("edges_days")),
            parts={"days": nw.col("fact_login_days")},
        ),
        _mau_streak(book),
        Tag(
            "days_since_active",
            ("days_since_interaction",),
            value=nw.col("days_since_interaction"),
        ),
        Tag(
            "txn_active",
            ("fact_own_transactions",),
            value=band(nw.col("fact_own_transactions"), book["txn_active"].numbers("edges")),
            parts={"transactions": nw.col("fact_own_transactions")},
        ),
        Tag("wallet_bound", tuple(wallets), value=flag(bound > 0)),
        Tag(
            "bills_active",
            ("fact_bill_months",),
            value=flag(nw.col("fact_bill_months") >= bills.number("at_least_months")),
            parts={"months": nw.col("fact_bill_months")},
        ),
        _activity_trend(book),
        _night_share(book),
    ]


def _wallets(catalog: Catalog, book: TagBook) -> list[str]:
    return products_named(catalog, book["wallet_bound"].strings("products"))


def _mau_streak(book: TagBook) -> Tag:
    names = [f"fact_login_{number}m_ago" for number in range(_counted_months(book))]
    streak: nw.Expr = nw.lit(0)
    for name in reversed(names[1:]):
        streak = nw.col(name) * (streak + 1)
    # a month still without a login does not break what the last one ended with
    return Tag("mau_streak", tuple(names), value=positive(nw.col(names[0]) + streak))


def _activity_trend(book: TagBook) -> Tag:
    rule = book["activity_trend"]
    now, before = nw.col("fact_interactions_now"), nw.col("fact_interactions_before")
    change = ratio(now * rule.number("before_days"), before * rule.number("days"))
    new = nw.when(now > 0).then(nw.lit(UP))
    return Tag(
        "activity_trend",
        ("fact_interactions_now", "fact_interactions_before"),
        value=nw.when(before > 0).then(band(change, rule.numbers("edges"))).otherwise(new),
        parts={"ratio": change},
    )


def _night_share(book: TagBook) -> Tag:
    rule = book["night_share"]
    share = ratio(nw.col("fact_interactions_at_night"), nw.col("fact_interactions_lately"))
    return Tag(
        "night_share",
        ("fact_interactions_at_night", "fact_interactions_lately"),
        value=flag(
            (share >= rule.number("share"))
            & (nw.col("fact_interactions_lately") >= rule.number("at_least"))
        ),
        parts={"share": share},
    )
