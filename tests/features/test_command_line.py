"""`python -m features`: what it prints, its exit codes, and nothing half-written."""

import json
from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from features.feature_files import folder_name
from features.feature_set import FeatureSet
from features.online import OnlineStore
from features.registry import available_features
from features.tables import BROUGHT

CLOCK = "2026-07-01T10:00+08:00"


def last_json(out: str):
    return json.loads(out.splitlines()[-1])


@pytest.fixture
def asked(bank) -> list[object]:
    return ["--source", bank.yaml, "--data", bank.folder, "--clock", CLOCK]


@pytest.fixture
def release(tmp_path, example_source, example_features):
    """A release folder with nothing but its feature set."""
    folder = tmp_path / "release"
    folder.mkdir()
    learned = FeatureSet.learn(example_features, available_features(example_source))
    (folder / "features.json").write_text(learned.model_dump_json(), "utf-8")
    return folder


def test_check_of_a_whole_bank(features, asked):
    code, out, _ = features("check", *asked, "--json")
    assert code == 0
    assert last_json(out)["tables"]["interactions"] == 32
    assert last_json(out)["missing"] == {}
    assert last_json(out)["ok"] is True
    assert last_json(out)["quality"]["level"] == "ok"
    assert "lost" not in out
    assert "example: ok, no reference" in out
    for table, told in last_json(out)["quality"]["tables"].items():
        for column in (table, *told["columns"]):
            assert column in out.split("{", 1)[0]


def test_check_says_each_loss_once_and_by_name(features, bank, asked):
    bank.without("contacts")
    bank.drop_column("interactions", "wait_s")
    bank.drop_column("interactions", "error_code")
    code, out, _ = features("check", *asked, "--json")
    assert code == 0
    assert set(last_json(out)["missing"]) == {
        "contacts", "interactions.wait_s", "interactions.error_code",
    }  # fmt: skip
    said = out.splitlines()[:-1]
    (table,) = [line for line in said if "no table" in line]
    assert table == (
        "no table contacts; lost: fatigue, response to contacts and cool-downs after a refusal"
    )
    (columns,) = [line for line in said if "without" in line]
    assert columns == "interactions without wait_s (waiting times), error_code (online barriers)"


def test_check_against_a_reference_alarms_and_leaves_it(features, bank, asked, tmp_path):
    reference, page = tmp_path / "new" / "reference.json", tmp_path / "new" / "check.html"
    code, _, _ = features("check", *asked, "--save-reference", reference)
    assert code == 0
    before = reference.read_bytes()
    code, out, _ = features("check", *asked, "--reference", reference, "--html", page, "--json")
    assert (code, last_json(out)["quality"]["findings"]) == (0, [])
    assert "<!DOCTYPE html>" in page.read_text("utf-8")

    bank.without("benefits")
    again = ["--reference", reference, "--save-reference", reference, "--html", page]
    code, out, err = features("check", *asked, *again, "--json")
    assert code == 1
    assert last_json(out)["ok"] is False
    assert "alarm benefits: was in the reference and is no longer brought" in out
    assert "not written, since the data differ" in err
    assert reference.read_bytes() == before
    assert "benefits" in page.read_text("utf-8")
    code, _, _ = features("check", *asked, "--save-reference", reference)
    assert (code, reference.read_bytes() == before) == (0, False)
    assert sorted(file.name for file in reference.parent.iterdir()) == [
        "check.html", "reference.json",
    ]  # fmt: skip


def test_a_warning_is_no_failure(features, bank, asked):
    bank.rewrite("ratings", lambda rows: [rows[0], *([*r[:4], "", *r[5:]] for r in rows[1:])])
    code, out, _ = features("check", *asked, "--json")
    assert code == 0
    assert last_json(out)["quality"]["level"] == "warning"
    assert "warning ratings.stage: is brought, and empty in every row 整列为空" in out


