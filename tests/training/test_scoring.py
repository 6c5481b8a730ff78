"""Scores of every customer: as the release gives them one by one, whole or not at all."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.build import build
from features.sources import CONFIGS, open_source
from features.spine import customers_at, data_end, microseconds
from features.tags import registry
from features.tags.book import load_tag_book
from features.tags.build import build_tags, held_tags
from training import scoring
from training.__main__ import app
from training.errors import ReleaseError, TrainingError
from training.models.release import Release
from training.scoring import SCHEMA, STAGE, TOP_PRODUCTS, score, write_scores

SIMULATED = Path(__file__).resolve().parents[2] / "configs" / "sources" / "simulated_bank.yaml"
LATER = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def release(small_run):
    return Release.load(small_run.release.folder)


@pytest.fixture(scope="module")
def at(small_source):
    return data_end(small_source)


@pytest.fixture(scope="module")
def written(release, small_source, at, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("scores") / "scores.parquet"
    scored = write_scores(release, small_source, at, out)
    table = pq.read_table(out)
    assert (scored.rows, scored.customers) == (
        table.num_rows, len(table["customer_id"].unique()),
    )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def customers(written) -> dict[str, dict[tuple, float]]:
    """Probability by customer and (head, product, stage, channel)."""
    found: dict[str, dict[tuple, float]] = {}
    for row in pq.read_table(written).to_pylist():
        key = (row["head"], row["product"], row["stage"], row["channel"])
        own = found.setdefault(row["customer_id"], {})
        assert key not in own
        own[key] = row["probability"]
    return found


def starts(scores: dict[tuple, float]) -> dict[str, float]:
    return {key[1]: p for key, p in scores.items() if key[0] == "start"}


def test_scores_are_those_of_the_release_one_by_one(customers, release, small_source, at):
    table = build(customers_at(small_source, [at]))
    assert set(table["customer_id"].to_pylist()) == set(customers)
    chosen = np.linspace(0, table.num_rows - 1, 25).astype(int)
    x = release.feature_set.encode(table)
    for row in chosen:
        own = customers[table["customer_id"][int(row)].as_py()]
        given = dict(zip(release.products, release.p_start(x[[row]])[0], strict=True))
        found = starts(own)
        assert found == {product: pytest.approx(given[product], abs=1e-12) for product in found}
        top = sorted(found, key=lambda product: -found[product])[:TOP_PRODUCTS]
        spoken = {key[1] for key in own if key[0] != "start"}
        assert spoken == set(top)
        for product in top:
            p = release.preference(x[[row]], [product], [STAGE])[0]
            for channel, expected in zip(release.choice_channels, p, strict=True):
                key = ("preference", product, STAGE, channel)
                assert own[key] == pytest.approx(expected, abs=1e-12)
            for channel in small_source.catalog.handle_ids:
                rate = release.completion(product, STAGE, channel)
                assert own["completion", product, STAGE, channel] == rate
            assert sum(p) == pytest.approx(1)


def test_what_he_holds_and_can_hold_but_once_is_not_scored(customers, small_source, at):
    held = small_source.con.execute(
        """select customer_id from holdings where product = 'credit_card'
           and event_time < $at and coalesce(available_at, 0) <= $at
           and (closed_at is null or closed_at > $at)""",
        {"at": microseconds(at)},
    ).fetchall()
    holders = {row[0] for row in held} & set(customers)
    assert 0 < len(holders) < len(customers)
    assert holders == {one for one, own in customers.items() if "credit_card" not in starts(own)}
    assert all("deposit_1y" in starts(own) for own in customers.values())  # repeatable


def test_batches_change_nothing(release, small_source, at, written, monkeypatch):
    monkeypatch.setattr(scoring, "BATCH", 97)
    batches = list(score(release, small_source, at))
    assert len(batches) > 3
    order = [(column, "ascending") for column in ("customer_id", "head", "product", "channel")]
    again = pa.concat_tables(table for _, table in batches).sort_by(order)
    assert again.equals(pq.read_table(written).sort_by(order))


def test_scores_speak_of_the_moment_asked_for(release, small_source):
    at = datetime(2025, 3, 1, tzinfo=UTC)
    (_, table) = next(score(release, small_source, at))
    assert table.schema == SCHEMA
    assert table["event_time"].unique().to_pylist() == [at.replace(tzinfo=None)]
    assert table["release"].unique().to_pylist() == [release.id]
    known = set(customers_at(small_source, [at]).arrow()["customer_id"].to_pylist())
    assert set(table["customer_id"].to_pylist()) == known


def test_a_bank_reads_the_file_and_lacks_no_table(written, small_folder, small_source):
    opened = open_source(SIMULATED, small_folder, LATER, scores=written)
    assert opened.rows["scores"] == pq.read_metadata(written).num_rows
    assert opened.missing_tables == small_source.missing_tables
    assert opened.gaps == small_source.gaps
    assert opened.losses() == small_source.losses()


def top_product(scores: dict[tuple, float]) -> str:
    """The most probable product; the greatest id among equals, as tags break ties."""
    begun = starts(scores)
    return max(begun, key=lambda one: (begun[one], one))


def best_online(scores: dict[tuple, float]) -> float:
    """Completion of the most probable product in the better of the online channels."""
    keys = (
        ("completion", top_product(scores), STAGE, channel)
        for channel in ("mobile_bank", "wechat_bank")
    )
    return max(scores[key] for key in keys)


def test_tags_of_the_models_say_what_was_scored(written, small_folder, customers, at, monkeypatch):
    # nearly everything begun online gets done: a higher threshold gives both kinds
    least = float(np.median([best_online(own) for own in customers.values()]))
    book = load_tag_book(CONFIGS / "catalog" / "bank", ("channel",))
    settings = book["needs_person"]
    thresholds = {**settings.thresholds, "completion": least}
    told = {**book.tags, "needs_person": settings.model_copy(update={"thresholds": thresholds})}
    bold = book.model_copy(update={"tags": told})
    monkeypatch.setattr(registry, "load_tag_book", lambda *_: bold)
    opened = open_source(SIMULATED, small_folder, LATER, scores=written)
    tags = registry.available_tags(opened, ["channel"])
    assert tags.lost == ()
    needing = 0
    for row in build_tags(customers_at(opened, [at]), tags).to_pylist():
        own = customers[row["customer_id"]]
        product = top_product(own)
        held = {one.tag.code: one for one in held_tags(row, tags)}
        chosen = {key[3]: p for key, p in own.items() if key[:2] == ("preference", product)}
        assert held["channel_pref"].value == max(chosen, key=chosen.__getitem__)
        assert held["channel_pref"].parts == {"product": product, **chosen}
        assert ("needs_person" in held) == (best_online(own) < least)
        needing += "needs_person" in held
    assert 0 < needing < len(customers)


def test_without_scores_only_the_tags_of_models_are_lost(small_source):
    assert registry.available_tags(small_source, ["channel"]).lost == (
        "channel_pref",
        "needs_person",
    )


class Interrupted(Exception):
    """Stands for whatever may stop a run."""


def test_a_run_that_stops_midway_leaves_the_earlier_file(
    release, small_source, at, written, tmp_path, monkeypatch
):
    out = tmp_path / "scores.parquet"
    out.write_bytes(written.read_bytes())
    monkeypatch.setattr(scoring, "BATCH", 97)
    seen = []

    def stop(step: str) -> None:
        seen.append(step)
        if step.startswith("scoring from customer 195"):
            raise Interrupted

    with pytest.raises(Interrupted):
        write_scores(release, small_source, at, out, progress=stop)
    assert sum(step.startswith("scoring") for step in seen) == 3
    assert out.read_bytes() == written.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["scores.parquet"]


def test_what_cannot_be_scored_is_said(release, small_source, at, tmp_path):
    out = tmp_path / "scores.parquet"
    lacking = {**small_source.missing_columns, "customers": ("birth_date",)}
    poorer = replace(small_source, missing_columns=lacking)
    with pytest.raises(TrainingError, match=r"cannot give: age_years.*train on this source"):
        write_scores(release, poorer, at, out)
    headless = Release(
        release.folder, release.manifest, release.feature_set, release.next_product, None,
        release._completion, release._amounts, release._popularity,
    )  # fmt: skip
    with pytest.raises(ReleaseError, match="no channel_preference model"):
        write_scores(headless, small_source, at, out)
    shorter = small_source.catalog.model_copy(update={"offers": small_source.catalog.offers[1:]})
    with pytest.raises(ReleaseError, match="trained with other offers"):
        write_scores(release, replace(small_source, catalog=shorter), at, out)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_the_file_and_one_json_object_last(
    small_run, small_folder, written, tmp_path, typed
):
    def call(*words: object) -> tuple[int, str, str]:
        asked = ["score", "--source", SIMULATED, "--data", small_folder,
                 "--clock", "2027-01-01T00:00Z", "--out", tmp_path / "scores.parquet"]  # fmt: skip
        return typed(app, "training", *asked, *words)

    folder = small_run.release.folder
    code, out, err = call("--release", folder, "--json")
    assert code == 0
    assert "Traceback" not in err
    told = json.loads(out.splitlines()[-1])
    table = pq.read_table(tmp_path / "scores.parquet")
    assert table.equals(pq.read_table(written))
    assert told["rows"] == table.num_rows
    assert told["release"] == small_run.release.id
    code, _, err = call("--release", tmp_path / "absent")
    assert code == 2
    assert "no such file; a release is a folder that training wrote" in err
    code, _, err = call("--release", folder, "--as-of", "someday")
    assert code == 2
    assert "is not a time" in err
