"""A release loads whole, or not at all with the file named; what is in it cannot run code."""

import json
import shutil

import numpy as np
import pytest

from features.build import build
from features.catalog import load_catalog
from features.config import parse_config
from features.sources import CONFIGS
from features.spine import customers_at, moment
from training.errors import ReleaseError
from training.models.release import Golden, Manifest, Release, check_catalog, check_replaceable
from training.run import spine_and_cuts

FILES = (
    "about.json", "channel_preference.json", "channel_preference.txt", "completion.json",
    "expected_amount.json", "expected_amount.txt", "features.json", "golden.json",
    "next_product.json", "next_product.txt", "popularity.json", "rare_products.txt", "report.json",
)  # fmt: skip


@pytest.fixture
def folder(small_run, tmp_path):
    """A copy of the small release that a test may spoil."""
    return shutil.copytree(small_run.release.folder, tmp_path / "release")


@pytest.fixture(scope="module")
def x(small_run):
    """Rows drawn column by column from the golden ones: no customer's."""
    golden = json.loads((small_run.release.folder / "golden.json").read_text("utf-8"))
    rows = np.array(golden["rows"], dtype=float)
    random = np.random.default_rng(1)
    return np.column_stack([random.choice(column, 40) for column in rows.T])


def test_the_folder_holds_text_alone(folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "manifest.json"])
    for path in folder.iterdir():
        text = path.read_text("utf-8")
        if path.suffix == ".json":
            json.loads(text)
        else:
            assert text.startswith("tree\nversion=v4\n")


def test_loaded_again_it_scores_the_same(small_run, folder, x):
    first, again = small_run.release, Release.load(folder)
    assert again.id == first.id
    assert np.array_equal(again.p_start(x), first.p_start(x))
    offers, stages = ["fund_r2"] * len(x), ["application"] * len(x)
    assert np.array_equal(again.preference(x, offers, stages), first.preference(x, offers, stages))
    assert again.completion("fund_r2", "application", "teller") == first.completion(
        "fund_r2", "application", "teller"
    )
    assert again.usual_amount_cny("fund_r2") == first.usual_amount_cny("fund_r2") > 0
    modelled = [first._amounts.offers[0]] * len(x)
    priced = first.expected_amounts(x, modelled)
    assert np.array_equal(again.expected_amounts(x, modelled), priced)
    assert len(set(priced)) > 10
    assert again.popularity("credit_card") == first.popularity("credit_card") > 0
    assert again.channel_share("teller") == first.channel_share("teller") > 0


def test_scores_are_probabilities(small_run, x):
    p = small_run.release.p_start(x)
    assert p.shape == (len(x), len(small_run.release.products))
    assert ((p > 0) & (p < 1)).all()
    chosen = small_run.release.preference(x, ["fund_r2"] * len(x), ["signing"] * len(x))
    np.testing.assert_allclose(chosen.sum(axis=1), 1, atol=1e-12)


