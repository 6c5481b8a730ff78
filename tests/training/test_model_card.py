"""The card says what a reviewer must know before signing."""

import dataclasses

import pytest

from training.about import about
from training.model_card import model_card
from training.models.release import Release
from training.provenance import NO_GIT, data_hash, git_commit, versions

SECTIONS = [
    "Intended use",
    "Not intended",
    "Data and time windows (UTC)",
    "Next product: which product is started within the horizon",
    "Channel preference: which channel the customer would choose",
    "Fairness: groups served worse",
    "Explanations: stability and faithfulness",
    "Drift of the training window",
    "Limits",
    "Monitoring plan",
    "Reproducibility",
]
IN_TABLES_ALONE = [
    "Expected amount: for how much he buys, if he buys",
    "Completion: of what is begun at a channel, the share that gets done",
]
"""Heads that stand after the others, before `SECTIONS[5]`."""


@pytest.fixture(scope="module")
def card(small_run) -> str:
    return model_card(small_run)


def section(card: str, title: str) -> str:
    return card.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_its_sections_in_order(card, small_run):
    assert card.startswith(f"# Model card: release, release {small_run.release.id}\n")
    expected = [*SECTIONS[:5], *IN_TABLES_ALONE, *SECTIONS[5:]]
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == expected
    assert f"- **Owner**: {small_run.config.owner}\n" in card
    assert f"- **Purpose**: {small_run.config.purpose}\n" in card
    assert "nan" not in card.lower().replace("|", " ").split()


def test_every_metric_stands_beside_the_naive_rules(card, small_run):
    for title, rule, metric in ((SECTIONS[3], "popular", "map_at_7"),
                                (SECTIONS[4], "last_channel", "accuracy")):  # fmt: skip
        told = section(card, title)
        row = next(line for line in told.splitlines() if line.startswith(f"| {rule} |"))
        assert f" {small_run.metrics()[f'{rule}_{metric}']:.4f} |" in row
        assert "### over the time of the test" in told


def test_windows_and_fingerprints(card, small_run, small_source):
    told = section(card, SECTIONS[2])
    for split, (start, end) in small_run.release.manifest.windows.items():
        assert f"| {split} | {start} | {end} | {small_run.rows[split]:,} |" in told
    for table, one in small_source.fingerprint().items():
        assert f"| {table} | {one['rows']:,} | {one['hash']} |" in told


def test_a_group_that_is_surely_worse_is_named(small_run, card):
    report = small_run.reports["next_product"]
    rows = [dict(row) for row in report.tables["segments"]]
    named = f"Surely worse: age band {rows[0]['group']}"
    assert named not in section(card, SECTIONS[5])
    rows[0] |= {"hit_rate_at_3": 0.1, "low": 0.05, "high": 0.2}
    spoilt = dataclasses.replace(report, tables={**report.tables, "segments": rows})
    reports = {**small_run.reports, "next_product": spoilt}
    told = section(model_card(dataclasses.replace(small_run, reports=reports)), SECTIONS[5])
    assert named in told
    line = next(one for one in told.splitlines() if "0.1000 |" in one)
    assert line.endswith("| surely worse |")


def test_its_page_for_who_asks_is_in_the_release_in_both_languages(card, small_run):
    told = Release.load(small_run.release.folder).about
    assert told == about(small_run.config, small_run.release.feature_set, small_run.reports)
    assert told.purpose.en == small_run.config.purpose
    assert told.purpose.zh == small_run.config.purpose_zh != told.purpose.en
    for texts, title in ((told.intended, SECTIONS[0]), (told.not_intended, SECTIONS[1]),
                         (told.limits, "Limits")):  # fmt: skip
        assert [f"- {one.en}" for one in texts] == section(card, title).strip().splitlines()
        assert all("一" <= one.zh[0] <= "鿿" for one in texts)
    assert {one.en for one in told.attributes} >= {"age", "gender", "region"}
    assert told.heads_by_group == ("next_product", "channel_preference")
    for head in told.heads_by_group:
        named = [f"{one.segment} {one.group}" for one in told.worse if one.head == head]
        line = f"Surely worse: {', '.join(named) if named else 'none'}."
        assert line in section(card, SECTIONS[5])


def test_explanations_and_drift_are_measured(card, small_run):
    told = section(card, SECTIONS[6])
    for row in small_run.reports["next_product"].tables["explanations"]:
        assert f"| {row['measure']} | {row['unit']} | {row['value']:.4f} |" in told
    told = section(card, SECTIONS[7])
    for head in small_run.config.heads:
        report = small_run.reports[head]
        count = report.metrics[f"drift_{head}_features_beyond_bounds"]
        alarms = sum(row["level"] == "alarm" for row in report.tables["drift"])
        assert alarms >= count
        assert f"### {head}: {alarms} of {len(report.tables['drift'])} beyond both bounds" in told


def test_what_is_watched_has_a_bound_and_somebody_who_acts(card, small_run):
    rows = [line for line in section(card, SECTIONS[9]).splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 7
    for row in rows:
        assert len([cell for cell in row.split("|") if cell.strip()]) == 4
    found = small_run.metrics()
    best = max(found[f"{rule}_accuracy"] for rule in ("majority", "last_channel", "most_used"))
    assert any(f"({best:.4f}; here {found['accuracy']:.4f})" in row for row in rows)


def test_what_it_takes_to_make_it_again(card, small_run):
    told = section(card, SECTIONS[10])
    assert f"| seed | {small_run.config.seed} |" in told
    assert f"| data | {data_hash(small_run.release.manifest.data)} |" in told
    assert f"| code | {git_commit()} |" in told
    for package, version in versions().items():
        assert f"| {package} | {version} |" in told


def test_without_git_the_code_is_said_to_be_unknown(tmp_path):
    assert git_commit(tmp_path) == NO_GIT


def test_other_data_have_another_hash():
    one = {"customers": {"rows": 2, "hash": "a"}, "holdings": {"rows": 1, "hash": "b"}}
    assert data_hash(one) == data_hash(dict(reversed(one.items())))
    assert data_hash(one) != data_hash({**one, "holdings": {"rows": 1, "hash": "c"}})
