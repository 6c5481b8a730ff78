"""Training YAML: what is wrong is named, heads come from siblings, nothing trains nothing."""

from pathlib import Path

import pytest

from features.errors import ConfigError
from training.config import load_run_config

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "training"


@pytest.fixture
def write(tmp_path):
    def writer(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(f"name: {name.removesuffix('.yaml')}\npurpose: a test\n{text}", "utf-8")
        return path

    return writer


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_parses(path):
    assert load_run_config(path).heads


def test_release_takes_both_heads_from_its_siblings():
    release = load_run_config(CONFIGS / "release.yaml")
    assert release.heads == ("next_product", "channel_preference")
    assert release.next_product == load_run_config(CONFIGS / "next_product.yaml").next_product


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("next_product: {num_leafs: 3}", "num_leaves"),
        ("next_produkt: {}", "did you mean 'next_product'"),
        ("splits: {test_month: 1}\nnext_product: {}", "did you mean 'test_months'"),
        ("splits: {test_share: 1.5}\nnext_product: {}", "test_share"),
        ("next_product: {max_rounds: many}", "max_rounds"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_file(write, text, said):
    path = write("wrong.yaml", text)
    with pytest.raises(ConfigError, match=said) as caught:
        load_run_config(path)
    assert str(path) in str(caught.value)


def test_a_configuration_that_trains_nothing_is_refused(write):
    with pytest.raises(ConfigError, match="trains nothing; give next_product, channel_preference"):
        load_run_config(write("nothing.yaml", "seed: 2"))


def test_heads_from_a_sibling_keep_the_files_own_head(write):
    write("other.yaml", "next_product: {num_leaves: 3}\nchannel_preference: {num_leaves: 4}")
    path = write("mine.yaml", "heads_from: [other.yaml]\nnext_product: {num_leaves: 30}")
    config = load_run_config(path)
    assert config.next_product.num_leaves == 30
    assert config.channel_preference.num_leaves == 4
    assert config.name == "mine"


def test_heads_from_a_missing_sibling_names_it(write):
    with pytest.raises(ConfigError, match=r"absent\.yaml: no such file"):
        load_run_config(write("mine.yaml", "heads_from: [absent.yaml]"))


def test_heads_from_oneself_is_an_error_and_not_for_ever(write):
    write("first.yaml", "heads_from: [second.yaml]")
    path = write("second.yaml", "heads_from: [first.yaml]")
    with pytest.raises(ConfigError, match="from itself"):
        load_run_config(path)
