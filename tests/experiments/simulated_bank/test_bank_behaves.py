"""The bank is plausible: who uses which door, money that arrives and matures."""

from __future__ import annotations

import numpy as np
import pytest

from features.catalog import MODES

ONLINE, PERSON = 0, ("video", "wecom", "remote_agent", "teller", "lobby_manager",
                     "relationship_manager", "wealth_manager", "loan_manager")  # fmt: skip


@pytest.fixture(scope="module")
def applications(lived):
    """All applications: customer, product and handle position, age, done."""
    world, months = lived
    parameters = world.parameters
    parts = []
    for month in months:
        age = world.people.age(parameters.timeline.year(month.month))
        journeys = month.journeys
        parts.append(
            (
                journeys.customer,
                journeys.product,
                journeys.handle,
                age[journeys.customer],
                journeys.done,
            )
        )
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def test_the_old_use_branches_and_the_young_the_app(lived, applications):
    world, _ = lived
    _, _, handle, age, _ = applications
    mode = world.parameters.handle_mode[handle]
    offline, online = MODES.index("offline"), MODES.index("online")
    assert (mode[age >= 65] == offline).mean() > 0.6
    assert (mode[age < 35] == online).mean() > 0.6
    assert (mode[age >= 65] == offline).mean() > 2 * (mode[age < 35] == offline).mean()


@pytest.mark.parametrize(
    "product", ["mortgage", "fund_r4", "annuity_insurance", "cd_3y", "consumer_loan"]
)
def test_complex_products_need_a_person(lived, applications, product):
    world, _ = lived
    parameters = world.parameters
    _, products, handle, _, _ = applications
    rows = products == parameters.position(product)
    persons = [parameters.handle(name) for name in PERSON]
    assert rows.sum() > 50
    assert np.isin(handle[rows], persons).mean() > 0.7
    simple = products == parameters.position("mobile_payment")
    assert np.isin(handle[simple], persons).mean() < 0.45


def test_habit_makes_customers_come_back_where_they_were(lived, applications):
    customer, _, handle, _, _ = applications
    order = np.argsort(customer, kind="stable")
    same = customer[order][1:] == customer[order][:-1]
    repeated = (handle[order][1:] == handle[order][:-1])[same].mean()
    by_chance = (np.bincount(handle) / len(handle)) @ (np.bincount(handle) / len(handle))
    assert repeated > by_chance + 0.15


def test_level_and_every_product_can_be_learnt(lived, applications):
    world, months = lived
    parameters = world.parameters
    customer_months = sum(int((world.people.join_month <= month.month).sum()) for month in months)
    products = applications[1]
    counts = np.bincount(products, minlength=len(parameters.products))
    sold = parameters.is_product
    assert 0.15 < counts[sold].sum() / customer_months < 0.36
    # 250 starts in 18 months of 20,000 customers, scaled to 6,000 customers and 30 months; five
    # standard deviations of a Poisson count allow for the luck of one seed.
    enough = 250 * 30 / 18 * 6_000 / 20_000
    rare = [parameters.position("mortgage")]
    least = np.delete(counts, rare)[np.delete(sold, rare)].min()
    assert least > enough - 5 * np.sqrt(enough)


def test_salaries_arrive_monthly_for_those_who_have_them_here(bank):
    due, paid = bank.execute(
        """with held as (
               select customer_id, m.month from holdings, (select unnest(range(
                   timestamp '2024-02-01', timestamp '2026-06-01', interval 1 month)) as month) m
               where product = 'payroll_account' and event_time < m.month - interval 40 day
                 and (closed_at is null or closed_at > m.month + interval 40 day)),
           arrived as (select distinct customer_id, date_trunc('month', event_time) as month
                       from transactions where kind = 'payroll' and direction = 'in')
           select count(*), count(arrived.month) from held left join arrived
           using (customer_id, month)"""
    ).fetchone()
    assert due > 1_000
    assert paid / due > 0.98


