"""What the customer holds, bears and likes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import narwhals.stable.v2 as nw

from features.catalog import Catalog, Offer
from features.feature import Feature, count, distinct, is_, newest_days, ratio, total, within
from features.spine import MICROSECONDS_A_DAY
from features.tags.book import TagBook
from features.tags.histories_events import products_in, products_named
from features.tags.tag import Tag, band, flag, positive

ANY = ~nw.col("row_id").is_null()
OPEN = nw.col("closed_at").is_null()
CLOSINGS = ("holdings.closed_at",)
AMOUNTS = ("holdings.amount_cny",)
MATURITIES = ("holdings.maturity_at",)


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare what only this group's tags read."""
    return [
        _categories(catalog),
        *_tenors(catalog, book),
        *_risks(catalog),
        *_rates(book),
        *_regular_purchases(),
        *_protection(catalog, book),
        *_cards(book),
    ]


def _categories(catalog: Catalog) -> Feature:
    category: nw.Expr = nw.lit(None)
    for number, name in enumerate(_category_names(catalog)):
        own = OPEN & is_("product", *products_in(catalog, [name]))
        category = nw.when(own).then(nw.lit(number)).otherwise(category)
    return Feature(
        "fact_categories_held", "holdings", "categories", "持有产品大类数",
        "Product categories held", distinct(category), history="holdings", needs=CLOSINGS, empty=0,
    )  # fmt: skip


def _category_names(catalog: Catalog) -> list[str]:
    return list(dict.fromkeys(one.category for one in catalog.offers if one.kind == "product"))


def _tenors(catalog: Catalog, book: TagBook) -> list[Feature]:
    rule = book["tenor_pref"]
    ids = products_in(catalog, rule.strings("categories"))
    tenor: nw.Expr = nw.lit(0)
    for offer in catalog.offers:
        if offer.id in ids and offer.tenor_days is not None:
            tenor = nw.when(is_("product", offer.id)).then(offer.tenor_days).otherwise(tenor)
    lasts = (nw.col("maturity_at") - nw.col("event_time")) / MICROSECONDS_A_DAY
    own = nw.when(nw.col("maturity_at") >= nw.col("event_time")).then(lasts.floor())
    days = nw.coalesce(own, tenor).cast(nw.Int64)
    bought = is_("product", *ids) & within(rule.number("days"))
    fen = (nw.col("amount_cny") * 100).cast(nw.Int64)  # sums of integers are exact
    return [
        Feature(
            f"fact_bought_{name}", "holdings", unit, zh, en, nw.when(bought).then(expr).sum(),
            history="holdings", needs=(*AMOUNTS, *MATURITIES),
        )
        for name, unit, zh, en, expr in (
            ("fen", "CNY/100", "近期买入金额(分)", "Amounts bought lately, in fen", fen),
            ("fen_days", "CNY/100 × days", "近期买入金额(分)×期限(日)",
             "Amounts bought lately, in fen, times their term", fen * days),
        )
    ]  # fmt: skip


def _risks(catalog: Catalog) -> list[Feature]:
    return [
        Feature(
            f"fact_held_r{level}_cny", "holdings", "CNY", f"持有R{level}产品的买入金额",
            f"What open investments of level R{level} were bought for",
            total("amount_cny", OPEN & is_("product", *(one.id for one in offers))),
            history="holdings", needs=(*AMOUNTS, *CLOSINGS), empty=0,
        )
        for level, offers in _rated(catalog).items()
    ]  # fmt: skip


def _rated(catalog: Catalog) -> dict[int, list[Offer]]:
    """Group investments by risk level, the lowest first."""
    rated: dict[int, list[Offer]] = {}
    for offer in catalog.offers:
        if offer.suitability in ("investment", "fund") and offer.risk_level is not None:
            rated.setdefault(offer.risk_level, []).append(offer)
    return dict(sorted(rated.items()))


def _rates(book: TagBook) -> list[Feature]:
    rule = book["rate_sensitive"]
    used = is_("kind", "used") & is_("benefit", *rule.strings("coupons"))
    return [
        Feature(
            "fact_left_maturities", "holdings", "maturities", "到期后转出笔数",
            "Maturities followed by a transfer out", count(ANY), history="left_after_maturity",
            needs=("transactions", *MATURITIES, *AMOUNTS, *CLOSINGS), empty=0,
        ),
        Feature(
            "fact_rate_coupons", "experience", "coupons", "领用利率券次数", "Rate coupons used",
            count(used & within(rule.number("days"))), history="benefits", empty=0,
        ),
    ]  # fmt: skip


