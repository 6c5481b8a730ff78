"""Studies: the bars of their issue hold, nothing reads the future, and a lost bar is told."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.studies import STUDIES, run_study
from experiments.studies.diary_features import HELD, Payments, features
from experiments.studies.study import Reference, StudyError, StudyResult, parse_cut, read_files
from experiments.studies.telemarketing import COLUMNS, read_calls
from features.errors import ConfigError

# what every study shares


def test_a_lost_bar_is_told_with_its_margin():
    references = {
        "accuracy": Reference(bar=0.705),
        "log_loss": Reference(published=0.76, bar=0.775, must="≤"),
    }
    lost = StudyResult("s", {"accuracy": 0.70, "log_loss": 0.77}, references)
    assert lost.verdict == (
        "1 of 2 bars lost: accuracy 0.7000, not ≥ 0.7050 (by 0.0050); "
        "met: log_loss 0.7700 ≤ 0.7750 (by 0.0050); "
        "behind the published number: log_loss 0.7700 against 0.7600."
    )
    met = StudyResult("s", {"accuracy": 0.71, "log_loss": 0.75}, references)
    assert met.verdict.startswith("All 2 bars met: accuracy 0.7100 ≥ 0.7050 (by 0.0050)")


def test_a_metric_that_is_not_a_number_is_lost_and_null():
    result = StudyResult("s", {"auc": float("nan")}, {"auc": Reference(bar=0.5)})
    assert "1 of 1 bars lost" in result.verdict
    assert result.as_json()["metrics"] == {"auc": None}


def test_equal_means_to_four_digits():
    assert Reference(bar=0.6217, must="=").margin(0.62165) == 0
    assert Reference(bar=0.6217, must="=").margin(0.6216) < 0
    assert Reference(bar=True, must="=").margin(False) < 0


def test_a_longer_file_may_lie_beside_the_one_it_repeats(tmp_path):
    pd.DataFrame({"a": [1, 1, 2]}).to_csv(tmp_path / "1.csv", index=False)
    pd.DataFrame({"a": [1, 1, 2, 3]}).to_csv(tmp_path / "2.csv", index=False)
    assert read_files(tmp_path, "*.csv", ["a"], pd.read_csv)["a"].tolist() == [1, 1, 2, 3]


def test_errors_name_the_file_the_column_and_the_cut(tmp_path):
    with pytest.raises(StudyError, match=r"no file \*\.csv"):
        run_study("telemarketing", tmp_path)
    with pytest.raises(StudyError, match=r"purchase_events_train\.csv: no such file"):
        run_study("purchase_ranking", tmp_path)
    pd.DataFrame({"event_id": [1], "item": ["x"]}).to_csv(
        tmp_path / "purchase_events_train.csv", index=False
    )
    with pytest.raises(StudyError, match="column 'item_id' is missing; did you mean 'item'"):
        run_study("purchase_ranking", tmp_path)
    with pytest.raises(StudyError, match="no such folder"):
        run_study("payments_diary", tmp_path / "nothing")
    with pytest.raises(StudyError, match="neither a number nor a day"):
        parse_cut("next week")
    with pytest.raises(ConfigError, match="did you mean 'telemarketing'"):
        run_study("telemarketin")


def test_the_command_says_what_to_mend_without_a_traceback(experiments):
    code, _, err = experiments("run", "payments_dairy")
    assert code == 2
    assert "did you mean 'payments_diary'" in err
    assert "Traceback" not in err


# purchase ranking


@pytest.mark.needs("data")
def test_popularity_equals_the_published_figures_and_json_comes_last(experiments):
    code, out, err = experiments("run", "purchase_ranking", "--json")
    assert code == 0, err
    found = json.loads(out.splitlines()[-1])
    assert set(found) == {"study", "metrics", "references", "verdict"}
    published = {
        "hit_rate_at_3": 0.6217, "precision_at_3": 0.2145, "recall_at_3": 0.5855,
        "mrr_at_3": 0.4764, "map_at_3": 0.4540,
    }  # fmt: skip
    assert {name: round(found["metrics"][name], 4) for name in published} == published
    assert found["verdict"].startswith("All 5 bars met")
    for name in published:
        assert set(found["references"][name]) == {"naive", "published", "bar"}


def test_a_cut_moves_events_from_train_to_test(tmp_path):
    events = pd.DataFrame({"event_id": [1, 2, 3, 4], "item_id": ["a", "a", "b", "b"]})
    events.iloc[:3].to_csv(tmp_path / "purchase_events_train.csv", index=False)
    events.iloc[3:].to_csv(tmp_path / "purchase_events_test.csv", index=False)
    assert run_study("purchase_ranking", tmp_path).metrics["test_events"] == 1
    moved = run_study("purchase_ranking", tmp_path, "2")
    # only `a` was sold by then: both later purchases of `b` are missed
    assert (moved.metrics["test_events"], moved.metrics["recall_at_3"]) == (2, 0.0)
    assert "5 of 5 bars lost" in moved.verdict


# telemarketing


def calls(days, outcomes=None, sizes=None):
    """Calls of November on the days given, one row a call."""
    row = dict.fromkeys(COLUMNS, 1) | {"month": "nov", "job": "student", "y": "no"}
    rows = pd.DataFrame([{**row, "day": day} for day in days])
    return rows if outcomes is None else rows.assign(y=outcomes)


def test_a_call_knows_the_list_of_the_last_calling_day_and_nothing_of_its_own():
    found = read_calls(calls([3, 3, 3, 4, 7, 7]), Path("calls.csv"))
    size = found.x[:, found.names.index("log_calls_last_calling_day")]
    since = found.x[:, found.names.index("days_since_calling_day")]
    np.testing.assert_allclose(np.exp(size), [np.nan] * 3 + [3, 1, 1])
    np.testing.assert_equal(since, [np.nan] * 3 + [1, 3, 3])


def test_outcomes_and_duration_are_no_features():
    rows = calls([3, 3, 4])
    changed = rows.assign(y=["yes", "no", "yes"], duration=[9, 99, 999])
    left, right = (read_calls(one, Path("calls.csv")) for one in (rows, changed))
    np.testing.assert_array_equal(left.x, right.x)
    assert not {"y", "duration"} & set(left.names)


def test_later_calls_change_no_earlier_features():
    whole = read_calls(calls([3, 3, 4, 7, 7]), Path("calls.csv"))
    early = read_calls(calls([3, 3, 4]), Path("calls.csv"))
    np.testing.assert_array_equal(whole.x[:3], early.x)


def test_calls_out_of_order_are_refused():
    with pytest.raises(StudyError, match="row 2 is earlier"):
        read_calls(calls([4, 3]), Path("calls.csv"))
    with pytest.raises(StudyError, match="month 'Nov' is none of"):
        read_calls(calls([3]).assign(month="Nov"), Path("calls.csv"))


@pytest.mark.needs("data")
def test_telemarketing_meets_its_bars_and_the_sentinel_stops_duration_only():
    found = run_study("telemarketing")
    assert found.verdict.startswith("All 5 bars met")
    assert found.metrics["auc_random_5_fold"] >= 0.79
    assert found.metrics["auc_last_third"] >= 0.65
    assert found.metrics["auc_rolling"] >= 0.74
    assert found.metrics["leak_caught"] is True
    assert found.metrics["honest_stopped"] is False
    for name in ("auc_random_5_fold", "auc_last_third", "auc_rolling"):
        assert found.metrics[name] > found.references[name].naive


# payments diary


@pytest.fixture
def diary():
    """Twelve payments of two people; the last but one has no time."""
    random = np.random.default_rng(1)
    n = 12
    rows = pd.DataFrame({
        "id": [1, 2] * 6,
        "date": ["2017-10-01"] * 4 + ["2017-10-02"] * 4 + ["2018-10-01"] * 4,
        "time": [900, 900, 900, 1000, 800, 900, 1000, 1100, 900, 1000, np.nan, 1200],
        "type": "payment",
        "pi": random.choice(["cash", "debit_card", "app"], n),
        "amnt": random.uniform(1, 100, n).round(2),
        "merch": random.choice([1.0, 2.0], n),
        "in_person": "yes", "payee": "services", "bill": "no",
        "education": "high_school", "gender": "male", "work": "employed", "marital": "married",
    })  # fmt: skip
    return rows.assign(**dict.fromkeys(["age", "hh_income", "hh_size", *HELD], 1.0))


def test_another_outcome_changes_only_what_comes_after_it(diary):
    before = Payments.of(diary)
    x, names = features(before)
    for changed in range(len(diary)):
        other = diary.copy()
        other.loc[changed, "pi"] = "check"
        after = Payments.of(other)
        y, _ = features(after)
        own = np.flatnonzero(after.choice != before.choice)[0]
        differs = ~np.isclose(x, y, equal_nan=True).all(axis=1)
        assert (before.as_of[differs] > before.known_at[own]).all(), names
    assert differs.sum() == 0  # the payment known last is read by none


def test_a_payment_of_the_same_minute_or_without_a_time_is_not_read(diary):
    payments = Payments.of(diary)
    x, names = features(payments)
    count = x[:, names.index("own_all_payments")]
    person_1 = np.flatnonzero(payments.rows["id"] == 1)
    # 9:00 twice on the first day; the one without a time, put first, reads the days before only
    days_first = np.round(count[person_1][:4], 1).tolist()
    assert days_first == [0.0, 0.0, 2.0, 3.0]
    assert payments.rows["time"].isna()[person_1].tolist()[4]
    assert count[person_1][4] == count[person_1][5]


def test_the_number_of_a_person_is_no_feature(diary):
    x, names = features(Payments.of(diary))
    renamed, _ = features(Payments.of(diary.assign(id=diary["id"].map({1: 77, 2: 5}))))
    np.testing.assert_allclose(x, renamed)
    assert "id" not in names


@pytest.mark.needs("data")
def test_payments_diary_meets_its_bars():
    found = run_study("payments_diary", test_from="2018")
    assert found.metrics["test_rows"] == 11_534
    assert found.verdict.startswith("All 3 bars met")
    assert found.metrics["accuracy"] >= 0.705
    assert found.metrics["macro_auc"] >= 0.914
    assert found.metrics["log_loss"] <= 0.775
    assert found.metrics["majority_accuracy"] == pytest.approx(0.2937, abs=5e-5)


def test_the_registry_holds_the_studies_of_public_sets():
    assert {"payments_diary", "purchase_ranking", "telemarketing"} <= set(STUDIES)
