"""What the tables say of each stage at each channel: against counts made by hand."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from features.errors import SourceError
from features.sources import open_source
from serving.config import CATALOGS
from serving.decide.rulebook import load_rulebook
from serving.decide.scorecard import Scorecard
from serving.scorecard.evidence import Sums, gather, segment_sql

SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
CLOCK = datetime(2026, 7, 1, tzinfo=UTC)

CUSTOMERS = """customer_id,birth_date
an,1980-01-01
bo,1950-01-01
cy,
"""
COLUMNS = (
    "customer_id", "event_time", "channel", "kind", "product", "stage",
    "wait_s", "duration_s", "error_code", "available_at",
)  # fmt: skip
INTERACTIONS = f"""{",".join(COLUMNS)}
an,2026-01-10 01:00,mobile_bank,apply,deposit_1y,application,,100,,
an,2026-01-10 01:05,mobile_bank,error,deposit_1y,application,,5,E1,
an,2026-01-12 01:00,teller,complete,deposit_1y,signing,300,600,,
an,2026-02-10 01:00,mobile_bank,apply,deposit_1y,application,,200,,
an,2026-02-10 01:10,mobile_bank,complete,deposit_1y,application,,20,,
bo,2026-01-20 01:00,mobile_bank,apply,fund_r3,application,,50,,
bo,2026-01-21 01:00,mobile_bank,abandon,fund_r3,application,,50,,
bo,2026-01-20 01:00,teller,apply,deposit_1y,application,60,400,,
bo,2026-02-25 01:00,teller,complete,deposit_1y,application,60,400,,
cy,2026-02-01 01:00,teller,apply,deposit_1y,application,120,500,,
cy,2026-02-02 01:00,teller,complete,deposit_1y,application,,,,2026-05-01 00:00
cy,2026-02-01 01:00,mobile_bank,apply,fund_r3,application,,70,,
cy,2026-03-15 01:00,mobile_bank,abandon,fund_r3,application,,70,,
cy,2026-03-20 01:00,mobile_bank,apply,fund_r3,application,,70,,
an,2025-12-31 01:00,teller,apply,deposit_1y,application,1,1,,
cy,2026-02-05 01:00,teller,apply,id_update,application,10,20,,
"""
RATINGS = """customer_id,event_time,channel,score,stage,complaint
an,2026-01-10 02:00,mobile_bank,2,application,true
an,2026-02-10 02:00,mobile_bank,5,,false
an,2026-02-10 03:00,mobile_bank,1,signing,true
bo,2026-03-20 01:00,teller,1,application,true
bo,2026-01-20 00:00,teller,1,application,true
"""


@pytest.fixture(scope="module")
def rules():
    return load_rulebook(CATALOGS / "bank")


def open_tables(folder: Path, interactions=INTERACTIONS, ratings=RATINGS):
    lines = ["name: hand", "catalog: bank", "tables:"]
    for name, text in (
        ("customers", CUSTOMERS), ("interactions", interactions), ("ratings", ratings),
    ):  # fmt: skip
        if text:
            (folder / f"{name}.csv").write_text(text, "utf-8")
            lines.append(f"  {name}: from '{{data}}/{name}.csv'")
    yaml = folder / "source.yaml"
    yaml.write_text("\n".join(lines), "utf-8")
    return open_source(yaml, folder, CLOCK)


@pytest.fixture
def evidence(tmp_path, rules):
    return gather(open_tables(tmp_path), rules.scorecard, SINCE, UNTIL, "offer")


def told(evidence, offer, stage, channel):
    sums = evidence.sums[offer, stage, channel]
    return {name: (one.x, one.d) for name, one in sums.items()}


def test_the_counts_are_those_made_by_hand(evidence):
    """An: two journeys, both done; one went to the teller and met an error on the way."""
    app = told(evidence, "deposit_1y", "application", "mobile_bank")
    assert app == {
        "completion": (2, 2), "abandonment": (0, 2), "hand_over": (1, 2), "errors": (1, 2),
        "wait_s": (0, 0), "duration_s": (300, 2), "rating": (7, 2), "complaints": (1, 2),
    }  # fmt: skip
    # Bo completed after 36 days; Cy did, but the bank learned of it in May
    teller = told(evidence, "deposit_1y", "application", "teller")
    assert teller == {
        "completion": (0, 2), "abandonment": (0, 2), "hand_over": (0, 2),
        "wait_s": (180, 2), "duration_s": (900, 2), "rating": (0, 0), "complaints": (0, 0),
    }  # fmt: skip
    # begun after 2 March: its 30 days are not over at the end; Cy gave up after 42
    fund = told(evidence, "fund_r3", "application", "mobile_bank")
    assert (fund["completion"], fund["abandonment"]) == ((0, 2), (1, 2))


def test_where_no_error_is_ever_recorded_none_is_told(evidence):
    (silent,) = (one for one in evidence.lacking if "error_code at" in one)
    assert silent.endswith("(none is recorded there)")
    assert "teller" in silent
    assert "mobile_bank" not in silent


def test_a_service_has_no_application(evidence):
    assert ("id_update", "servicing", "teller") in evidence.sums
    assert ("id_update", "application", "teller") not in evidence.sums


def test_what_became_known_later_counts_later(tmp_path, rules):
    later = datetime(2026, 5, 2, tzinfo=UTC)
    evidence = gather(open_tables(tmp_path), rules.scorecard, SINCE, later, "offer")
    teller = told(evidence, "deposit_1y", "application", "teller")
    assert teller["completion"] == (1, 2)


def test_visits_know_the_segment_and_the_day_in_the_banks_zone(evidence):
    found = {(one.offer, one.channel, one.segment): one for one in evidence.visits}
    # no balances: private banking cannot be ruled out
    assert found["fund_r3", "mobile_bank", "senior"].day == date(2026, 1, 20)
    assert ("deposit_1y", "mobile_bank", "private_banking|others") in found
    assert ("fund_r3", "mobile_bank", "senior|private_banking|others") in found
    assert sum(one.journeys for one in evidence.visits) == 7


def test_offers_of_a_category_go_together(tmp_path, rules):
    evidence = gather(open_tables(tmp_path), rules.scorecard, SINCE, UNTIL, "category")
    assert told(evidence, "deposit", "application", "mobile_bank")["completion"] == (2, 2)
    assert ("fund", "application", "mobile_bank") in evidence.sums


def test_what_the_bank_lacks_is_named_once_and_left_out(tmp_path, rules):
    rows = [line.split(",") for line in INTERACTIONS.strip().splitlines()]
    plain = "\n".join(",".join(row[:6]) for row in rows)
    evidence = gather(open_tables(tmp_path, plain, ""), rules.scorecard, SINCE, UNTIL, "offer")
    assert evidence.lacking == (
        "interactions.error_code (no errors)", "interactions.wait_s (no wait_s)",
        "interactions.duration_s (no duration_s)", "ratings (no rating)",
        "ratings.complaint (no complaints)",
        "balances (no segments by assets: the strictest cell is read)",
    )  # fmt: skip
    sums = evidence.sums["deposit_1y", "application", "mobile_bank"]
    assert set(sums) == {"completion", "abandonment", "hand_over"}


@pytest.mark.parametrize("column", ["kind", "product", "stage"])
def test_without_journeys_there_is_nothing_to_evaluate(column, tmp_path, rules):
    rows = [line.split(",") for line in INTERACTIONS.strip().splitlines()]
    place = rows[0].index(column)
    kept = "\n".join(",".join(row[:place] + row[place + 1 :]) for row in rows)
    unique = "\n".join(dict.fromkeys(kept.splitlines()))
    source = open_tables(tmp_path, unique, "")
    with pytest.raises(SourceError, match=rf"lacks interactions\.{column}"):
        gather(source, rules.scorecard, SINCE, UNTIL, "offer")


def test_segments_in_sql_are_those_of_the_decision(rules):
    young = {"id": "young", "names": {"zh": "y", "en": "y"}, "minimum_age": 18, "maximum_age": 30,
             "minimum_assets_cny": 1000}  # fmt: skip
    raw = rules.scorecard.model_dump()
    card = Scorecard.model_validate(raw | {"segments": (young, *raw["segments"])})
    ages = (None, 0, 17, 18, 30, 31, 64, 65, 130)
    assets = (None, 0.0, 999.99, 1000.0, 5_999_999.99, 6_000_000.0)
    people = list(itertools.product(ages, assets))
    con = duckdb.connect()
    con.execute("create table people (age int, assets_cny double)")
    con.executemany("insert into people values (?, ?)", people)
    found = con.execute(f"select age, assets_cny, {segment_sql(card)} from people").fetchall()  # noqa: S608
    assert len(found) == len(people)
    for age, money, segment in found:
        assert segment == card.segment_of(age, money), (age, money)


def test_three_rows_of_one_customer_are_worth_one():
    """20 customers with 3 rows each that always agree: Wilson's interval of 20, not of 60."""
    twenty = Sums(x=30.0, d=60.0, xx=90.0, xd=90.0, dd=180.0, customers=20)
    assert twenty.worth == pytest.approx(20)
    alone = Sums(x=10.0, d=20.0, xx=10.0, xd=10.0, dd=20.0, customers=20)
    assert twenty.wilson() == pytest.approx(alone.wilson())
    assert alone.wilson() == pytest.approx((0.29930, 0.70070), abs=1e-4)
    everybody = Sums(x=20.0, d=20.0, xx=20.0, xd=20.0, dd=20.0, customers=20)
    assert everybody.wilson() == pytest.approx((0.8389, 1.0), abs=1e-4)
