"""No tag of channels, benefits, experience and gates sees the future."""

from datetime import UTC, datetime

from features.spine import customers_at
from features.tags.build import build_tags
from features.tags.registry import available_tags

GROUPS = ("channel", "benefit", "experience", "gate")
MODELS = {"channel_pref", "needs_person"}


def differing(source, known, as_of) -> tuple[list[str], list[str]]:
    """Tags that differ between two banks at a moment, and those that say anything there."""
    tags = available_tags(source, GROUPS)
    assert set(tags.lost) <= MODELS
    now = build_tags(customers_at(source, [as_of]), tags)
    then = build_tags(customers_at(known, [as_of]), tags)
    told = [name for name in now.column_names if now[name].null_count < now.num_rows]
    return [name for name in now.column_names if not now[name].equals(then[name])], told


def test_eight_customers_as_known_at(example_source, example_folder, tables_as_known_at, clock):
    """Of 10 June: much happened later, or was known or filled in later."""
    as_of = datetime(2026, 6, 10, tzinfo=UTC)
    known = tables_as_known_at(example_folder, as_of, clock)
    others, _ = differing(example_source, known, as_of)
    assert others == []


def test_simulated_bank_as_known_at(simulated_source, simulated_folder, tables_as_known_at):
    as_of = datetime(2026, 2, 11, 3, 4, 5, tzinfo=UTC)
    known = tables_as_known_at(simulated_folder, as_of, as_of)
    others, told = differing(simulated_source, known, as_of)
    assert others == []
    assert len(told) > 60
