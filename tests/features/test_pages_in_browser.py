"""Both pages in a real browser: they open from disk, search, sort, fit, and complain of nothing."""

import json
from pathlib import Path

import pytest

from features.catalog import load_catalog
from features.catalogue.catalogue import catalogue_of, features_described, with_importance
from features.catalogue.page import catalogue_page
from features.page import page
from features.quality.drift import compare
from features.quality.findings import Finding
from features.quality.limits import Limits
from features.quality.page import quality_page
from features.quality.profile import Distribution
from features.quality.report import check_quality
from features.sources import CONFIGS

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture(scope="module")
def catalogue(example_features):
    declared = catalogue_of(load_catalog(CONFIGS / "catalog" / "bank"))
    with_data = declared.model_copy(
        update={"features": features_described(declared.features, example_features)}
    )
    shares = {one.name: 1 / (2 + place) for place, one in enumerate(reversed(declared.features))}
    return with_importance(with_data, "release-1", shares)


@pytest.fixture(scope="module")
def catalogue_file(catalogue, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("pages") / "catalogue.html"
    file.write_text(catalogue_page(catalogue), "utf-8")
    return file


@pytest.fixture(scope="module")
def quality_file(example_source, clock, tmp_path_factory) -> Path:
    """The eight customers' report; eight are too few to drift, so one alarm is made up."""
    report, _ = check_quality(example_source, clock, Limits())
    edges = {"edges": (1.0, 20.0, 3_000.0, 1_234_567.0), "missing": 0, "rows": 1_000}
    before = Distribution(**edges, counts=(0, 500, 400, 100, 0))
    now = Distribution(**edges, counts=(0, 100, 100, 600, 200))
    drift = compare(now, before, 900, 800, Limits(), 1e-4)
    assert drift.level == "alarm"
    table = report.tables["transactions"]
    column = table.columns["amount_cny"].model_copy(update={"drift": drift})
    table = table.model_copy(update={"columns": {**table.columns, "amount_cny": column}})
    alarm = Finding(level="alarm", kind="drift", table="transactions", column="amount_cny",
                    zh="分布漂移", en="distribution drifted")  # fmt: skip
    report = report.model_copy(
        update={"findings": (alarm,), "tables": {**report.tables, "transactions": table}}
    )
    file = tmp_path_factory.mktemp("pages") / "quality.html"
    file.write_text(quality_page(report), "utf-8")
    return file


def matching(catalogue, word: str) -> set[str]:
    entries = [
        (one.name, one.zh, one.en) for one in (*catalogue.features, *catalogue.tags_not_carried)
    ]
    entries += [(one.name, one.zh, one.en, one.definition_zh, one.definition_en)
                for one in catalogue.tags]  # fmt: skip
    return {texts[0] for texts in entries if any(word in text.lower() for text in texts)}


def test_the_address_searches_the_catalogue(browse, catalogue_file, catalogue):
    dom, console = browse(catalogue_file, "#q=Maturity")
    assert console == []
    shown = [row.split(" ")[0] for row in dom.rows()]
    assert {"days_to_maturity", "maturity_30d"} <= set(shown)
    assert set(shown) == matching(catalogue, "maturity")
    assert len(shown) == len(set(shown)) < 30
    assert "hidden" not in next(
        found for _, found in dom.elements if found.get("class") == "toolbar"
    )


TYPE = """
const set = (name, value) => {
  const control = document.querySelector(`[name=${name}]`);
  control.value = value;
  control.dispatchEvent(new Event("input", { bubbles: true }));
};
set("q", "天数 DAYS"); set("group", "feature:holdings"); set("sort", "importance");
document.body.dataset.said = JSON.stringify(
  { address: location.hash, count: document.getElementById("count").value });
"""


def test_typing_filters_sorts_and_leaves_an_address_to_share(
    browse, with_script, catalogue_file, catalogue
):
    dom, console = browse(with_script(catalogue_file, TYPE))
    assert console == []
    held = [one for one in catalogue.features if one.group == "holdings"]
    wanted = [one for one in held if "天数" in one.zh and "days" in one.en.lower()]
    by_importance = sorted(wanted, key=lambda one: -one.importance)
    assert [row.split(" ")[0] for row in dom.rows()] == [one.name for one in by_importance]
    assert [one.name for one in wanted] != [one.name for one in by_importance]
    said = json.loads(dom.all("data-said")[0]["data-said"])
    total = len(catalogue.features) + len(catalogue.tags) + len(catalogue.tags_not_carried)
    assert said["count"] == f"{len(wanted)} / {total}"
    again, _ = browse(catalogue_file, said["address"])
    assert again.rows() == dom.rows()


def test_the_quality_page_shows_the_alarms_alone(browse, parse_page, quality_file):
    assert len(parse_page(quality_file.read_text("utf-8")).rows()) > 100
    dom, console = browse(quality_file, "#level=alarm")
    assert console == []
    assert [row.split(" ")[:2] for row in dom.rows()] == [["transactions", "amount_cny"]]
    assert len([one for one in dom.all("data-section") if "hidden" not in one]) == 1
    details = [found for _, found in dom.elements if found.get("class") == "detail"]
    assert [("hidden" in one) for one in details] == [False]


def test_nothing_sticks_out_on_a_phone_or_a_screen(overflowing, catalogue_file, quality_file):
    assert overflowing(catalogue_file, quality_file) == {}


def test_a_script_that_is_not_the_pages_own_is_stopped(browse, tmp_path):
    """The console tells: the tests above would see a page that is refused something."""
    file = tmp_path / "page.html"
    evil = "<script>document.body.dataset.evil = 1</script></body>"
    file.write_text(page("页", "page").replace("</body>", evil), "utf-8")
    dom, console = browse(file)
    assert dom.all("data-evil") == []
    assert any("Content Security Policy" in line for line in console)
