"""Targets on a bank of a few rows: what counts as started, who may start, what was chosen last."""

from datetime import UTC, datetime

import numpy as np
import pytest

from features.sources import Source, open_source
from features.spine import (
    Spine,
    choices,
    customers_at,
    microseconds,
    moment,
    purchase_events,
)
from training import targets

NOW = datetime(2026, 7, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
CUSTOMERS = ("ann", "bo")
PRODUCTS = ("deposit_3m", "fund_r2", "credit_card")


@pytest.fixture
def bank(tmp_path):
    """A bank with the rows given: `time customer … ` words of one line each; `-` is null."""

    def make(interactions: str = "", holdings: str = "", **settings: str) -> Source:
        tables = {
            "customers": _select("customer_id", "\n".join(CUSTOMERS)),
            "interactions": _select(
                "event_time customer_id channel kind product stage", interactions
            ),
            "holdings": _select("event_time customer_id product amount_cny closed_at", holdings),
        }
        if "balances" in settings:
            names = "event_time customer_id asset_class balance_cny"
            tables["balances"] = _select(names, settings["balances"])
        lines = [f"name: few\ncatalog: bank\n{settings.get('rhythm', '')}\ntables:"]
        lines += [f'  {name}: "{select}"' for name, select in tables.items()]
        path = tmp_path / "source.yaml"
        path.write_text("\n".join(lines), "utf-8")
        return open_source(path, None, NOW)

    return make


def _select(names: str, rows: str) -> str:
    columns = names.split()
    values = [line.split() for line in rows.strip().splitlines()] or [["-"] * len(columns)]
    literals = [[f"'{word}'" if word != "-" else "null::varchar" for word in row] for row in values]
    body = ", ".join(f"({', '.join(row)})" for row in literals)
    where = "" if rows.strip() else " where false"
    return f"select * from (values {body}) t({', '.join(columns)}){where}"  # noqa: S608


def started(spine: Spine) -> dict[str, set[str]]:
    mask = targets.starts(spine, PRODUCTS)
    return _named(spine, mask)


def _named(spine: Spine, mask: np.ndarray) -> dict[str, set[str]]:
    who = spine.arrow()["customer_id"].to_pylist()
    return {one: {PRODUCTS[k] for k in np.flatnonzero(mask[row])} for row, one in enumerate(who)}


def test_a_start_lies_in_the_thirty_days_from_as_of(bank):
    source = bank(
        """2026-03-31T23:59:59.999999 ann teller apply fund_r2 application
           2026-04-01T00:00:00 ann teller apply deposit_3m application
           2026-04-30T23:59:59.999999 bo teller apply fund_r2 application
           2026-05-01T00:00:00 bo teller apply deposit_3m application"""
    )
    assert started(customers_at(source, [APRIL])) == {"ann": {"deposit_3m"}, "bo": {"fund_r2"}}


def test_only_applications_and_purchases_are_starts(bank):
    source = bank(
        """2026-04-02 ann mobile_bank browse fund_r2 inquiry
           2026-04-03 ann mobile_bank inquiry deposit_3m inquiry
           2026-04-04 ann mobile_bank step credit_card interview
           2026-04-05 bo mobile_bank apply - application""",
        "2026-04-20 bo fund_r2 100 -",
    )
    assert started(customers_at(source, [APRIL])) == {"ann": set(), "bo": {"fund_r2"}}


def test_a_purchase_that_an_application_led_to_is_not_a_second_start(bank):
    source = bank(
        """2026-03-20 ann teller apply fund_r2 application
           2026-01-20 bo teller apply fund_r2 application
           2026-03-20 bo teller apply credit_card application""",
        """2026-04-05 ann fund_r2 100 -
           2026-04-05 bo fund_r2 100 -
           2026-04-05 bo deposit_3m 100 -""",
    )
    # Ann began in March; Bo's application for the fund is older than sixty days
    assert started(customers_at(source, [APRIL])) == {
        "ann": set(), "bo": {"fund_r2", "deposit_3m"},
    }  # fmt: skip


def test_a_purchase_on_the_day_of_its_application_starts_once_in_its_own_month(bank):
    source = bank(
        "2026-04-10T09:00:00 ann teller apply fund_r2 application",
        "2026-04-10T09:00:00 ann fund_r2 100 -",
    )
    april, may = (started(customers_at(source, [at])) for at in (APRIL, APRIL.replace(month=5)))
    assert april["ann"] == {"fund_r2"}
    assert may["ann"] == set()


def test_what_is_held_and_not_repeatable_may_not_be_started(bank):
    source = bank(
        holdings="""2025-01-01 ann credit_card - -
                    2025-01-01 ann fund_r2 100 -
                    2025-01-01 bo credit_card - 2026-03-31
                    2026-04-01 bo deposit_3m 10 -"""
    )
    spine = customers_at(source, [APRIL])
    assert _named(spine, targets.eligible(spine, PRODUCTS)) == {
        "ann": {"deposit_3m", "fund_r2"}, "bo": {"deposit_3m", "fund_r2", "credit_card"},
    }  # fmt: skip
    # a month earlier Bo's card was not closed; at the moment it is opened it is not held yet
    opened = customers_at(source, [datetime(2025, 1, 1, tzinfo=UTC)])
    assert targets.eligible(opened, PRODUCTS).all()
    march = customers_at(source, [datetime(2026, 3, 1, tzinfo=UTC)])
    assert not targets.eligible(march, PRODUCTS)[:, PRODUCTS.index("credit_card")].any()


def test_the_next_event_is_the_one_at_as_of(bank):
    rhythm = "horizon: next_event\nevery: event"
    source = bank(
        "2026-03-01 ann teller visit - -",
        """2026-04-01 ann fund_r2 1 -
           2026-04-01 ann credit_card - -
           2026-04-02 ann deposit_3m 1 -
           2026-04-05 bo fund_r2 1 -""",
        rhythm=rhythm,
    )
    spine = purchase_events(source)
    mask = targets.starts(spine, PRODUCTS)
    assert targets.horizon_us(source) == 0
    found = {
        (row["customer_id"], row["as_of"]): {PRODUCTS[k] for k in np.flatnonzero(mask[n])}
        for n, row in enumerate(spine.arrow().to_pylist())
    }
    day = microseconds(datetime(2026, 4, 2, tzinfo=UTC)) - microseconds(APRIL)
    assert found == {
        ("ann", microseconds(APRIL)): {"fund_r2", "credit_card"},
        ("ann", microseconds(APRIL) + day): {"deposit_3m"},
        ("bo", microseconds(APRIL) + 4 * day): {"fund_r2"},
    }


def test_past_choices_are_strictly_earlier(bank):
    source = bank(
        """2026-04-01 ann teller apply fund_r2 application
           2026-04-02 ann mobile_bank apply deposit_3m application
           2026-05-02 ann teller inquiry fund_r2 inquiry
           2026-05-01 ann wechat_bank login - -
           2026-05-01 ann video browse fund_r2 inquiry
           2026-05-03 bo teller apply fund_r2 application"""
    )
    channels = ("mobile_bank", "wechat_bank", "video", "teller")
    rows = choices(source).arrow()
    last, uses = targets.past_choices(choices(source), channels)
    at = {
        (who, time): row
        for row, (who, time) in enumerate(
            zip(rows["customer_id"].to_pylist(), rows["as_of"].to_pylist(), strict=True)
        )
    }
    may = at["ann", microseconds(datetime(2026, 5, 2, tzinfo=UTC))]
    assert channels[last[may]] == "mobile_bank"  # neither the login nor the view is a choice
    assert uses[may].tolist() == [1, 0, 0, 1]
    bo = at["bo", microseconds(datetime(2026, 5, 3, tzinfo=UTC))]
    assert (last[bo], uses[bo].sum()) == (-1, 0)


def test_journeys_are_done_within_thirty_days_or_not(bank):
    source = bank(
        """2026-04-01 ann teller apply fund_r2 application
           2026-04-10 ann video step fund_r2 signing
           2026-04-20 ann teller complete fund_r2 signing
           2026-03-01 bo teller apply fund_r2 application
           2026-03-31 bo teller complete fund_r2 signing
           2026-04-25 bo teller apply deposit_3m application"""
    )
    end = microseconds(datetime(2026, 5, 15, tzinfo=UTC))
    assert sorted(targets.journeys(source, 0, end)) == [
        # Bo's took exactly thirty days, too long; the one begun on the 25th is not over yet
        ("ann", "fund_r2", "application", "teller", True),
        ("ann", "fund_r2", "signing", "video", True),
        ("bo", "fund_r2", "application", "teller", False),
    ]
    early = microseconds(APRIL)
    assert targets.journeys(source, 0, early) == [("bo", "fund_r2", "application", "teller", False)]


def test_amounts_go_with_the_assets_just_before(bank):
    source = bank(
        holdings="""2026-04-10 ann fund_r2 500 -
                    2026-04-11 bo fund_r2 700 -
                    2026-04-12 bo credit_card - -
                    2026-06-01 bo fund_r2 900 -""",
        balances="""2026-03-01 ann demand 5
                    2026-04-01 ann demand 100
                    2026-04-01 ann fund 50
                    2026-04-10 ann demand 9000""",
    )
    spine = customers_at(source, [datetime(2026, 4, day, tzinfo=UTC) for day in (1, 11, 20)])
    found = targets.purchases(spine)
    assert found.offer == ["fund_r2"] * 3
    assert found.amount_cny.tolist() == [500, 700, 900]
    np.testing.assert_array_equal(found.assets_cny, [150, np.nan, np.nan])
    rows = spine.arrow().select(["customer_id", "as_of"]).to_pylist()
    described = [(rows[row]["customer_id"], moment(rows[row]["as_of"]).day) for row in found.row]
    # the newest row at the purchase or before it, never after it
    assert described == [("ann", 1), ("bo", 11), ("bo", 20)]
    late = customers_at(source, [datetime(2026, 5, 1, tzinfo=UTC)])
    assert targets.purchases(late).row.tolist()[:2] == [-1, -1]


def test_a_set_without_starts_has_purchases_only(insurance_source):
    spine = purchase_events(insurance_source)
    products = insurance_source.catalog.product_ids
    mask = targets.starts(spine, products)
    assert mask.any(axis=1).all()
    assert targets.eligible(spine, products).all()
    assert targets.journeys(insurance_source, 0, 2**62) == []
    assert len(targets.purchases(spine).row) == 0
