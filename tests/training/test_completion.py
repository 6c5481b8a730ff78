"""Completion: parts that add up, drawn to each other as strongly as the journeys say."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import log_loss

from training.models.completion import LEVELS, CompletionModel

HANDLES = {"app": 0.3, "wechat": -0.2, "teller": 1.2, "video": 0.8}
OFFERS = {f"offer_{n}": -0.9 + 0.15 * n for n in range(12)}


def true_rate(offer: str, stage: str, handle: str) -> float:
    later = 2.0 if stage == "signing" else 0.0
    alone = 1.5 if (offer, handle) == ("offer_0", "teller") else 0.0
    return float(expit(HANDLES[handle] + OFFERS[offer] + later + alone))


def draw(number: int, seed: int) -> list[tuple[str, str, str, bool]]:
    random = np.random.default_rng(seed)
    offers = random.choice(list(OFFERS), number)
    stages = random.choice(["application", "signing"], number, p=[0.8, 0.2])
    handles = random.choice(list(HANDLES), number, p=[0.5, 0.2, 0.2, 0.1])
    named = [(str(o), str(s), str(h)) for o, s, h in zip(offers, stages, handles, strict=True)]
    return [(*cell, bool(random.random() < true_rate(*cell))) for cell in named]


@pytest.fixture(scope="module")
def model() -> CompletionModel:
    return CompletionModel.fit(draw(20_000, 1))


def loss(model_rate, journeys) -> float:
    p = [model_rate(*cell) for *cell, _ in journeys]
    return float(log_loss([one[-1] for one in journeys], np.clip(p, 1e-6, 1 - 1e-6)))


def test_a_rate_is_the_sum_of_its_parts_the_offer_s_times_the_handle_s_scale(model):
    parts = ("", "application", "application|app", "application|app|offer_3")
    log_odds = sum(model.log_odds[part] for part in parts)
    log_odds += (1 + model.log_odds["application|app|*"]) * model.log_odds["application||offer_3"]
    assert model.rate("offer_3", "application", "app") == pytest.approx(expit(log_odds))


def test_offers_matter_more_at_some_handles_than_at_others():
    """In the app hard offers are lost, at the manager none is: no sum of parts can say that."""
    random = np.random.default_rng(5)
    journeys, truth = [], {}
    for number in range(12):
        hard = number / 11
        for handle, least in (("app", 0.3), ("manager", 0.9)):
            rate = 0.9 - (0.9 - least) * hard
            truth[f"offer_{number}", handle] = rate
            done = random.random(400) < rate
            journeys += [(f"offer_{number}", "application", handle, bool(one)) for one in done]
    model = CompletionModel.fit(journeys)
    assert model.log_odds["application|app|*"] > model.log_odds["application|manager|*"] + 1
    error = [abs(model.rate(o, "application", h) - p) for (o, h), p in truth.items()]
    assert np.mean(error) < 0.02


def test_rates_come_near_the_truth(model):
    gaps = [
        logit(model.rate(offer, stage, handle)) - logit(true_rate(offer, stage, handle))
        for offer in OFFERS for stage in ("application", "signing") for handle in HANDLES
    ]  # fmt: skip
    assert np.sqrt(np.mean(np.square(gaps))) < 0.25
    # what is peculiar to one cell is seen there
    cells = {key: part for key, part in model.log_odds.items() if key in model.journeys}
    assert max(cells, key=cells.__getitem__) == "application|teller|offer_0"
    assert cells["application|teller|offer_0"] > 0.4


def test_few_journeys_are_better_told_than_by_their_own_rates():
    few, later = draw(1_500, 2), draw(20_000, 3)
    seen: dict[tuple, list[bool]] = {}
    for *cell, done in few:
        seen.setdefault(tuple(cell), []).append(done)
    own = loss(lambda *cell: np.mean(seen.get(cell, [0.5])), later)
    best = loss(true_rate, later)
    assert loss(CompletionModel.fit(few).rate, later) - best < (own - best) / 5


def test_without_differences_all_rates_are_one():
    random = np.random.default_rng(4)
    same = [(*cell, bool(random.random() < 0.7)) for *cell, _ in draw(5_000, 4)]
    found = CompletionModel.fit(same)
    rates = [found.rate(offer, "application", handle) for offer in OFFERS for handle in HANDLES]
    assert np.ptp(rates) < 0.1  # the cells' own rates lie 0.3 apart and more
    assert np.mean(rates) == pytest.approx(0.7, abs=0.03)


def test_what_nobody_saw_is_as_what_is_nearest(model):
    assert model.rate("new", "application", "teller") == pytest.approx(
        expit(sum(model.log_odds[key] for key in ("", "application", "application|teller")))
    )
    assert model.rate("new", "rating", "lobby") == pytest.approx(expit(model.log_odds[""]))


def test_a_bank_that_records_no_journeys_completes_all():
    assert CompletionModel.fit([]).rate("fund", "application", "app") == 1.0


@pytest.mark.parametrize("done", [True, False])
def test_all_done_or_none(done):
    found = CompletionModel.fit([("fund", "application", "app", done)] * 500)
    assert found.rate("fund", "application", "app") == pytest.approx(float(done), abs=0.01)


def test_the_order_of_journeys_does_not_matter():
    journeys = draw(3_000, 5)
    assert CompletionModel.fit(reversed(journeys)) == CompletionModel.fit(journeys)


def test_the_table_says_what_it_rests_on(model):
    assert tuple(model.variances) == LEVELS
    assert sum(model.journeys.values()) == 20_000