def test_limits_of_the_banks_own(features, bank, tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text("{warning_gaps: 0.1, alarm_gaps: 0.2, fresh_days: 0}", "utf-8")
    source = ["--source", bank.yaml, "--data", bank.folder, "--limits", limits]
    code, out, _ = features("check", *source, "--clock", "2026-08-10T10:00+08:00")
    assert code == 1
    assert "alarm holdings: newest row is 58.9 days old" in out
    limits.write_text("{alarm_gap: 2}", "utf-8")
    code, _, err = features("check", *source)
    assert code == 2
    assert "did you mean 'alarm_gaps'?" in err


def test_check_of_a_bad_bank(features, bank, asked, tmp_path):
    bank.replace("interactions", "teller", "telller")
    out_files = ["--html", tmp_path / "check.html", "--save-reference", tmp_path / "check.json"]
    code, out, err = features("check", *asked, *out_files, "--json")
    assert code == 2
    assert not list(tmp_path.glob("check.*"))
    assert "error: table 'interactions', column 'channel'" in err
    assert "did you mean 'teller'?" in err
    assert "Traceback" not in err
    assert "{" not in out


@pytest.mark.parametrize(
    ("clock", "words"),
    [("2026-07-01T10:00", "has no time zone"), ("today", "is not a time"),
     ("2026-06-25T10:00+08:00", "lie in the future")],
)  # fmt: skip
def test_a_clock_that_cannot_be(features, bank, clock, words):
    code, _, err = features("check", "--source", bank.yaml, "--data", bank.folder, "--clock", clock)
    assert code == 2
    assert words in err


def test_build_writes_all_features_of_everybody(features, asked, tmp_path, example_features, clock):
    out_file = tmp_path / "new" / "features.parquet"
    code, out, _ = features(
        "build", *asked, "--out", out_file, "--as-of", clock.isoformat(), "--json"
    )
    assert code == 0
    assert pq.read_table(out_file).equals(example_features.drop_columns("row_id"))
    assert last_json(out)["rows"] == {folder_name(clock): 8}
    assert last_json(out)["features"] == example_features.num_columns - 3
    assert [file.name for file in out_file.parent.iterdir()] == ["features.parquet"]


def test_a_failed_build_leaves_the_old_file(features, bank, asked, tmp_path):
    out_file = tmp_path / "out" / "features.parquet"
    out_file.parent.mkdir()
    out_file.write_bytes(b"yesterday's")
    bank.replace("ratings", "teller,5", "teller,6")
    code, _, err = features("build", *asked, "--out", out_file)
    assert code == 2
    assert "column 'score'" in err
    assert out_file.read_bytes() == b"yesterday's"
    assert [file.name for file in out_file.parent.iterdir()] == ["features.parquet"]


def test_describe_lists_the_features_of_a_catalog(features):
    code, out, _ = features("describe", "--json")
    described = last_json(out)
    assert code == 0
    assert described["catalog"] == "bank"
    assert len(described["features"]) >= 200
    first = described["features"][0]
    assert {"name", "group", "unit", "low", "high", "zh", "en", "table", "inputs"} <= set(first)
    assert len(described["tags"]) >= 80
    assert {
        "name",
        "group",
        "kind",
        "zh",
        "en",
        "owner",
        "validity_days",
        "say_to_customer",
    } <= set(described["tags"][0])
    assert {"feature", "tag", "range", "kind"} <= set(out.split())
    for entry in (*described["features"], *described["tags"]):
        assert entry["name"] in out.split("{", 1)[0]


def test_describe_of_a_banks_customers(features, bank, asked, tmp_path):
    for name in set(BROUGHT) - {"customers", "interactions"}:
        bank.without(name)
    page = tmp_path / "new" / "catalogue.html"
    code, out, _ = features("describe", *asked, "--as-of", CLOCK, "--html", page, "--json")
    assert code == 0
    described = last_json(out)
    assert described["described"] == {
        "source": "example", "as_of": "2026-07-01T10:00:00+08:00", "customers": 8,
        "all_customers": 8,
    }  # fmt: skip
    spreads = {one["name"]: one["spread"] for one in described["features"]}
    assert spreads["age_years"]["rows"] == 8
    assert spreads["total_assets_cny"] is None
    assert page.read_text("utf-8").count("<tr data-text=") >= len(spreads)
    assert [file.name for file in page.parent.iterdir()] == ["catalogue.html"]


def test_describe_refuses_data_without_a_source(features, tmp_path):
    code, _, err = features("describe", "--data", tmp_path)
    assert code == 2
    assert "give --source" in err


def test_describe_refuses_what_is_no_release(features, tmp_path):
    code, _, err = features("describe", "--release", tmp_path, "--html", tmp_path / "page.html")
    assert code == 2
    assert "names a folder that training wrote" in err
    assert not (tmp_path / "page.html").exists()


def test_publish_writes_a_store_of_the_releases_features(features, asked, release, tmp_path, clock):
    store_file = tmp_path / "online.sqlite"
    code, out, _ = features(
        "publish", *asked, "--release", release, "--out", store_file,
        "--as-of", clock.isoformat(), "--json",
    )  # fmt: skip
    assert code == 0
    assert last_json(out)["customers"] == 8
    with OnlineStore(store_file) as store:
        assert store.version == last_json(out)["version"]
        assert store.as_of == clock
        assert store.read("old_branch").state.holdings[1].offer == "deposit_1y"
        held = {one.code: one for one in store.tags("old_branch")}
        assert held["maturity_30d"].parts["product"] == "deposit_1y"
        assert held["maturity_30d"].expires_at == clock + timedelta(days=1, hours=23)
        assert store.tags("nobody") is None


def test_a_failed_publish_leaves_the_old_store(features, bank, asked, release, tmp_path):
    store_file = tmp_path / "out" / "online.sqlite"
    store_file.parent.mkdir()
    store_file.write_bytes(b"yesterday's")
    bank.without("contacts")
    code, _, err = features("publish", *asked, "--release", release, "--out", store_file)
    assert code == 2
    told = err[err.index("features this source cannot give: ") :]
    assert "contacts_30d" in told
    assert store_file.read_bytes() == b"yesterday's"
    assert [file.name for file in store_file.parent.iterdir()] == ["online.sqlite"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "names a folder that training wrote"), ("{", "not valid YAML"),
     ('{"names": []}', "key 'groups' is missing")],
)  # fmt: skip
def test_a_release_that_cannot_be_read(features, asked, release, tmp_path, content, words):
    file = release / "features.json"
    file.unlink()
    if content is not None:
        file.write_text(content, "utf-8")
    code, _, err = features(
        "publish", *asked, "--release", release, "--out", tmp_path / "online.sqlite"
    )
    assert code == 2
    assert str(file) in err
    assert words in err
