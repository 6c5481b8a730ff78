"""What tags read of the scorecard is what serving reads of it."""

from datetime import date

import pytest

from features.catalog import STAGES, load_catalog
from features.errors import ConfigError
from features.source_config import CONFIGS
from features.tags import migratable
from features.tags.book import load_tag_book
from features.tags.channel_facts import slots
from features.tags.migratable import allowed_steps
from features.tags.parts import channels_named
from serving.decide.rulebook import load_rulebook
from serving.decide.scorecard import OTHERS

BANK = CONFIGS / "catalog" / "bank"


@pytest.fixture(scope="module")
def bank():
    return load_catalog(BANK)


@pytest.mark.parametrize("name", ["bank", "insurance"])
def test_every_cell_is_as_serving_fills_it(name):
    rules = load_rulebook(CONFIGS / "catalog" / name)
    for channel in rules.catalog.handle_ids:
        found = allowed_steps(rules.catalog, [channel])
        for offer in rules.catalog.offer_ids:
            for stage in STAGES:
                cell = rules.cell(offer, stage, channel, OTHERS)
                expected = cell.expires if cell is not None and cell.allowed else None
                assert found.get((offer, stage)) == expected, (offer, stage, channel)


def test_any_of_several_channels_is_enough_for_as_long_as_any_may(bank, monkeypatch, tmp_path):
    card = """
expires: 2026-12-31
rules:
  - {channels: [mobile_bank], stages: [signing], compliance: allowed, expires: 2026-01-31}
  - {channels: [wechat_bank], stages: [signing, inquiry], compliance: allowed}
  - {offers: [cd_3y], channels: [wechat_bank], compliance: forbidden}
"""
    folder = tmp_path / "catalog" / "bank"
    folder.mkdir(parents=True)
    (folder / "scorecard.yaml").write_text(card, "utf-8")
    monkeypatch.setattr(migratable, "CONFIGS", tmp_path)
    found = allowed_steps(bank, ["mobile_bank", "wechat_bank"])
    assert found["deposit_1y", "signing"] == date(2026, 12, 31)
    assert found["cd_3y", "signing"] == date(2026, 1, 31)
    assert ("cd_3y", "inquiry") not in found
    assert ("deposit_1y", "application") not in found


def test_an_unknown_channel_in_a_threshold_is_named(bank):
    settings = load_tag_book(BANK, ("channel",))["reachable"]
    thresholds = {**settings.thresholds, "channels": ("sms", "wecon")}
    with pytest.raises(ConfigError, match=r"'可触达渠道'.*'wecon'; did you mean 'wecom'\?"):
        channels_named(bank, settings.model_copy(update={"thresholds": thresholds}), "channels")


@pytest.mark.parametrize("hours", [5.0, 1.5, 0.0])
def test_hours_that_do_not_divide_a_day_are_refused(hours):
    settings = load_tag_book(BANK, ("channel",))["best_hour"]
    thresholds = {**settings.thresholds, "slot_hours": hours}
    with pytest.raises(ConfigError, match="give hours that divide a day"):
        slots(settings.model_copy(update={"thresholds": thresholds}))
