"""What only tags of life read: birthdays, regular income, where somebody lives, his mortgage."""

from __future__ import annotations

from functools import reduce
from operator import add

import narwhals.stable.v2 as nw

from features.feature import Feature, count, happened, is_, newest_days, total
from features.spine import MICROSECONDS_A_DAY
from features.tags.age import whole_years
from features.tags.book import TagBook

OPEN = nw.col("closed_at").is_null()


def facts(book: TagBook) -> list[Feature]:
    """Declare the facts of the group."""
    return [
        Feature(
            "fact_life_age_years", "life_stage", "years", "周岁", "Age in birthdays",
            whole_years(nw.col("birth_date"), nw.col("as_of_day")).max(), history="attributes",
            needs=("customers.birth_date",), high=130,
        ),
        *_regular_income(book, "payroll", "payroll", "代发", "a salary"),
        *_regular_income(book, "pension_payee", "pension", "养老金", "a pension"),
        Feature(
            "fact_life_outlet_region", "life_stage", "region", "归属机构地区",
            "Region of the home outlet", nw.col("outlet_region").max(), history="home_outlet",
            needs=("customers.org_id", "orgs.region"), category=True,
        ),
        *_moving(),
        *_mortgage(book),
    ]  # fmt: skip


def _regular_income(book: TagBook, code: str, kind: str, zh: str, en: str) -> list[Feature]:
    months = range(int(book[code].number("months")))
    own = is_("kind", kind)
    in_month = (happened(own & (nw.col("months_ago") == number)) for number in months)
    return [
        Feature(
            f"fact_life_{kind}_months", "life_stage", "months", f"有{zh}的月数",
            f"Calendar months that brought {en}", reduce(add, in_month),
            history="dated_transactions", empty=0,
        ),
        Feature(
            f"fact_life_{kind}_cny", "life_stage", "CNY", f"{zh}合计", f"Sum of {en}",
            total("amount_cny", own & (nw.col("months_ago") < len(months))),
            history="dated_transactions", empty=0,
        ),
    ]  # fmt: skip


def _moving() -> list[Feature]:
    here = nw.when(nw.col("region") == nw.col("region_now")).then(nw.col("valid_from")).min()
    needs = ("customers.region", "customers.valid_from")
    return [
        Feature(
            "fact_life_days_in_region", "life_stage", "days", "在现地区天数",
            "Days since the customer was first known to live in his region",
            (nw.col("as_of").max() - here) / MICROSECONDS_A_DAY, history="region_history",
            needs=needs,
        ),
        Feature(
            "fact_life_came_from_elsewhere", "life_stage", "yes or no", "由他地迁入",
            "Whether the customer was known in another region before this one",
            nw.when(nw.col("valid_from").min() < here).then(nw.lit(1)).otherwise(nw.lit(0)),
            history="region_history", needs=needs, high=1,
        ),
    ]  # fmt: skip


def _mortgage(book: TagBook) -> list[Feature]:
    own = is_("product", *book["mortgage_stage"].strings("offers"))
    days_left = (nw.col("maturity_at") - nw.col("as_of")) / MICROSECONDS_A_DAY
    asked = ("interactions.kind", "interactions.product")
    return [
        Feature(
            "fact_life_mortgages", "holdings", "holdings", "未结清房贷数", "Mortgages running",
            count(own & OPEN), history="holdings", needs=("holdings.closed_at",), empty=0,
        ),
        Feature(
            "fact_life_mortgage_days_left", "holdings", "days", "房贷剩余天数",
            "Days until the last mortgage is paid off",
            nw.when(own & OPEN).then(days_left).max(), history="holdings",
            needs=("holdings.closed_at", "holdings.maturity_at"), low=None,
        ),
        Feature(
            "fact_life_mortgage_step_days", "activity", "days", "距房贷申请或进件天数",
            "Days since a mortgage was applied for or taken a step further",
            newest_days(own & is_("kind", "apply", "step")), history="interactions", needs=asked,
        ),
        Feature(
            "fact_life_mortgage_end_days", "activity", "days", "距房贷申请办结或放弃天数",
            "Days since an application for a mortgage was completed or given up",
            newest_days(own & is_("kind", "complete", "abandon")), history="interactions",
            needs=asked,
        ),
    ]  # fmt: skip
