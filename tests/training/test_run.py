"""A training run: blind to the test, the same for a seed, all or nothing."""

# ruff: noqa: S608 - the names come from the contract
from datetime import UTC, datetime

import numpy as np
import pytest

from features.config import load_yaml
from features.sources import Source, open_source
from features.spine import microseconds
from features.tables import TABLES
from training.errors import ReleaseError, TrainingError
from training.models.next_product import NextProductModel
from training.models.release import Release
from training.report import REPORT, Figured, figured
from training.run import TrainingRun, train

CUT = "2026-04-01"
CUT_US = microseconds(datetime(2026, 3, 31, 16, tzinfo=UTC))
OTHER = {
    "interactions": "channel = if(hash(event_time) % 2 = 0, 'video', channel), "
    "product = 'mortgage', kind = 'apply', stage = 'application', amount_cny = 7",
    "holdings": "product = 'gold_saving', amount_cny = amount_cny * 7, channel = 'video'",
    "balances": "balance_cny = balance_cny * 9 + 1",
    "transactions": "amount_cny = amount_cny * 9 + 1",
    "contacts": "channel = 'sms', offer = 'mortgage'",
    "ratings": "score = 1",
}


@pytest.fixture(scope="module")
def tiny_config(small_config):
    # as many negatives as are shipped: with fewer no group of the test is surely worse
    few = {"max_rounds": 8, "minimum_negatives": 25_000}
    next_product = small_config.next_product.model_copy(update=few)
    preference = small_config.channel_preference.model_copy(update={"max_rounds": 4})
    heads = {"next_product": next_product, "channel_preference": preference}
    return small_config.model_copy(update={**heads, "explained_rows": 20})


@pytest.fixture(scope="module")
def tiny_source(simulated_folder, open_simulated):
    return open_simulated(simulated_folder)


@pytest.fixture(scope="module")
def tiny_run(tiny_config, tiny_source, tmp_path_factory) -> TrainingRun:
    return train(tiny_config, tiny_source, tmp_path_factory.mktemp("tiny") / "release", CUT)


def files_of(run: TrainingRun) -> dict[str, bytes]:
    folder = run.release.folder
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def alter_from(source: Source, us: int) -> None:
    """Another history from a moment on: rows gone, rows changed, later-filled cells emptied."""
    run = source.con.execute
    for name in source.rows:
        for column in TABLES[name].columns:
            if column.filled_at:
                run(f'update {name} set "{column.name}" = null where "{column.filled_at}" >= {us}')
        if TABLES[name].has_history:
            run(f"delete from {name} where event_time >= {us} and hash(customer_id) % 3 = 0")
            if name in OTHER:
                run(f"update {name} set {OTHER[name]} where event_time >= {us}")
    run(f"delete from customers where joined_at >= {us}")


def test_another_future_trains_the_same_models_byte_for_byte(
    tiny_config, tiny_run, simulated_folder, open_simulated, tmp_path
):
    source = open_simulated(simulated_folder)
    alter_from(source, CUT_US)
    other = train(tiny_config, source, tmp_path / "release", CUT)
    before, after = files_of(tiny_run), files_of(other)
    assert sorted(before) == sorted(after)
    # what tells of the test: about.json quotes the card's figures
    told = {"about.json", "manifest.json", "report.json"}
    assert {n for n in before if before[n] != after[n]} == told
    # the test itself is another one
    assert other.metrics()["accuracy"] != tiny_run.metrics()["accuracy"]
    assert other.metrics()["map_at_7"] != tiny_run.metrics()["map_at_7"]


def test_another_past_trains_other_models(
    tiny_config, tiny_run, simulated_folder, open_simulated, tmp_path
):
    """The guard above can see: the same change, some weeks earlier, shows in every file."""
    source = open_simulated(simulated_folder)
    alter_from(source, CUT_US - 75 * 86_400_000_000)
    other = train(tiny_config, source, tmp_path / "release", CUT)
    before, after = files_of(tiny_run), files_of(other)
    assert [name for name in before if before[name] == after.get(name)] == ["features.json"]


