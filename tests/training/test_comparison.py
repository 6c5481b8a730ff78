"""Two releases side by side: what differs is told, and what cannot be compared too."""

import json
import re
import shutil

import pytest

from training import tracking
from training.__main__ import app
from training.comparison import compare
from training.comparison_page import comparison_page
from training.config import RunConfig
from training.errors import ReleaseError
from training.models.release import Release
from training.run import train


@pytest.fixture(scope="module")
def other_config(small_config) -> RunConfig:
    """Next product alone, with fewer and smaller trees."""
    head = small_config.next_product.model_copy(update={"max_rounds": 6, "num_leaves": 3})
    changed = {"name": "smaller", "next_product": head, "channel_preference": None}
    return small_config.model_copy(update=changed)


@pytest.fixture(scope="module")
def other(other_config, small_source, small_work) -> Release:
    return train(other_config, small_source, small_work / "releases" / "smaller").release


@pytest.fixture(scope="module")
def found(small_run, other):
    return compare(small_run.release, other)


def test_a_release_is_like_itself(small_run):
    found = compare(small_run.release, small_run.release)
    assert found.caveats == ()
    assert found.settings == found.features_new == found.features_gone == ()
    for head in found.heads.values():
        assert {one.verdict for one in head.metrics} == {"alike"}
        assert head.losing_segments == ()
        assert all(one.difference == 0 for one in head.segments)
        assert all(one.a == one.b for one in head.curves)


def test_metrics_are_those_of_the_manifests(found, small_run, other):
    assert list(found.heads) == ["next_product"]
    a, b = (one.manifest.metrics["next_product"] for one in (small_run.release, other))
    told = {one.name: one for one in found.heads["next_product"].metrics}
    for name, one in told.items():
        assert (one.a, one.b) == (pytest.approx(a[name]), pytest.approx(b[name]))
        assert one.difference == pytest.approx(b[name] - a[name])
        rules = ("popular", "recent_popular", "last_product", "co_holding")
        assert one.naive_a == pytest.approx(max(a[f"{rule}_{name}"] for rule in rules))
        assert one.verdict == ("better" if b[name] > a[name] else "worse")
    assert {"map_at_7", "hit_rate_at_3"} <= set(told)
    assert not any(name.startswith("popular") for name in told)


def test_settings_that_differ_and_no_others(found):
    told = {one.name: (one.a, one.b) for one in found.settings}
    lost = {name for name in told if name.startswith("channel_preference")}
    assert told["channel_preference.num_leaves"] == ("15", "–")
    assert {name: pair for name, pair in told.items() if name not in lost} == {
        "name": ("release", "smaller"),
        "next_product.max_rounds": ("30", "6"),
        "next_product.num_leaves": ("7", "3"),
    }


def test_heads_that_only_one_has_are_told(found):
    assert [en for _, en in found.caveats] == [
        "Heads that only one of them has: channel_preference."
    ]


def test_products_and_groups_are_all_there(found, small_run):
    head = found.heads["next_product"]
    assert {one.name for one in head.classes} == set(small_run.release.products)
    events = [one.events.a for one in head.classes]
    assert events == sorted(events, reverse=True)
    table = small_run.reports["next_product"].tables["segments"]
    assert [(one.segment, one.name, one.a) for one in head.segments] == [
        (row["segment"], row["group"], pytest.approx(row["hit_rate_at_3"])) for row in table
    ]


@pytest.fixture
def changed(small_run, tmp_path):
    """A copy of the release, loaded, whose manifest says something else of its data."""
    folder = shutil.copytree(small_run.release.folder, tmp_path / "copy")
    release = Release.load(folder)

    def change(**what) -> Release:
        release.manifest = release.manifest.model_copy(update=what)
        return release

    return change


def test_other_tests_and_other_data_are_caveats(small_run, changed):
    windows = small_run.release.manifest.windows
    later = changed(windows={**windows, "test": ("2026-05-01T00:00", "2026-07-01T00:00")}, data={})
    told = " ".join(en for _, en in compare(small_run.release, later).caveats)
    assert "The two tests are of different times" in told
    assert "The data are not the same" in told
    assert "catalogs" not in told


def test_features_that_came_and_went(small_run, changed):
    release = changed()
    names = release.feature_set.names
    release.feature_set = release.feature_set.model_copy(
        update={"names": (*names[2:], "brand_new")}
    )
    found = compare(small_run.release, release)
    assert found.features_gone == names[:2]
    assert found.features_new == ("brand_new",)


def test_releases_that_share_nothing_are_refused(small_run, other, changed):
    release = changed()
    file = release.folder / "report.json"
    told = json.loads(file.read_text("utf-8"))
    del told["heads"]["next_product"]
    file.write_text(json.dumps(told), "utf-8")
    with pytest.raises(ReleaseError, match="share no head"):
        compare(other, release)
    file.unlink()
    with pytest.raises(ReleaseError, match="of an older kind: train it again"):
        compare(other, release)


def test_the_page_tells_it_all(found):
    page = comparison_page(found)
    for side in (found.a, found.b):
        assert page.count(f"<code>{side.id}</code>") == 1
    rows = re.findall(r'data-metric="(\w+)" data-verdict="(\w+)"', page)
    assert rows == [(one.name, one.verdict) for one in found.heads["next_product"].metrics]
    for one in found.settings:
        assert f"<code>{one.name}</code>" in page
    for one in found.heads["next_product"].segments:
        assert f'data-group="{one.name}"' in page
    assert page.count("<figure>") == min(len(found.heads["next_product"].curves), 9)
    assert "Heads that only one of them has" in page


@pytest.fixture
def asked(typed):
    def call(*words: object) -> tuple[int, str, str]:
        return typed(app, "training", "compare", *words)

    return call


def test_the_command_takes_a_folder_and_a_run(asked, small_run, other, small_work, tmp_path,
                                              monkeypatch):  # fmt: skip
    def fetch(name, work, into, uri):
        assert (name, work) == ("run-1", small_work)
        return other.folder

    monkeypatch.setattr("training.__main__.release_of", fetch)
    page = tmp_path / "new" / "page.html"
    code, out, err = asked(
        small_run.release.folder, "run-1", "--work", small_work, "--html", page, "--json"
    )
    assert code == 0, err
    told = json.loads(out.splitlines()[-1])
    assert (told["a"]["id"], told["b"]["id"]) == (small_run.release.id, other.id)
    assert "beware: Heads that only one" in out
    assert "map_at_7" in out
    assert page.read_text("utf-8") == comparison_page(compare(small_run.release, other))


def test_what_is_neither_a_folder_nor_a_run_is_said(asked, small_run, small_work):
    tracking.database_url(small_work)
    code, _, err = asked(small_run.release.folder, "nobody", "--work", small_work)
    assert code == 2
    assert "'nobody' is neither a release folder nor an MLflow run" in err
    assert "Traceback" not in err


@pytest.mark.needs("chromium")
def test_the_page_in_a_browser(browse, overflowing, found, tmp_path):
    file = tmp_path / "comparison.html"
    file.write_text(comparison_page(found), "utf-8")
    dom, console = browse(file)
    assert console == []
    assert len(dom.all("data-metric")) == len(found.heads["next_product"].metrics)
    assert overflowing(file) == {}
