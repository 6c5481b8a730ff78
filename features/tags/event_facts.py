"""What only the tags of events read."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.feature import Feature, count, days_until, is_, largest, newest_days, total, within
from features.spine import MICROSECONDS_A_DAY
from features.tags.book import TagBook
from features.tags.histories_events import products_in, products_named
from features.tags.months import day_of_month

ANY = ~nw.col("row_id").is_null()
OPEN = nw.col("closed_at").is_null()
AMOUNTS = ("holdings.amount_cny", "holdings.closed_at")
MATURITIES = ("holdings.maturity_at", *AMOUNTS)
JOURNEYS = ("interactions.kind", "interactions.product")


def event_facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare the facts in the order of the tags."""
    return [
        *_flows(),
        *_maturities(),
        *_paydays(book),
        *_journeys(),
        *_losses(catalog, book),
        *_credit(catalog, book),
    ]


def _flows() -> list[Feature]:
    declared = []
    for name, history, needs, zh, en in (
        ("large_inflow", "large_inflows", (), "大额入账", "large inflow"),
        ("large_outflow", "large_outflows", ("balances",), "大额转出", "large transfer out"),
    ):
        declared += [
            Feature(
                f"fact_{name}_days", "asset_size", "days", f"距最近{zh}天数",
                f"Days since the newest {en}", newest_days(ANY), history=history, needs=needs,
            ),
            Feature(
                f"fact_{name}_cny", "asset_size", "CNY", f"最近{zh}金额",
                f"Amount of the newest {en}", largest("amount_cny", ANY), history=history,
                needs=needs,
            ),
        ]  # fmt: skip
    return declared


def _maturities() -> list[Feature]:
    first = nw.col("maturity_at") == nw.col("first_at")
    last = nw.col("maturity_at") == nw.col("last_at")
    return [
        Feature(
            "fact_maturing_cny", "holdings", "CNY", "即将到期金额", "Amount that matures soon",
            total("amount_cny", ANY), history="maturing", needs=MATURITIES,
        ),
        Feature(
            "fact_maturing_days", "holdings", "days", "距最早到期天数",
            "Days to the first maturity",
            days_until("maturity_at", ANY), history="maturing", needs=MATURITIES,
        ),
        Feature(
            "fact_maturing_product", "holdings", "product", "最早到期的产品",
            "Product of the first maturity", nw.when(first).then(nw.col("product")).max(),
            history="maturing", needs=MATURITIES, low=None, category=True,
        ),
        Feature(
            "fact_matured_cny", "holdings", "CNY", "近期到期金额", "Amount that matured lately",
            total("amount_cny", ANY), history="matured", needs=MATURITIES,
        ),
        Feature(
            "fact_matured_days", "holdings", "days", "距最后一笔到期天数",
            "Days since the last maturity", nw.col("since_us").min() / MICROSECONDS_A_DAY,
            history="matured", needs=MATURITIES,
        ),
        Feature(
            "fact_matured_product", "holdings", "product", "最后一笔到期的产品",
            "Product of the last maturity", nw.when(last).then(nw.col("product")).max(),
            history="matured", needs=MATURITIES, low=None, category=True,
        ),
        Feature(
            "fact_demand_balance_days", "asset_size", "days", "活期余额距今天数",
            "Days since the newest demand balance", newest_days(is_("asset_class", "demand")),
            history="balances",
        ),
    ]  # fmt: skip


def _paydays(book: TagBook) -> list[Feature]:
    rule = book["payday_window"]
    paid = is_("kind", "payroll")
    local = nw.when(paid).then(nw.col("event_time") + nw.col("utc_offset_us")).max()
    day = (local / MICROSECONDS_A_DAY).floor().cast(nw.Int64)
    return [
        Feature(
            "fact_salary_payments", "life_stage", "payments", "近期代发笔数",
            "Salary payments lately", count(paid & within(rule.number("payments_days"))),
            history="transactions", empty=0,
        ),
        Feature(
            "fact_salary_days", "life_stage", "days", "距最近代发天数",
            "Days since the newest salary", newest_days(paid), history="transactions",
        ),
        Feature(
            "fact_salary_day_of_month", "life_stage", "day of the month", "最近代发日",
            "Day of the month of the newest salary", day_of_month(day), history="transactions",
            low=1, high=31,
        ),
        Feature(
            "fact_payday_distance_days", "life_stage", "days", "距预计代发日天数",
            "Days to the expected payday, where it is near (negative: since it)",
            _distance(round(rule.number("around_days"))), inputs=("fact_salary_day_of_month",),
            low=None,
        ),
    ]  # fmt: skip


def _distance(around: int) -> nw.Expr:
    """Days to the day of the month of the newest salary, or to the end of a month without it."""
    payday = nw.col("fact_salary_day_of_month")
    distance: nw.Expr = nw.lit(None)
    for days in range(around, -around - 1, -1):
        day = nw.col("as_of_day") + days
        short_month = (day_of_month(day + 1) == 1) & (day_of_month(day) < payday)
        due = (day_of_month(day) == payday) | short_month
        distance = nw.when(due).then(nw.lit(days)).otherwise(distance)
    return distance


