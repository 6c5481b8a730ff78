"""Age, work and family."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.feature import Feature, ratio
from features.tags import life_facts
from features.tags.book import TagBook
from features.tags.parts import where
from features.tags.tag import Tag, band, flag


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare what only this group's tags read."""
    del catalog
    return life_facts.facts(book)


def tags(catalog: Catalog, book: TagBook) -> list[Tag]:
    """Declare the group's tags."""
    del catalog
    return [
        *_ages(book),
        _regular_income(book, "payroll", "payroll"),
        _regular_income(book, "pension_payee", "pension"),
        Tag(
            "self_employed",
            inputs=("occupation",),
            value=flag(nw.col("occupation").is_in(book["self_employed"].strings("occupations"))),
        ),
        _county_rural(book),
        _new_citizen(book),
        _mortgage_stage(book),
    ]


def _ages(book: TagBook) -> list[Tag]:
    years, inputs = nw.col("fact_life_age_years"), ("fact_life_age_years",)
    return [
        Tag("age_band", inputs, value=band(years, book["age_band"].numbers("edges_years"))),
        *(
            Tag(code, inputs, value=flag(years >= book[code].number("years")))
            for code in ("senior_65", "senior_care_60")
        ),
    ]


def _regular_income(book: TagBook, code: str, kind: str) -> Tag:
    months, received = nw.col(f"fact_life_{kind}_months"), nw.col(f"fact_life_{kind}_cny")
    regular = months >= book[code].number("months_needed")
    return Tag(
        code,
        inputs=(f"fact_life_{kind}_months", f"fact_life_{kind}_cny"),
        value=flag(regular),
        parts=where(regular, months=months, monthly_cny=ratio(received, months)),
    )


def _county_rural(book: TagBook) -> Tag:
    rule = book["county_rural"]
    regions = rule.strings("regions")
    return Tag(
        "county_rural",
        inputs=("fact_life_outlet_region", "region", "occupation"),
        value=flag(
            nw.col("fact_life_outlet_region").is_in(regions)
            | nw.col("region").is_in(regions)
            | nw.col("occupation").is_in(rule.strings("occupations"))
        ),
    )


def _new_citizen(book: TagBook) -> Tag:
    days = nw.col("fact_life_days_in_region")
    new = (nw.col("fact_life_came_from_elsewhere") == 1) & (
        days <= book["new_citizen"].number("days")
    )
    return Tag(
        "new_citizen",
        inputs=("fact_life_days_in_region", "fact_life_came_from_elsewhere"),
        value=flag(new),
        parts=where(new, date_days=nw.lit(0) - days),
    )


def _mortgage_stage(book: TagBook) -> Tag:
    rule = book["mortgage_stage"]
    step, end = nw.col("fact_life_mortgage_step_days"), nw.col("fact_life_mortgage_end_days")
    under_way = (step <= rule.number("application_days")) & (end.is_null() | (end > step))
    repaying = nw.col("fact_life_mortgages") > 0
    left = nw.col("fact_life_mortgage_days_left")
    applying = nw.when(under_way).then(nw.lit(1)).otherwise(nw.lit(0))
    return Tag(
        "mortgage_stage",
        inputs=(
            "fact_life_mortgages",
            "fact_life_mortgage_days_left",
            "fact_life_mortgage_step_days",
            "fact_life_mortgage_end_days",
        ),
        # a mortgage that runs says more than a further one asked for
        value=nw.when(repaying & (left <= rule.number("nearly_paid_days")))
        .then(nw.lit(3))
        .otherwise(nw.when(repaying).then(nw.lit(2)).otherwise(applying)),
        parts=where(repaying, date_days=left),
    )