def _regular_purchases() -> list[Feature]:
    return [
        Feature(
            "fact_regular_months", "holdings", "months", "同额买入的连续期数",
            "Months in a row of the same purchase", nw.col("months").max(),
            history="regular_purchases", needs=AMOUNTS, empty=0,
        ),
        Feature(
            "fact_regular_cny", "holdings", "CNY", "每次同额买入金额", "Amount of that purchase",
            nw.col("amount_cny").max(), history="regular_purchases", needs=AMOUNTS,
        ),
        Feature(
            "fact_regular_product", "holdings", "product", "同额买入的产品",
            "Product of that purchase", nw.col("product").max(), history="regular_purchases",
            needs=AMOUNTS, low=None, category=True,
        ),
    ]  # fmt: skip


def _protection(catalog: Catalog, book: TagBook) -> list[Feature]:
    rule = book["protection_gap"]
    loans = products_named(catalog, rule.strings("loans"))
    covers = products_in(catalog, rule.strings("categories"))
    in_force = OPEN & (nw.col("maturity_at").is_null() | (nw.col("maturity_at") > nw.col("as_of")))
    return [
        Feature(
            f"fact_{name}_held", "holdings", "holdings", zh, en,
            count(in_force & is_("product", *ids)), history="holdings",
            needs=(*CLOSINGS, *MATURITIES), empty=0,
        )
        for name, zh, en, ids in (
            ("mortgages", "未结清房贷数", "Mortgages in force", loans),
            ("covers", "有效人身险数", "Insurance in force", covers),
        )
    ]  # fmt: skip


def _cards(book: TagBook) -> list[Feature]:
    rose = (nw.col("balance_cny") > nw.col("before_cny")) & within(
        book["card_active"].number("days")
    )
    return [
        Feature(
            "fact_card_rise_days", "asset_size", "days", "距信用卡欠款最近一次上升天数",
            "Days since the card balance last rose", newest_days(rose), history="card_balances",
            needs=("accounts.balance_cny",),
        )
    ]  # fmt: skip


def tags(catalog: Catalog, book: TagBook) -> list[Tag]:
    """Declare the group's tags; what the customer will want next is a model's to say."""
    tenor = ratio(nw.col("fact_bought_fen_days"), nw.col("fact_bought_fen"))
    regular = nw.col("fact_regular_months") >= book["auto_invest"].number("months")
    rise = nw.col("fact_card_rise_days")
    pensions = products_named(catalog, book["pension_account"].strings("products"))
    return [
        Tag(
            "n_products", ("fact_categories_held",), value=positive(nw.col("fact_categories_held"))
        ),
        Tag(
            "tenor_pref",
            ("fact_bought_fen", "fact_bought_fen_days"),
            value=band(tenor, book["tenor_pref"].numbers("edges_days")),
            parts={"tenor_days": tenor},
        ),
        _risk_level(),
        _risk_behaviour_gap(catalog),
        _rate_sensitive(book),
        Tag(
            "auto_invest",
            ("fact_regular_months", "fact_regular_cny", "fact_regular_product"),
            value=flag(regular),
            parts={
                "product": nw.col("fact_regular_product"),
                "amount_cny": nw.col("fact_regular_cny"),
            },
            texts=("product",),
        ),
        Tag(
            "protection_gap",
            ("fact_mortgages_held", "fact_covers_held"),
            value=flag((nw.col("fact_mortgages_held") > 0) & (nw.col("fact_covers_held") == 0)),
        ),
        Tag("card_active", ("fact_card_rise_days",), value=flag(~rise.is_null())),
        Tag(
            "pension_account",
            tuple(f"holds_{one}" for one in pensions),
            value=flag(_sum([nw.col(f"holds_{one}") for one in pensions]) > 0),
        ),
    ]


def _sum(values: Sequence[nw.Expr]) -> nw.Expr:
    return reduce(add, values)


def _valid() -> nw.Expr:
    return nw.col("days_to_assessment_expiry") > 0


def _risk_level() -> Tag:
    days = nw.col("days_to_assessment_expiry")
    return Tag(
        "risk_level",
        ("risk_tolerance", "days_to_assessment_expiry"),
        value=nw.when(_valid()).then(nw.col("risk_tolerance") - 1),
        parts={"date_days": nw.when(_valid()).then(days)},
        ends=days,
    )


def _risk_behaviour_gap(catalog: Catalog) -> Tag:
    held = {level: nw.col(f"fact_held_r{level}_cny") for level in _rated(catalog)}
    mean = ratio(_sum([level * one for level, one in held.items()]), _sum(list(held.values())))
    return Tag(
        "risk_behaviour_gap",
        (
            *(f"fact_held_r{level}_cny" for level in held),
            "risk_tolerance", "days_to_assessment_expiry",
        ),
        value=nw.when(_valid()).then(mean - nw.col("risk_tolerance")),
    )  # fmt: skip


def _rate_sensitive(book: TagBook) -> Tag:
    left, coupons = nw.col("fact_left_maturities"), nw.col("fact_rate_coupons")
    return Tag(
        "rate_sensitive",
        ("fact_left_maturities", "fact_rate_coupons"),
        value=flag(left + coupons >= book["rate_sensitive"].number("times")),
        parts={"maturities": positive(left), "coupons": positive(coupons)},
    )