def test_what_matures_closes_and_comes_again_more_often(bank):
    open_after = bank.execute(
        """select count(*) from holdings where maturity_at < '2026-06-30' and closed_at is null"""
    ).fetchone()[0]
    assert open_after == 0
    after, otherwise = bank.execute(
        """with due as (select customer_id, maturity_at from holdings
                        where product in ('deposit_3m', 'deposit_1y') and amount_cny >= 10000
                          and maturity_at between '2024-02-01' and '2026-05-25'),
           again as (select due.customer_id,
               max((a.event_time between maturity_at and maturity_at + interval 10 day)::int) soon,
               max((a.event_time between maturity_at - interval 40 day
                    and maturity_at - interval 30 day)::int) before
               from due left join interactions a on a.customer_id = due.customer_id
                   and a.kind = 'apply' and a.product in ('deposit_3m', 'deposit_1y')
               group by due.customer_id, maturity_at)
           select avg(coalesce(soon, 0)), avg(coalesce(before, 0)) from again"""
    ).fetchone()
    assert after > 0.10
    assert after > 2 * otherwise


def test_maturities_fall_on_business_days(bank):
    weekend = bank.execute(
        """select count(*) from holdings
           where isodow(maturity_at + interval 8 hour) > 5"""
    ).fetchone()[0]
    assert weekend == 0


def test_deposits_fall_due_on_the_friday_of_the_demonstration(lived):
    """Some dozens in 20,000 customers: at least six of the 6,000 here."""
    world, _ = lived
    book = world.state.book
    deposits = [world.parameters.position(name) for name in ("deposit_3m", "deposit_1y", "cd_3y")]
    local_day = world.parameters.timeline.local_day(book.maturity)
    friday = int(np.datetime64("2026-07-03").astype(int))
    rows = book.is_open & np.isin(book.product, deposits) & (local_day == friday)
    assert (rows & (book.amount >= 50_000)).sum() >= 6


def test_balances_are_never_negative_and_are_written_every_month(bank):
    negative, months = bank.execute(
        """select sum((balance_cny < 0)::int), count(distinct event_time) from balances"""
    ).fetchone()
    assert (negative, months) == (0, 30)


def test_investments_come_with_a_valid_assessment(bank):
    unassessed = bank.execute(
        """select count(*) from interactions i where kind = 'complete'
             and product in ('fund_r2', 'fund_r3', 'fund_r4', 'wealth_r2') and not exists (
                select 1 from risk_assessments r where r.customer_id = i.customer_id
                  and r.event_time < i.event_time
                  and r.expires_at > i.event_time - interval 30 day)"""
    ).fetchone()[0]
    assert unassessed == 0
    expired = bank.execute(
        """select avg((last < '2026-06-30')::int) from (
               select max(expires_at) as last from risk_assessments group by customer_id)"""
    ).fetchone()[0]
    assert 0.1 < expired < 0.8


def test_completed_products_are_held(bank):
    missing = bank.execute(
        """select count(*) from interactions i where kind = 'complete'
             and product not in ('risk_assessment_renewal', 'id_update', 'tier_benefit')
             and event_time < '2026-06-20' and not exists (
                select 1 from holdings h where h.customer_id = i.customer_id
                  and h.product = i.product and h.event_time = i.event_time)"""
    ).fetchone()[0]
    assert missing == 0


def test_journeys_go_forward_in_time(bank):
    backwards, journeys = bank.execute(
        """with began as (select session_id, event_time as t from interactions where kind = 'apply')
           select sum((i.event_time <= t)::int), count(distinct session_id)
           from interactions i join began using (session_id)
           where kind in ('error', 'step', 'complete', 'abandon')"""
    ).fetchone()
    assert backwards == 0
    assert journeys > 10_000


def test_branches_are_closed_at_night_and_on_weekends(bank):
    outside = bank.execute(
        """select avg((hour(event_time + interval 8 hour) not between 9 and 18
                       or isodow(event_time + interval 8 hour) > 5)::int)
           from interactions where kind in ('apply', 'step', 'visit')
             and channel in ('teller', 'lobby_manager', 'wealth_manager', 'loan_manager')"""
    ).fetchone()[0]
    # Who joins and applies at once may do so when he joins.
    assert outside < 0.002