def test_one_row_scores_as_in_a_batch(small_run, x):
    release = small_run.release
    batch = release.p_start(x)
    alone = np.vstack([release.p_start(row.reshape(1, -1)) for row in x])
    np.testing.assert_allclose(alone, batch, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", FILES)
def test_a_spoilt_file_is_named(folder, name):
    path = folder / name
    whole = path.read_bytes()
    for spoilt in (whole[: len(whole) // 2], b"", whole.replace(b"a", b"b", 1)):
        path.write_bytes(spoilt)
        with pytest.raises(ReleaseError, match=f"{name}: its sha256 is not that of the manifest"):
            Release.load(folder)
    path.unlink()
    with pytest.raises(ReleaseError, match=f"{name}: missing from the release"):
        Release.load(folder)


def test_an_edited_manifest_is_refused(folder):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["metrics"]["next_product"]["hit_rate_at_3"] = 0.99
    path.write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(ReleaseError, match=r"manifest\.json: was altered"):
        Release.load(folder)


@pytest.mark.parametrize("text", ["", "{", '{"id": 3}', "\u4e2d"])
def test_a_broken_manifest_is_named(folder, text):
    (folder / "manifest.json").write_text(text, "gb18030")
    with pytest.raises(ReleaseError, match=r"manifest\.json: not a manifest"):
        Release.load(folder)


def test_no_manifest_is_no_release(tmp_path):
    with pytest.raises(ReleaseError, match=r"manifest\.json: no such file; a release is a folder"):
        Release.load(tmp_path)


@pytest.mark.parametrize("head", ["p_start", "preference", "amount_cny"])
def test_golden_rows_with_other_scores_are_refused(small_run, head):
    release = small_run.release
    golden = json.loads((release.folder / "golden.json").read_text("utf-8"))
    release.check_golden(parse_config(golden, Golden, "golden"))
    scores = golden[head] if head == "amount_cny" else golden[head][3]
    assert scores[1] > 0
    scores[1] += 2e-9
    with pytest.raises(ReleaseError, match=f"other {head} scores"):
        release.check_golden(parse_config(golden, Golden, "golden"))
    scores[1] = float("nan")
    with pytest.raises(ReleaseError, match=f"other {head} scores"):
        release.check_golden(parse_config(golden, Golden, "golden"))


def test_golden_rows_are_nobodys(small_run, small_source):
    """Columns are drawn apart: no golden row is a row of the training matrix."""
    spine, _ = spine_and_cuts(small_run.config, small_source, None)
    moments = sorted(set(spine.arrow()["as_of"].to_pylist()))
    table = build(customers_at(small_source, [moment(us) for us in moments[:2]]))
    x = small_run.release.feature_set.encode(table)
    known = {tuple(row) for row in np.nan_to_num(x, nan=-9)}
    assert len(known) > 500
    golden = json.loads((small_run.release.folder / "golden.json").read_text("utf-8"))
    rows = np.nan_to_num(np.array(golden["rows"], dtype=float), nan=-9)
    assert not {tuple(row) for row in rows} & known


def test_a_catalog_with_other_ids_is_refused_and_both_lists_are_printed(small_run):
    catalog = load_catalog(CONFIGS / "catalog" / "bank")
    check_catalog(small_run.release, catalog)
    fewer = catalog.model_copy(update={"offers": catalog.offers[1:]})
    with pytest.raises(ReleaseError, match="other offers than catalog 'bank'") as caught:
        check_catalog(small_run.release, fewer)
    assert f"release: {', '.join(catalog.offer_ids)}" in str(caught.value)
    assert f"catalog: {', '.join(catalog.offer_ids[1:])}" in str(caught.value)
    turned = catalog.model_copy(update={"channels": catalog.channels[::-1]})
    with pytest.raises(ReleaseError, match="other channels"):
        check_catalog(small_run.release, turned)


def test_a_head_that_was_not_trained_is_asked_for_in_vain(small_run):
    whole = small_run.release
    parts = (whole._completion, whole._amounts, whole._popularity)
    bare = Release(whole.folder, whole.manifest, whole.feature_set, None, None, *parts)
    with pytest.raises(ReleaseError, match="no next_product model"):
        _ = bare.products
    with pytest.raises(ReleaseError, match="no channel_preference model"):
        _ = bare.choice_channels


def test_saving_replaces_a_release_and_nothing_else(small_run, folder, tmp_path, x):
    release = small_run.release
    (folder / "stray.txt").write_text("of an older version", "utf-8")
    saved = release.save(folder, x)
    assert not (folder / "stray.txt").exists()
    assert np.array_equal(saved.p_start(x), release.p_start(x))
    papers = tmp_path / "papers"
    papers.mkdir()
    (papers / "thesis.txt").write_text("precious", "utf-8")
    with pytest.raises(ReleaseError, match="papers: holds other files"):
        release.save(papers, x)
    assert (papers / "thesis.txt").read_text("utf-8") == "precious"
    with pytest.raises(ReleaseError, match="is a file"):
        check_replaceable(papers / "thesis.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["papers", "release"]


def test_a_release_that_cannot_be_loaded_back_replaces_nothing(
    small_run, folder, tmp_path, x, monkeypatch
):
    def differs(self, golden):
        raise ReleaseError("other scores")

    monkeypatch.setattr(Release, "check_golden", differs)
    with pytest.raises(ReleaseError, match="other scores"):
        small_run.release.save(folder, x)
    with pytest.raises(ReleaseError, match="other scores"):
        small_run.release.save(tmp_path / "new", x)
    monkeypatch.undo()
    assert Release.load(folder).id == small_run.release.id
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_the_id_is_of_the_whole_content(small_run):
    manifest = small_run.release.manifest
    assert len(manifest.id) == 12
    assert set(manifest.files) == set(FILES)
    assert isinstance(manifest, Manifest)
    assert manifest.heads == ("next_product", "channel_preference")
    assert manifest.offer_ids[0] == "deposit_3m"
    assert manifest.data["customers"]["rows"] > 0
    assert list(manifest.windows) == ["train", "stop", "calibrate", "test"]
