"""What the customer holds, bears and likes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import reduce
from operator import add, mul

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
        *_starts(catalog),
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


def _starts(catalog: Catalog) -> list[Feature]:
    """Say how probable it is that he starts a product of each category, and its rank from 0."""
    declared = [
        Feature(
            "fact_start_score_days", "holdings", "days", "产品评分天数", "Days since he was scored",
            newest_days(ANY), history="newest_scores",
        )
    ]  # fmt: skip
    names = _category_names(catalog)
    for category in names:
        products = products_in(catalog, [category])
        declared += [
            Feature(
                f"fact_start_{one}", "holdings", "probability", f"开始概率:{one}",
                f"Probability of starting {one}",
                nw.when(is_("head", "start") & is_("product", one))
                .then(nw.col("probability"))
                .max(),
                history="newest_scores", empty=0, high=1,
            )
            for one in products
        ]  # fmt: skip
        none = reduce(mul, (1 - nw.col(f"fact_start_{one}") for one in products))
        declared.append(
            Feature(
                f"fact_starts_{category}", "holdings", "probability", f"开始概率:{category}",
                f"Probability of starting any product of {category}", 1 - none,
                inputs=tuple(f"fact_start_{one}" for one in products), high=1,
            )
        )  # fmt: skip
    columns = [f"fact_starts_{category}" for category in names]
    for place, (category, column) in enumerate(zip(names, columns, strict=True)):
        # of equal ones the first of the catalog stands first
        ahead = [nw.col(other) >= nw.col(column) for other in columns[:place]]
        ahead += [nw.col(other) > nw.col(column) for other in columns[place + 1 :]]
        declared.append(
            Feature(
                f"fact_start_rank_{category}", "holdings", "rank", f"开始概率名次:{category}",
                f"Categories more probable than {category}", _sum([flag(one) for one in ahead]),
                inputs=tuple(columns),
            )
        )  # fmt: skip
    return declared


def _product_pref3(catalog: Catalog, book: TagBook) -> Tag:
    names = _category_names(catalog)
    days = nw.col("fact_start_score_days")
    fresh = days <= book["product_pref3"].number("score_days")

    def placed(category: str, places: Collection[int]) -> nw.Expr:
        rank, p = nw.col(f"fact_start_rank_{category}"), nw.col(f"fact_starts_{category}")
        return fresh & rank.is_in(list(places)) & (p > 0)

    def at(place: int) -> nw.Expr:
        found: nw.Expr = nw.lit(None)
        for category in names:
            found = nw.when(placed(category, [place])).then(nw.lit(category)).otherwise(found)
        return found

    listed = nw.concat_str(*(at(place) for place in range(3)), separator=";", ignore_nulls=True)
    return Tag(
        "product_pref3",
        (
            "fact_start_score_days",
            *(f"fact_{what}_{one}" for what in ("starts", "start_rank") for one in names),
        ),
        value=nw.when(~at(0).is_null()).then(listed),
        parts={
            one: nw.when(placed(one, range(3))).then(nw.col(f"fact_starts_{one}")) for one in names
        },
    )


def tags(catalog: Catalog, book: TagBook) -> list[Tag]:
    """Declare the group's tags."""
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
        _product_pref3(catalog, book),
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
