"""Data quality: what is counted, and what is an alarm."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from pydantic import ValidationError

from features.errors import ConfigError
from features.quality.freshness import freshness
from features.quality.limits import Limits
from features.quality.profile import Profile, load_profile, save_profile
from features.quality.report import Report, check_quality, may_be_reference
from features.sources import CONFIGS, open_source
from features.spine import microseconds
from features.terminal import parse_clock

NOW = parse_clock("2026-07-01T10:00+08:00")
LIMITS = Limits()
DAY = 86_400_000_000
"""The usual rule: a PSI above it is a drift, whatever the size of the samples."""


# --- what is counted


@pytest.fixture(scope="module")
def example_report(example_source):
    return check_quality(example_source, NOW, LIMITS)


def test_counts_of_the_eight_customers(example_report):
    report, profile = example_report
    ratings = report.tables["ratings"]
    assert (ratings.rows, ratings.recent_rows, ratings.sample) == (5, 3, 3)
    assert ratings.newest.isoformat() == "2026-06-20T11:15:00+08:00"
    score = ratings.columns["score"]
    assert (score.missing, score.distinct, score.low, score.high) == (0, 3, 1, 5)
    assert ratings.columns["stage"].missing == 1
    assert ratings.columns["stage"].missing_share == 0.2
    assert ratings.columns["stage"].commonest == {"servicing": 2, "signing": 1}
    assert ratings.columns["resolved_at"].low == "2026-06-15T11:00:00+08:00"
    assert report.tables["transactions"].columns["amount_cny"].high == 300_000
    assert report.tables["customers"].columns["birth_date"].low[:2] == "19"
    recent = profile.tables["ratings"].columns["score"].recent
    assert recent.edges == (1, 1, 5)
    assert recent.counts == (0, 1, 2, 0)  # below 1, 1, above it to 5, above 5


def test_ids_and_names_leave_only_how_many_there_are(example_report):
    _, profile = example_report
    text = profile.model_dump_json()
    for word in ("old_branch", "13800000001", "young_app"):
        assert word not in text
    assert profile.tables["customers"].columns["customer_id"].distinct == 8


def test_a_profile_saved_is_the_profile_read(example_report, tmp_path):
    _, profile = example_report
    save_profile(profile, tmp_path / "new" / "reference.json")
    assert load_profile(tmp_path / "new" / "reference.json") == profile
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["reference.json"]


def test_bins_hold_every_recent_row(simulated_now):
    _, profile = simulated_now
    compared = 0
    for table in profile.tables.values():
        for name, column in table.columns.items():
            if column.recent is None:
                continue
            compared += 1
            assert column.recent.rows == table.recent_rows
            assert column.recent.missing == column.recent_missing, name
            assert column.recent.other >= 0
            if column.recent.edges:
                assert column.recent.other == 0
                assert (column.recent.counts[0], column.recent.counts[-1]) == (0, 0)
    assert compared > 60


def test_bins_are_those_numpy_counts(simulated_bank, simulated_now):
    _, profile = simulated_now
    recent = profile.tables["transactions"].columns["amount_cny"].recent
    newest = profile.tables["transactions"].newest
    values = simulated_bank.con.execute(
        "select cast(amount_cny as double) as v from transactions where event_time > ?",
        [newest - 90 * DAY],
    ).fetchnumpy()["v"]
    low, *inner = recent.edges
    assert (len(values), values.min()) == (recent.rows, low)
    places = np.searchsorted(inner, values, side="left")
    assert np.bincount(places, minlength=len(inner) + 1).tolist() == list(recent.counts[1:])


# --- a bank that changed


@pytest.fixture(scope="module")
def simulated_bank(simulated_folder):
    return open_source(CONFIGS / "sources" / "simulated_bank.yaml", simulated_folder, NOW)


@pytest.fixture(scope="module")
def simulated_now(simulated_bank) -> tuple[Report, Profile]:
    return check_quality(simulated_bank, NOW, LIMITS)


@pytest.fixture
def changed(simulated_bank, simulated_now):
    """Check the bank after SQL changed it, against what it was; undone when the test ends."""
    con = simulated_bank.con
    con.begin()

    def check(*statements: str, limits: Limits = LIMITS) -> Report:
        for statement in statements:
            con.execute(statement)
        return check_quality(simulated_bank, NOW, limits, simulated_now[1])[0]

    yield check
    con.rollback()


def found(report: Report) -> set[tuple[str, str, str, str]]:
    return {(one.level, one.kind, one.table, one.column) for one in report.findings}


def test_the_same_bank_has_no_findings(changed):
    report = changed()
    assert (report.level, report.findings) == ("ok", ())
    assert sum(
        one.drift is not None and one.drift.psi is not None
        for table in report.tables.values()
        for one in table.columns.values()
    ) > 40  # fmt: skip


def test_a_shifted_amount_is_an_alarm_of_that_column_alone(changed):
    report = changed("update transactions set amount_cny = least(amount_cny * 6, 9e9)")
    assert found(report) == {("alarm", "drift", "transactions", "amount_cny")}
    assert not may_be_reference(report)


def test_the_last_weeks_alone_are_enough(changed):
    """Of thirty months one and a half went wrong: over all rows that would be lost."""
    since = microseconds(NOW) - 45 * DAY
    mobile = f"event_time > {since} and channel = 'mobile_bank'"
    report = changed(f"update interactions set channel = 'teller' where {mobile}")  # noqa: S608
    assert ("alarm", "drift", "interactions", "channel") in found(report)
    over_all = changed(limits=Limits(recent_days=90, psi_floor=10))
    assert found(over_all) == set()


def test_a_column_that_is_missing_more_often(changed):
    report = changed("update interactions set duration_s = null where hash(event_time) % 10 < 2")
    assert ("alarm", "missing", "interactions", "duration_s") in found(report)
    one = report.tables["interactions"].columns["duration_s"]
    assert one.missing_before == 0
    assert one.recent_missing_share == pytest.approx(0.2, abs=0.02)


def test_a_few_more_missing_are_chance(changed):
    report = changed("update ratings set stage = null where hash(event_time) % 10 < 2")
    one = report.tables["ratings"].columns["stage"]
    assert one.recent_missing_share > one.missing_before + LIMITS.missing_rise
    assert found(report) == set()


def test_a_clock_eight_hours_off_in_one_column(changed):
    report = changed(f"update contacts set delivered_at = delivered_at + {DAY // 3}")  # noqa: S608
    assert found(report) == {("alarm", "drift", "contacts", "delivered_at")}


def test_times_that_only_move_forward_are_not_tested(changed):
    earlier = f"event_time = event_time - {DAY}, available_at = available_at - {DAY}"
    report = changed(f"update interactions set {earlier}")  # noqa: S608
    assert found(report) == set()
    assert report.tables["interactions"].columns["event_time"].drift is None


def test_a_vocabulary_that_became_names(changed):
    report = changed("update customers set occupation = 'x' || customer_id")
    assert ("alarm", "drift", "customers", "occupation") in found(report)
    assert report.tables["customers"].columns["occupation"].commonest == {}


def test_a_table_with_fewer_rows(changed):
    report = changed("delete from balances where hash(customer_id) % 4 = 0")
    assert ("alarm", "fewer_rows", "balances", "") in found(report)
    report = changed("delete from accounts where hash(customer_id) % 25 = 0")
    assert ("warning", "fewer_rows", "accounts", "") in found(report)


def test_a_table_without_rows(changed):
    report = changed("delete from ratings")
    assert {("warning", "empty", "ratings", ""), ("alarm", "fewer_rows", "ratings", "")} == found(
        report
    )


def test_a_column_that_went_empty_is_told(changed):
    report = changed("update contacts set purpose = null")
    assert ("warning", "empty", "contacts", "purpose") in found(report)


def test_a_stale_table(changed):
    since = microseconds(NOW) - 4 * DAY
    report = changed(f"delete from transactions where event_time > {since}")  # noqa: S608
    (stale,) = [one for one in report.findings if one.kind == "stale"]
    assert (stale.level, stale.table) == ("alarm", "transactions")
    assert report.tables["transactions"].freshness.age_days >= 4
    assert "usual gap 1 days" in stale.en
    assert "通常间隔 1 天" in stale.zh
    assert may_be_reference(report)  # late is not different


def test_what_is_no_longer_brought_is_an_alarm(bank):
    before = check_quality(bank.open(), NOW, LIMITS)[1]
    bank.without("benefits")
    bank.drop_column("interactions", "wait_s")
    report, _ = check_quality(bank.open(), NOW, LIMITS, before)
    assert found(report) == {
        ("alarm", "lost", "benefits", ""), ("alarm", "lost", "interactions", "wait_s"),
    }  # fmt: skip


def test_another_sources_reference_is_refused(example_source, simulated_now):
    with pytest.raises(ConfigError, match="is of source 'simulated_bank'"):
        check_quality(example_source, NOW, LIMITS, simulated_now[1])


def test_a_reference_of_other_days_is_refused(simulated_bank, simulated_now):
    with pytest.raises(ConfigError, match="last 90 days and recent_days is 30"):
        check_quality(simulated_bank, NOW, Limits(recent_days=30), simulated_now[1])


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "not a reference"), ('{"source": "x"}', "key 'clock' is missing"), (None, "no such")],
)
def test_a_reference_that_cannot_be_read(tmp_path, text, words):
    file = tmp_path / "reference.json"
    if text is not None:
        file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=words) as caught:
        load_profile(file)
    assert str(file) in str(caught.value)


# --- the rhythm of a table

MONDAY = datetime(2024, 7, 1, 4, tzinfo=UTC)
RHYTHMS = {
    "every day": (range(0, 728), 1, 2, 3),
    "weekdays": ([day for day in range(0, 728) if day % 7 < 5], 3, 4.5, 9),
    "every fourth week": (range(0, 728, 28), 28, 42, 84),
    "too few to have one": (range(0, 728, 180), None, None, None),
}


@pytest.fixture
def rhythm(bank):
    """Make `benefits` happen on these days after a Monday; tell its freshness so many days on."""
    source = bank.open()

    def tell(days, age_days):
        times = [microseconds(MONDAY + timedelta(days=day)) for day in days]
        source.con.execute("delete from benefits")
        source.con.executemany(
            "insert into benefits values ('old_branch', ?, 'lounge', 'granted', null)",
            [[time] for time in times],
        )
        clock = times[-1] + round(age_days * DAY)
        return freshness(source, "benefits", times[-1], clock, LIMITS)

    return tell


@pytest.mark.parametrize("name", RHYTHMS)
def test_the_limit_grows_with_the_rhythm(rhythm, name):
    days, gap, warns, alarms = RHYTHMS[name]
    told = rhythm(days, 1)
    assert (told.usual_gap_days, told.warning_days, told.alarm_days) == (gap, warns, alarms)
    assert told.level == "ok"
    if warns is None:
        assert rhythm(days, 1_000).level == "ok"
        return
    assert rhythm(days, warns - 0.01).level == "ok"
    assert rhythm(days, warns + 0.01).level == "warning"
    assert rhythm(days, alarms + 0.01).level == "alarm"


def test_the_days_are_the_banks(rhythm):
    """Rows at 15:00 and 17:00 UTC are of one UTC day, and of two days in Shanghai."""
    hours = [day + hour / 24 for day in range(0, 40, 2) for hour in (11, 13)]
    assert rhythm(hours, 0).usual_gap_days == 1


def test_an_order_of_events_has_no_freshness(bank):
    bank.replace("source", "horizon: {days: 30}", "horizon: next_event")
    bank.replace("source", "every: month", "every: event")
    report, _ = check_quality(bank.open(), NOW + timedelta(days=9_000), LIMITS)
    assert {one.freshness for one in report.tables.values()} == {None}
    assert found(report) == set()


# --- limits and the report as JSON


@pytest.mark.parametrize(
    "wrong",
    [{"warning_gaps": 4}, {"fewer_rows_warning": 0.5}, {"psi": 0.1}, {"false_alarm_share": 0}],
)
def test_limits_that_cannot_be(wrong):
    with pytest.raises(ValidationError):
        Limits(**wrong)


def test_the_report_is_json_of_its_schema(changed):
    report = changed("update transactions set amount_cny = least(amount_cny * 6, 9e9)")
    text = json.dumps(report.model_dump(mode="json"))
    assert Report.model_validate(json.loads(text)) == report
    schema = Report.model_json_schema()
    assert set(schema["required"]) == set(json.loads(text))
    drift = json.loads(text)["tables"]["transactions"]["columns"]["amount_cny"]["drift"]
    assert drift["psi"] > drift["psi_bound"] > 0
    assert drift["psi_floor"] == 0.1


def test_two_queries_a_table_and_one_for_its_rhythm_whatever_its_size(example_source, monkeypatch):
    asked: list[str] = []

    class Counting:
        def sql(self, query):
            asked.append(query)
            return example_source.con.sql(query)

        def execute(self, query, parameters):
            asked.append(query)
            return example_source.con.execute(query, parameters)

    class Watched:
        con, config, rows, has = (
            Counting(), example_source.config, example_source.rows, example_source.has,
        )  # fmt: skip

    report, _ = check_quality(Watched(), NOW, LIMITS)
    with_time = [one for one in report.tables.values() if one.freshness is not None]
    assert len(asked) <= 1 + 2 * len(report.tables) + len(with_time)