def _journeys() -> list[Feature]:
    def of(moment: str, column: str) -> nw.Expr:
        return nw.when(nw.col("event_time") == nw.col(moment)).then(nw.col(column)).max()

    texts = [
        Feature(
            f"fact_broken_{name}", "activity", unit, f"断点申请的{zh}",
            f"{en} of the application broken off", expr, history="broken_applications",
            needs=(*JOURNEYS, *needs), low=None, category=True,
        )
        for name, unit, zh, en, expr, needs in (
            ("product", "product", "产品", "Product", nw.col("product").max(), ()),
            ("stage", "stage", "环节", "Last stage", of("stage_at", "stage"),
             ("interactions.stage",)),
            ("error_code", "code", "报错码", "Newest error code", of("error_at", "error_code"),
             ("interactions.error_code",)),
            ("channel", "channel", "渠道", "Last channel", of("last_at", "channel"), ()),
        )
    ]  # fmt: skip
    viewed = nw.col("as_of") - nw.col("nth_at")
    return [
        Feature(
            "fact_broken_days", "activity", "days", "距断点申请进入天数",
            "Days since the application broken off began",
            (nw.col("as_of") - nw.col("began_at")).max() / MICROSECONDS_A_DAY,
            history="broken_applications", needs=JOURNEYS,
        ),
        *texts,
        Feature(
            "fact_repeated_product", "activity", "product", "反复浏览的产品",
            "Product viewed again and again", nw.col("product").max(), history="repeated_views",
            needs=JOURNEYS, low=None, category=True,
        ),
        Feature(
            "fact_repeated_views", "activity", "views", "反复浏览次数", "Views of that product",
            nw.col("views").max(), history="repeated_views", needs=JOURNEYS,
        ),
        Feature(
            "fact_repeated_days", "activity", "days", "距使次数足够的那次浏览天数",
            "Days since the view without which there were too few",
            viewed.max() / MICROSECONDS_A_DAY, history="repeated_views", needs=JOURNEYS,
        ),
    ]  # fmt: skip


def _losses(catalog: Catalog, book: TagBook) -> list[Feature]:
    declared = []
    for category in book["loss_care"].strings("categories"):
        own = OPEN & is_("product", *products_in(catalog, [category]))
        valued = is_("asset_class", category)
        declared += [
            Feature(
                f"fact_{category}_cost_cny", "holdings", "CNY", f"{category}买入金额",
                f"What open holdings of class {category} were bought for",
                total("amount_cny", own), history="holdings", needs=AMOUNTS,
            ),
            Feature(
                f"fact_{category}_bought_days", "holdings", "days", f"距最近买入{category}天数",
                f"Days since an open holding of class {category} was bought", newest_days(own),
                history="holdings", needs=AMOUNTS,
            ),
            Feature(
                f"fact_{category}_balance_days", "asset_size", "days", f"{category}余额距今天数",
                f"Days since the newest balance of class {category}", newest_days(valued),
                history="balances",
            ),
        ]  # fmt: skip
    return declared


def _credit(catalog: Catalog, book: TagBook) -> list[Feature]:
    live = (nw.col("expires_at") > nw.col("as_of")) & (nw.col("limit_cny") > 0)
    limits = [
        Feature(
            f"fact_limit_{offer}_cny", "holdings", "CNY", f"{offer}预授信额度",
            f"Pre-approved limit of {offer}", largest("limit_cny", live & is_("offer", offer)),
            history="credit_offers",
        )
        for offer in credit_offers(catalog)
    ]  # fmt: skip
    plans = is_("product", *products_named(catalog, book["installment_ok"].strings("plans")))
    cards = is_("product", *products_named(catalog, book["card_renew"].strings("products")))
    return [
        *limits,
        Feature(
            "fact_limit_days", "holdings", "days", "距预授信最早到期天数",
            "Days to the first expiry of pre-approved credit",
            days_until("expires_at", live & is_("offer", *credit_offers(catalog))),
            history="credit_offers",
        ),
        Feature(
            "fact_card_balance_days", "asset_size", "days", "信用卡欠款距今天数",
            "Days since the newest card balance", newest_days(is_("kind", "card")),
            history="accounts",
        ),
        Feature(
            "fact_instalments_cny", "holdings", "CNY", "未结清分期的原始金额",
            "Original amounts of open instalment plans", total("amount_cny", OPEN & plans),
            history="holdings", needs=AMOUNTS, empty=0,
        ),
        Feature(
            "fact_card_expiry_days", "holdings", "days", "距信用卡到期天数",
            "Days until an open credit card expires",
            days_until("maturity_at", OPEN & cards & (nw.col("maturity_at") > nw.col("as_of"))),
            history="holdings", needs=("holdings.maturity_at", "holdings.closed_at"),
        ),
    ]  # fmt: skip


def credit_offers(catalog: Catalog) -> list[str]:
    """Ids of the offers that are credit."""
    return [offer.id for offer in catalog.offers if offer.suitability == "credit"]