@pytest.mark.usefixtures("features_built_anew")
def test_a_seed_gives_the_same_release_again(tiny_config, tiny_run, tiny_source, tmp_path):
    again = train(tiny_config, tiny_source, tmp_path / "again", CUT)
    assert again.release.id == tiny_run.release.id
    assert files_of(again) == files_of(tiny_run)
    assert again.metrics() == tiny_run.metrics()


def test_another_seed_gives_another_release(tiny_config, tiny_run, tiny_source, tmp_path):
    next_product_alone = {"seed": 2, "channel_preference": None}
    config = tiny_config.model_copy(update=next_product_alone)
    other = train(config, tiny_source, tmp_path / "other", CUT)
    assert other.release.id != tiny_run.release.id
    assert other.release.next_product.merged_text_ != tiny_run.release.next_product.merged_text_


def test_a_training_that_fails_leaves_the_earlier_release(
    tiny_config, tiny_run, tiny_source, tmp_path, monkeypatch
):
    def fails(*_, **__):
        raise TrainingError("no luck today")

    before = files_of(tiny_run)
    monkeypatch.setattr(NextProductModel, "fit", fails)
    for out in (tiny_run.release.folder, tmp_path / "new"):
        with pytest.raises(TrainingError, match="no luck today"):
            train(tiny_config, tiny_source, out, CUT)
    assert files_of(tiny_run) == before
    assert list(tmp_path.iterdir()) == []
    assert [path.name for path in tiny_run.release.folder.parent.iterdir()] == ["release"]


