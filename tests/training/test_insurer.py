"""The insurer's set through the command line: better than the numbers to beat, on its protocol.

The last 20 % of purchase events by id are the test; event 39937 is the last one before it.
"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.spine import purchase_events
from training import baselines, metrics, targets
from training.__main__ import app
from training.config import SplitConfig
from training.models.release import Release
from training.splits import parse_test_from, share_cuts

ROOT = Path(__file__).resolve().parents[2]
TRAINING = ROOT / "configs" / "training"
TEST_ROWS = 9_984


@pytest.fixture(scope="session")
def trained(insurance_folder, small_work):
    """Run `python -m training run CONFIG … --json` and give its JSON."""

    def run(config: Path, *words: str) -> dict:
        source = ROOT / "configs" / "sources" / "insurance.yaml"
        asked = ["run", str(config), "--source", str(source), "--data", str(insurance_folder)]
        result = CliRunner().invoke(
            app, [*asked, "--work", str(small_work), "--json", *words], catch_exceptions=False
        )
        assert result.exit_code == 0
        return json.loads(result.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def next_product(trained):
    return trained(TRAINING / "next_product.yaml")


@pytest.fixture(scope="session")
def preference(trained):
    """Channel preference with the cut written out."""
    return trained(TRAINING / "channel_preference.yaml", "--test-from", "39937")


def test_next_product_beats_the_numbers_to_beat(next_product):
    assert next_product["hit_rate_at_3"] >= 0.430
    assert next_product["mrr_at_3"] >= 0.301
    assert next_product["rows"]["test"] == TEST_ROWS
    assert next_product["test_rows_with_a_start"] == TEST_ROWS


def test_popularity_is_what_others_measured(next_product):
    assert next_product["popular_hit_rate_at_3"] == pytest.approx(0.3944, abs=0.0005)
    assert next_product["popular_mrr_at_3"] == pytest.approx(0.2740, abs=0.0005)


def test_next_product_beats_every_naive_rule(next_product):
    rules = [name for name in next_product if name.endswith("_map_at_7")]
    assert len(rules) == 6
    assert next_product["map_at_7"] > max(next_product[rule] for rule in rules)


def test_channel_preference_beats_the_numbers_to_beat(preference):
    assert preference["auc"] >= 0.718
    assert preference["accuracy"] >= 0.8170
    assert preference["log_loss"] <= 0.4421
    assert preference["majority_accuracy"] == pytest.approx(0.8027, abs=0.0005)
    assert preference["last_channel_accuracy"] == pytest.approx(0.7676, abs=0.0005)


def test_the_cut_by_event_id_is_the_cut_by_default(preference, next_product):
    assert preference["rows"] == next_product["rows"]


def test_a_later_cut_trains_on_more_and_tests_on_less(trained, tmp_path):
    config = tmp_path / "quick.yaml"
    config.write_text(
        "name: quick\npurpose: a test\n"
        "next_product: {max_rounds: 3, num_leaves: 3, minimum_negatives: 2000}\n",
        "utf-8",
    )
    found = trained(config, "--test-from", "45000", "--out", str(tmp_path / "release"))
    assert found["rows"]["test"] == 49_921 - 45_001 + 1
    assert sum(found["rows"].values()) == 49_921
    assert found["test_rows_with_a_start"] == found["rows"]["test"]


def test_the_release_is_on_disk_and_loads(next_product):
    release = Release.load(Path(next_product["folder"]))
    assert release.id == next_product["release"]
    assert release.products[0] == "item_1"
    assert release.completion("item_1", "application", "phone") == 1.0


def test_popularity_without_any_model(insurance_source):
    """The known number, from targets, splits and metrics alone."""
    spine = purchase_events(insurance_source)
    products = insurance_source.catalog.product_ids
    starts, eligible = targets.starts(spine, products), targets.eligible(spine, products)
    as_of = spine.arrow()["as_of"].to_numpy()
    cut = parse_test_from("39937", "Asia/Shanghai")
    rows = share_cuts(as_of, SplitConfig(), cut, int(as_of.max()) + 1).rows(as_of)
    known = as_of < cut
    scores = baselines.popular(starts[known], eligible[known], rows["test"])
    found = metrics.ranking(scores, starts[rows["test"]], eligible[rows["test"]])
    assert len(rows["test"]) == TEST_ROWS
    assert found["hit_rate_at_3"] == pytest.approx(0.3944, abs=0.00005)
    assert found["mrr_at_3"] == pytest.approx(0.2740, abs=0.00005)


def test_first_touches_that_no_test_asks_do_not_pass_for_drift(preference):
    """A third of the touches before the test are first ones: with them scores' PSI would be 0.8."""
    assert preference["drift_channel_preference_largest_psi_of_a_score"] < 0.1
