"""Who looks after the customer, and where he belongs."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.feature import Feature, count
from features.spine import MICROSECONDS_A_DAY
from features.tags.book import TagBook
from features.tags.tag import Tag, positive

EVERY_ROW = ~nw.col("row_id").is_null()


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare what only this group's tags read."""
    del catalog, book
    since = (nw.col("as_of") - nw.col("from")).max() / MICROSECONDS_A_DAY
    outlet = ("customers.org_id",)
    return [
        Feature(
            # two who began at the same moment are told apart by id
            "fact_org_manager", "life_stage", "staff id", "管户客户经理", "The newest manager",
            nw.col("staff_id").max(), history="newest_manager", category=True,
        ),
        Feature(
            "fact_org_managed_days", "life_stage", "days", "管户天数", "Days since he took over",
            since, history="newest_manager",
        ),
        Feature(
            "fact_org_managers", "life_stage", "managers", "有效管户人数", "Managers at present",
            count(EVERY_ROW), history="assignments", empty=0,
        ),
        Feature(
            "fact_org_outlet", "life_stage", "outlet id", "归属机构", "The home outlet",
            nw.col("org_id").max(), history="home_outlet", needs=outlet, category=True,
        ),
        Feature(
            "fact_org_outlet_kind", "life_stage", "kind", "机构性质", "Own or agency outlet",
            nw.col("outlet_kind").max(), history="home_outlet", needs=(*outlet, "orgs.kind"),
            category=True,
        ),
        Feature(
            "fact_org_outlet_scope", "life_stage", "categories", "机构业务范围",
            "What the outlet may handle", nw.col("outlet_scope").max(), history="home_outlet",
            needs=(*outlet, "orgs.business_scope"), category=True,
        ),
    ]  # fmt: skip


def tags(catalog: Catalog, book: TagBook) -> list[Tag]:
    """Declare the group's tags."""
    del catalog, book
    return [
        Tag(
            "managed_by",
            inputs=("fact_org_manager", "fact_org_managed_days", "fact_org_managers"),
            value=nw.col("fact_org_manager"),
            parts={
                "date_days": nw.lit(0) - nw.col("fact_org_managed_days"),
                "others": positive(nw.col("fact_org_managers") - 1),
            },
        ),
        Tag(
            "home_branch",
            inputs=("fact_org_outlet", "fact_org_outlet_kind", "fact_org_outlet_scope"),
            value=nw.col("fact_org_outlet"),
            parts={
                "kind": nw.col("fact_org_outlet_kind"),
                "business_scope": nw.col("fact_org_outlet_scope"),
            },
            texts=("kind", "business_scope"),
        ),
    ]
