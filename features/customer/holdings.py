"""Holdings: what the customer has and had, and what matures."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog, Offer
from features.customer import holding_history
from features.feature import Feature, count, days_until, distinct, is_, newest_days, total, within
from features.spine import MICROSECONDS_A_DAY

ANY = ~nw.col("row_id").is_null()
OPEN = nw.col("closed_at").is_null()
"""Not closed as known at as_of (a later closing is masked by the history)."""
LONG_TENOR_DAYS = 5 * 365
"""What runs longer is nearly always still held, so that bought ever would be held now again."""

MATURING = OPEN & (nw.col("maturity_at") >= nw.col("as_of"))


def features(catalog: Catalog) -> list[Feature]:
    """Declare the group over the catalog's products."""
    return [
        *_breadth(),
        *_turnover(),
        *holding_history.features(catalog),
        *_products(catalog),
        *_maturities(),
        *_risk(),
    ]


def _breadth() -> list[Feature]:
    return [
        Feature(
            "products_held", "holdings", "products", "持有产品数", "Different products held",
            distinct(nw.when(OPEN).then(nw.col("product"))), history="holdings", empty=0,
        ),
        Feature(
            "purchases_ever", "holdings", "purchases", "累计购买次数", "Purchases ever",
            count(ANY), history="holdings", empty=0,
        ),
        Feature(
            "days_since_purchase", "holdings", "days", "距上次购买天数",
            "Days since the last purchase",
            newest_days(ANY), history="holdings",
        ),
    ]  # fmt: skip


def _turnover() -> list[Feature]:
    closed_us = nw.col("as_of") - nw.col("closed_at")
    bought = [
        Feature(
            f"purchases_{days}d", "holdings", "purchases", f"{days}日购买次数",
            f"Purchases of {days} days", count(within(days)), history="holdings", empty=0,
        )
        for days in (30, 90, 180, 365)
    ]  # fmt: skip
    closed = [
        Feature(
            f"closed_{days}d", "holdings", "products", f"{days}日结清产品数",
            f"Products closed within {days} days", count(closed_us <= days * MICROSECONDS_A_DAY),
            history="holdings", needs=("holdings.closed_at",), empty=0,
        )
        for days in (30, 90, 180, 365)
    ]  # fmt: skip
    return [
        *bought,
        *closed,
        Feature(
            "days_since_closing", "holdings", "days", "距上次结清天数",
            "Days since a holding was last closed", closed_us.min() / MICROSECONDS_A_DAY,
            history="holdings", needs=("holdings.closed_at",),
        ),
    ]  # fmt: skip


def _products(catalog: Catalog) -> list[Feature]:
    declared: list[Feature] = []
    for offer in catalog.offers:
        if offer.kind != "product":
            continue
        zh, en = offer.names.zh, offer.names.en
        own = is_("product", offer.id)
        declared += [
            Feature(
                f"holds_{offer.id}", "holdings", "holdings", f"持有{zh}份数", f"{en} held",
                count(own & OPEN), history="holdings",
                # without closings a repeatable product is held as often as it was bought
                needs=("holdings.closed_at",) if offer.repeatable else (), empty=0,
            ),
            Feature(
                f"days_since_{offer.id}_purchase", "holdings", "days", f"距上次购买{zh}天数",
                f"Days since {en} was last bought", newest_days(own), history="holdings",
            ),
            *_purchases(offer),
        ]  # fmt: skip
    return declared


def _purchases(offer: Offer) -> list[Feature]:
    """How often a product was bought, where that tells more than how many are held."""
    zh, en, own = offer.names.zh, offer.names.en, is_("product", offer.id)
    if not offer.repeatable:
        # bought ever and held now are one and the same unless it can be closed and re-opened
        return []
    if offer.tenor_days is not None and offer.tenor_days > LONG_TENOR_DAYS:
        return [
            Feature(
                f"purchases_{offer.id}_365d", "holdings", "purchases", f"一年内购买{zh}次数",
                f"{en} bought within a year", count(own & within(365)), history="holdings",
                empty=0,
            )
        ]  # fmt: skip
    return [
        Feature(
            f"purchases_{offer.id}", "holdings", "purchases", f"累计购买{zh}次数",
            f"{en} ever bought", count(own), history="holdings", empty=0,
        )
    ]  # fmt: skip


def _maturities() -> list[Feature]:
    needs = ("holdings.maturity_at",)
    windows = [
        Feature(
            f"maturing_{days}d_cny", "holdings", "CNY", f"{days}日内到期金额",
            f"Amount maturing within {days} days",
            total(
                "amount_cny",
                MATURING & (nw.col("maturity_at") - nw.col("as_of") <= days * MICROSECONDS_A_DAY),
            ),
            history="holdings", needs=(*needs, "holdings.amount_cny"), empty=0,
        )
        for days in (7, 30)
    ]  # fmt: skip
    return [
        Feature(
            "days_to_maturity", "holdings", "days", "距下一到期天数", "Days to the next maturity",
            days_until("maturity_at", MATURING), history="holdings", needs=needs,
        ),
        *windows,
        Feature(
            "matured_30d_cny", "holdings", "CNY", "30日内已到期金额",
            "Amount that matured in 30 days",
            total(
                "amount_cny",
                (nw.col("maturity_at") < nw.col("as_of"))
                & (nw.col("as_of") - nw.col("maturity_at") <= 30 * MICROSECONDS_A_DAY),
            ),
            history="holdings", needs=(*needs, "holdings.amount_cny"), empty=0,
        ),
    ]  # fmt: skip


def _risk() -> list[Feature]:
    level = nw.lit(None)
    for number in range(1, 6):
        level = nw.when(is_("level", f"C{number}")).then(nw.lit(number)).otherwise(level)
    return [
        Feature(
            "risk_tolerance", "holdings", "level", "风险承受能力",
            "Risk tolerance, C1 = 1 to C5 = 5",
            level.max(), history="risk_assessment", low=1, high=5,
        ),
        Feature(
            "days_to_assessment_expiry", "holdings", "days", "距风险测评到期天数",
            "Days until the risk assessment expires (negative: expired)",
            (nw.col("expires_at") - nw.col("as_of")).max() / MICROSECONDS_A_DAY,
            history="risk_assessment", low=None,
        ),
    ]  # fmt: skip