def test_a_folder_with_other_files_is_refused_before_training(tiny_config, tiny_source, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious", "utf-8")
    with pytest.raises(ReleaseError, match="holds other files; name a new folder"):
        train(tiny_config, tiny_source, tmp_path, CUT)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.fixture
def holdings_only(simulated_folder, tmp_path) -> Source:
    yaml = tmp_path / "source.yaml"
    yaml.write_text(
        f"""name: holdings_only
catalog: bank
tables:
  customers: "from '{simulated_folder}/customers.parquet'"
  holdings: "from '{simulated_folder}/holdings.parquet'"
""",
        "utf-8",
    )
    return open_source(yaml, None, datetime(2027, 1, 1, tzinfo=UTC))


def test_customers_and_holdings_alone_train_next_product(tiny_config, holdings_only, tmp_path):
    config = tiny_config.model_copy(update={"channel_preference": None})
    run = train(config, holdings_only, tmp_path / "release", CUT)
    assert run.release.manifest.heads == ("next_product",)
    assert run.metrics()["map_at_7"] > 0
    assert run.release.completion("fund_r2", "application", "teller") == 1.0
    assert Release.load(tmp_path / "release").id == run.release.id


def test_channel_preference_without_interactions_says_what_to_bring(
    tiny_config, holdings_only, tmp_path
):
    config = tiny_config.model_copy(update={"next_product": None})
    with pytest.raises(TrainingError, match="needs the table 'interactions'; bring it"):
        train(config, holdings_only, tmp_path / "release", CUT)
    assert not (tmp_path / "release").exists()


def test_every_naive_rule_stands_beside_the_model(small_run):
    found = small_run.metrics()
    for metric in ("hit_rate_at_3", "mrr_at_3", "map_at_7"):
        for rule in ("popular", "recent_popular", "last_product", "co_holding"):
            assert 0 < found[f"{rule}_{metric}"] < 1
    for rule in ("majority", "last_channel", "most_used"):
        assert 0 < found[f"{rule}_accuracy"] < 1


def test_probabilities_mean_what_they_say(small_run):
    """Over all products the test's starts are as many as were predicted, within a fifth."""
    rows = small_run.reports["next_product"].tables["products"]
    predicted = sum(row["mean_p"] * row["rows"] for row in rows)
    assert predicted == pytest.approx(sum(row["starts"] for row in rows), rel=0.2)
    channels = small_run.reports["channel_preference"].tables["channels"]
    assert sum(row["mean_p"] for row in channels) == pytest.approx(1)
    for row in channels:
        assert row["mean_p"] == pytest.approx(row["rate"], abs=0.06)


def test_amounts_and_completion_are_told_beside_their_tables(small_run):
    found = small_run.metrics()
    assert found["test_purchases"] > 50
    assert found["amount_error_ratio"] == pytest.approx(
        found["amount_log_error"] / found["tier_median_amount_log_error"]
    )
    assert (
        sum(row["purchases"] for row in small_run.reports["expected_amount"].tables["offers"])
        == (found["test_purchases"])
    )
    assert found["completion_log_loss"] < found["overall_rate_completion_log_loss"]
    told = small_run.reports["completion"].forecasts
    assert len(told.p) == found["test_journeys"]
    assert told.p.mean() == pytest.approx(told.happened.mean(), abs=0.08)


def test_what_was_foretold_is_kept_beside_what_happened(small_run):
    choices = small_run.reports["channel_preference"].forecasts
    assert choices.happened.sum() == small_run.metrics()["test_choices"]
    starts = small_run.reports["next_product"]
    by_product = np.bincount(starts.forecasts.group, starts.forecasts.happened)
    assert by_product.tolist() == [row["starts"] for row in starts.tables["products"]]
    calibrated = small_run.reports["channel_preference"].tables["calibration"]
    assert "mobile_bank" in [row["group"] for row in calibrated]
    assert {"ratio", "slope", "slope_low", "intercept_high"} <= set(calibrated[0])


def test_groups_and_rows_are_told(small_run):
    rows = small_run.reports["next_product"].tables["segments"]
    groups = {kind: [r for r in rows if r["segment"] == kind] for kind in ("age band", "gender")}
    assert {row["group"] for row in groups["age band"]} >= {"26-35", "65 and over"}
    asked = small_run.metrics()["test_rows_with_a_start"]
    for told in groups.values():
        assert sum(row["rows"] for row in told) == asked
        mean = sum(row["hit_rate_at_3"] * row["rows"] for row in told) / asked
        assert mean == pytest.approx(small_run.metrics()["hit_rate_at_3"])
    assert list(small_run.rows) == ["train", "stop", "calibrate", "test"]
    assert min(small_run.rows.values()) > 100


def test_the_breakdowns_agree_with_the_metrics(small_run):
    found = small_run.metrics()
    for head, metric, depth in (
        ("next_product", "hit_rate_at_3", 3), ("channel_preference", "accuracy", 1),
    ):  # fmt: skip
        tables = small_run.reports[head].tables
        row = tables["gains"][depth - 1]
        rules = [name for name in row if name not in ("depth", "model")]
        assert len(rules) in (3, 4)
        assert row["model"] == pytest.approx(found[metric])
        for rule in rules:
            assert row[rule] == pytest.approx(found[f"{rule}_{metric}"])
        assert len(tables["periods"]) == 3
        over = sum(one[metric] * one["rows"] for one in tables["periods"])
        assert over / sum(one["rows"] for one in tables["periods"]) == pytest.approx(found[metric])
        shifts = [one["psi"] for one in tables["drift"] if one["psi"] is not None]
        assert shifts == sorted(shifts, reverse=True)
        assert len(shifts) > 300


def test_no_head_hides_the_metrics_of_another(small_run):
    told = [name for report in small_run.reports.values() for name in report.metrics]
    assert sorted(told) == sorted(small_run.metrics())


def test_the_release_carries_its_evaluation(small_run):
    kept = load_yaml(small_run.release.folder / REPORT, Figured)
    ranked = {head: small_run.reports[head] for head in small_run.config.heads}
    assert kept == figured(ranked, small_run.rows)
    assert REPORT in small_run.release.manifest.files
    assert small_run.seconds["explanations"] > 0


def test_a_release_of_more_trees_than_its_budget_is_not_written(
    tiny_config, tiny_run, tiny_source, tmp_path
):
    trees = tiny_run.release.trees
    boosters = [
        tiny_run.release.folder / f"{name}.txt"
        for name in ("next_product", "rare_products", "channel_preference", "expected_amount")
    ]
    there = [path for path in boosters if path.exists()]
    assert trees == sum(path.read_text("utf-8").count("\nTree=") for path in there)
    config = tiny_config.model_copy(update={"tree_budget": trees - 1})
    with pytest.raises(TrainingError, match=f"have {trees} trees, its tree_budget is {trees - 1};"):
        train(config, tiny_source, tmp_path / "release", CUT)
    assert not (tmp_path / "release").exists()
