"""The log is the truth under what was done; another policy meets the same luck."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, norm

from experiments.simulated_bank import outreach, truth
from experiments.simulated_bank.bank import World, open_world
from experiments.simulated_bank.config import load_simulation
from experiments.simulated_bank.opening import solve_intercepts
from features.errors import ConfigError


def at_month(settings, months: int, customers: int = 3_000, seed: int = 11) -> World:
    world = World(settings, customers, seed)
    for _ in range(months):
        world.advance()
    return world


def outcomes(journeys) -> dict[tuple[int, int], tuple[int, bool]]:
    keys = zip(journeys.customer.tolist(), journeys.product.tolist(), strict=True)
    values = zip(journeys.handle.tolist(), journeys.done.tolist(), strict=True)
    return dict(zip(keys, values, strict=True))


def test_the_log_is_the_truth_under_the_contacts_made(settings):
    world = at_month(settings, 5)
    seen = {}

    def watching(state, network):
        contacts = outreach.as_is(state, network)
        reach, _ = outreach.reach_matrix(state, contacts)
        seen["starts"] = truth.starts(state, reach)
        customer, product = np.nonzero(seen["starts"])
        seen["at"] = {
            handle: truth.completes(state, customer, product, np.full(len(customer), handle))
            for handle in range(len(state.parameters.handles))
        }
        return contacts

    journeys = world.advance(watching).journeys
    customer, product = np.nonzero(seen["starts"])
    np.testing.assert_array_equal(journeys.customer, customer)
    np.testing.assert_array_equal(journeys.product, product)
    potential = np.stack([seen["at"][handle] for handle in sorted(seen["at"])])
    chosen = potential[journeys.handle, np.arange(len(customer))]
    np.testing.assert_array_equal(journeys.done, chosen)
    assert not (potential == journeys.done).all()  # elsewhere some would have ended otherwise


def test_another_policy_meets_the_same_luck(settings):
    as_is, quiet = at_month(settings, 4), at_month(settings, 4)
    done, left = as_is.advance(), quiet.advance(outreach.nobody)
    contacted = set(done.contacts.customer[done.contacts.channel >= 0].tolist())
    spoken_of = set(
        zip(done.contacts.customer.tolist(), done.contacts.product.tolist(), strict=True)
    )
    with_contacts, without = outcomes(done.journeys), outcomes(left.journeys)
    assert {key: value for key, value in with_contacts.items() if key not in spoken_of} == {
        key: value for key, value in without.items() if key not in spoken_of
    }
    assert len(contacted) > 500
    gained, lost = set(with_contacts) - set(without), set(without) - set(with_contacts)
    assert len(gained) > len(lost)
    organic = {
        key for key, flag in zip(with_contacts, done.journeys.organic.tolist(), strict=True) if flag
    }
    assert organic == set(with_contacts) & set(without)


def test_only_who_was_contacted_has_another_next_month(settings):
    as_is, quiet = at_month(settings, 4), at_month(settings, 4)
    contacts = as_is.advance().contacts
    quiet.advance(outreach.nobody)
    same = np.ones(len(as_is.people), dtype=bool)
    same[contacts.customer[contacts.channel >= 0]] = False
    for name in ("need", "demand", "held", "fatigue", "consented", "last_handle"):
        np.testing.assert_array_equal(
            getattr(as_is.state, name)[same], getattr(quiet.state, name)[same], err_msg=name
        )
    assert (as_is.state.fatigue[~same] > quiet.state.fatigue[~same]).any()


def test_fatigue_wears_contacts_out(settings):
    world = at_month(settings, 2)
    who = np.arange(200)
    channel = np.full(200, world.parameters.channel("human_call"))
    before = truth.uplift(world.state, who, channel)
    world.state.fatigue = world.state.fatigue + 1
    lost = before - truth.uplift(world.state, who, channel)
    np.testing.assert_allclose(lost, settings.reaches["human_call"].fatigue)


def test_a_contact_that_does_not_arrive_changes_nothing(settings):
    world = at_month(settings, 1)
    state, push = world.state, world.parameters.channel("push")
    reach = np.full((3_000, len(world.parameters.products)), truth.NO_REACH)
    reach[:, 0] = push
    changed = truth.start_probability(state, reach) != truth.start_probability(state)
    assert not changed[:, 1:].any()
    assert not changed[~state.reachable[:, push]].any()
    assert 0.2 < changed[:, 0].mean() < 0.9


def test_starts_and_completions_have_their_probabilities(settings):
    world = World(settings, 6_000, 5)
    z_starts, z_done = [], []
    for _ in range(4):
        seen = {}

        def watching(state, network, seen=seen):
            contacts = outreach.as_is(state, network)
            reach, _ = outreach.reach_matrix(state, contacts)
            seen["p"] = truth.start_probability(state, reach)
            started = truth.starts(state, reach)
            customer, product = np.nonzero(started)
            amount = None
            handle = truth.chosen_channels(state, customer, product, amount)
            seen["q"] = truth.completion_probability(state, customer, product, handle)
            seen["n"] = started.sum(), truth.completes(state, customer, product, handle).sum()
            return contacts

        world.advance(watching)
        p, q, (starts, done) = seen["p"], seen["q"], seen["n"]
        z_starts.append((starts - p.sum()) / np.sqrt((p * (1 - p)).sum()))
        z_done.append((done - q.sum()) / np.sqrt((q * (1 - q)).sum()))
    assert max(map(abs, z_starts)) < norm.ppf(1 - 1e-4)
    assert max(map(abs, z_done)) < norm.ppf(1 - 1e-4)


def test_the_intercepts_give_the_rates_asked_for(settings):
    state = World(settings, 3_000, 2).state
    np.testing.assert_allclose(solve_intercepts(state), state.intercept)
    flat = {
        name: product.model_copy(update={"season": (1.0,) * 12})
        for name, product in settings.products.items()
    }
    plain = World(settings.model_copy(update={"products": flat}), 3_000, 2).state
    mean = truth.start_probability(plain)[plain.present].mean(axis=0)
    np.testing.assert_allclose(mean, plain.parameters.weights["rate"], rtol=1e-6)


def test_propensities_are_those_of_the_draw(lived):
    world, months = lived
    rows = [month.contacts for month in months]
    source = np.concatenate([one.source for one in rows])
    drawn = source == outreach.POLICY
    propensity = np.concatenate([one.propensity for one in rows])
    assert np.isnan(propensity[~drawn]).all()
    assert (~drawn).sum() > 500
    arms = np.concatenate([one.arms for one in rows])[drawn]
    channel = np.concatenate([one.channel for one in rows])[drawn]
    np.testing.assert_allclose(arms.sum(axis=1), 1)
    names = list(world.parameters.config.outreach.channels)
    codes = [*(world.parameters.channel(name) for name in names), truth.NO_REACH]
    for column, code in enumerate(codes):
        hit = channel == code
        np.testing.assert_array_equal(propensity[drawn][hit], arms[hit, column])
        for part in np.array_split(np.argsort(arms[:, column], kind="stable"), 5):
            expected = arms[part, column]
            spread = np.sqrt((expected * (1 - expected)).sum()) + 1e-9
            assert abs(hit[part].sum() - expected.sum()) < 4.5 * spread, (column, code)
    hold_out = channel == truth.NO_REACH
    np.testing.assert_allclose(
        propensity[drawn][hold_out], world.parameters.config.outreach.hold_out
    )


def test_managers_see_a_need_that_no_table_shows(settings):
    world = at_month(settings, 6, customers=6_000)
    state = world.state
    contacts = outreach.as_is(state, world.network)
    by_managers = contacts.source == outreach.DISCRETION
    need = state.need[:, world.parameters.need_position]
    seen = need[contacts.customer, contacts.product]
    managed = np.nonzero(world.network.staff >= 0)[0]
    usual = need[managed][:, contacts.product[by_managers]].mean()
    assert seen[by_managers].mean() > usual + 0.4


def test_the_truth_reopens_from_disk(bank_folder, bank):
    world = open_world(bank_folder)
    journeys = world.advance().journeys
    wanted = {
        (f"C{customer:07d}", world.parameters.products[product])
        for customer, product in zip(journeys.customer, journeys.product, strict=True)
    }
    logged = bank.execute(
        """select customer_id, product from interactions
           where kind = 'apply' and event_time < '2024-01-31 16:00:00'"""
    ).fetchall()
    assert set(logged) == wanted
    with pytest.raises(ConfigError, match=r"world\.json"):
        open_world(bank_folder / "nowhere")


@pytest.fixture(scope="module")
def silent(settings) -> World:
    return at_month(settings.model_copy(update={"signal": 0.0}), 8)


def test_without_signal_starts_know_product_and_holding_only(silent):
    state = silent.state
    reach, _ = outreach.reach_matrix(state, outreach.as_is(state, silent.network))
    probability = truth.start_probability(state, reach)
    may = state.present[:, None] & ((state.held == 0) | state.parameters.repeatable)
    assert (probability[~may] == 0).all()
    for column in range(probability.shape[1]):
        assert np.ptp(probability[may[:, column], column]) < 1e-12
    assert (probability[may] > 0).all()


def test_with_signal_they_know_more(settings):
    state = at_month(settings, 8).state
    probability = truth.start_probability(state)
    may = truth.eligible(state)
    for column in range(probability.shape[1]):
        values = probability[may[:, column], column]
        assert values.std() > 0.3 * values.mean()


def test_without_signal_the_channel_is_a_fair_draw(silent):
    state, journeys = silent.state, []
    for _ in range(6):
        journeys.append(silent.advance().journeys)
    handles = len(state.parameters.handles)
    chosen = np.concatenate([one.handle for one in journeys])
    ease = state.people.ease[np.concatenate([one.customer for one in journeys])]
    product = np.concatenate([one.product for one in journeys])
    for rows in (ease > 0.5, ease < -0.3, product == np.bincount(product).argmax()):
        counts = np.bincount(chosen[rows], minlength=handles)
        expected = rows.sum() / handles
        assert ((counts - expected) ** 2 / expected).sum() < chi2.ppf(1 - 1e-4, handles - 1)


def test_without_signal_completion_is_one_number(silent):
    rng = np.random.default_rng(0)
    parameters = silent.parameters
    done = truth.completion_probability(
        silent.state,
        rng.integers(0, 3_000, 500),
        rng.integers(0, len(parameters.products), 500),
        rng.integers(0, len(parameters.handles), 500),
    )
    assert np.ptp(done) < 1e-12


def test_the_knob_is_a_number_from_0_to_2():
    from pathlib import Path

    bank = Path(__file__).resolve().parents[3] / "configs" / "simulation" / "bank.yaml"
    assert load_simulation(bank, 0.0).signal == 0.0
    with pytest.raises(ConfigError, match="from 0 to 2"):
        load_simulation(bank, -1)
