"""Bad input: each breach of the contract is named with its place and its remedy."""

import pytest

from features.errors import ConfigError, ContractError, SourceError
from features.sources import Source, open_source


def refusal(bank, kind) -> str:
    with pytest.raises(kind) as caught:
        bank.open()
    return str(caught.value)


def test_the_example_bank_keeps_the_contract(example_source: Source):
    assert example_source.rows["customers"] == 9
    assert example_source.missing_tables == ()


# what is spoilt in which table, and what the message must hold
BREACHES = {
    "missing column": (
        lambda bank: bank.drop_column("interactions", "channel"),
        ["table 'interactions'", "required column 'channel' is missing", "add it there"],
    ),
    "unknown column": (
        lambda bank: bank.replace("holdings", "maturity_at", "matures_at"),
        ["table 'holdings'", "no column 'matures_at'", "did you mean 'maturity_at'?"],
    ),
    "a word for money": (
        lambda bank: bank.replace("balances", "38000.30", "plenty"),
        ["table 'balances', column 'balance_cny': 1 values", "money", "plenty", "old_branch"],
    ),
    "a word for a time": (
        lambda bank: bank.replace("ratings", "2026-06-05 01:30:00", "yesterday"),
        ["table 'ratings', column 'event_time': 1 values", "TIMESTAMP", "yesterday"],
    ),
    "a fraction for days": (
        lambda bank: bank.replace("accounts", ",45,", ",3.7,"),
        ["table 'accounts', column 'overdue_days': 1 values", "integer", "3.7"],
    ),
    "duplicated key": (
        lambda bank: bank.append("staff", "S1,O2,teller,400,王芳"),
        ["table 'staff': 1 keys (staff_id)", "keep one row of each", "S1"],
    ),
    "duplicated key of several columns": (
        lambda bank: bank.append("balances", "overdue,2026-06-30 10:00:00,demand,7.00,"),
        ["table 'balances': 1 keys (customer_id, event_time, asset_class)", "2026-06-30 10:00:00"],
    ),
    "one customer under two identities at one moment": (
        lambda bank: bank.append(
            "reachability", "13800000001,2022-09-01 05:00:00,push,true,"
        ),
        ["table 'reachability': 1 keys", "customer_id=young_app"],
    ),
    "unknown channel": (
        lambda bank: bank.replace("interactions", "teller", "telller"),
        ["table 'interactions', column 'channel': 1 values", "'telller'", "did you mean 'teller'?"],
    ),
    "unknown product": (
        lambda bank: bank.replace("holdings", "cd_3y", "cd_4y"),
        ["table 'holdings', column 'product'", "did you mean 'cd_3y'?", "customer_id=managed"],
    ),
    "unknown word of the contract": (
        lambda bank: bank.replace("transactions", "pension", "pention"),
        ["table 'transactions', column 'kind'", "did you mean 'pension'?", "repayment"],
    ),
    "future": (
        lambda bank: bank.replace("ratings", "2026-06-12 04:30:00", "2026-07-01 02:00:00.000001"),
        ["table 'ratings', column 'event_time': 1 values lie in the future", "--clock",
         "event_time=2026-07-01 02:00:00.000001"],
    ),
    "a cell of the future": (
        lambda bank: bank.replace("holdings", "2026-06-25 12:00:00", "2026-08-25 12:00:00"),
        ["table 'holdings', column 'closed_at': 1 values lie in the future", "cash_plus"],
    ),
    "null": (
        lambda bank: bank.replace("consents", "sms,true", "sms,"),
        ["table 'consents', column 'allowed': 1 values are null and may not be", "complaining"],
    ),
    "too low": (
        lambda bank: bank.replace("transactions", "180.30", "-180.30"),
        ["table 'transactions', column 'amount_cny': 1 values are below 0", "old_branch"],
    ),
    "too high": (
        lambda bank: bank.replace("ratings", "teller,5", "teller,6"),
        ["table 'ratings', column 'score': 1 values are above 5", "old_branch"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_named_with_its_place(bank, breach):
    spoil, words = BREACHES[breach]
    spoil(bank)
    message = refusal(bank, ContractError)
    for word in words:
        assert word in message, message


def test_count_and_three_examples(bank):
    bank.rewrite(
        "interactions", lambda rows: [rows[0], *([*r[:2], "phone", *r[3:]] for r in rows[1:])]
    )
    message = refusal(bank, ContractError)
    assert "32 values are unknown" in message
    assert message.count("event_time=") == 3


def test_a_missing_file(bank):
    bank.file("ratings").unlink()
    message = refusal(bank, SourceError)
    assert "source.yaml: table 'ratings' cannot be read" in message
    assert str(bank.file("ratings")) in message


ORGS = "select * from read_csv('{data}/orgs.csv', all_varchar = true)"


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("  ratings:", "  rating:", ConfigError,
         ["unknown table 'rating'", "did you mean 'ratings'?"]),
        ("every: month", "evry: month", ConfigError,
         ["unknown key 'evry'", "did you mean 'every'?"]),
        ("{days: 30}", "{day: 30}", ConfigError, ["'horizon.Horizon.day'", "did you mean 'days'?"]),
        ("{days: 30}", "{days: 400}", ConfigError, ["days", "366", "got 400"]),
        ("catalog: bank", "catalog: bnak", ConfigError,
         ["catalog 'bnak'", "did you mean 'bank'?"]),
        ("every: month", "every: event", ConfigError,
         ["every: event goes with horizon: next_event"]),
        ("name: example", "name: example\nname: twice", ConfigError, ["key 'name' stands twice"]),
        ("tables:", "tables: [", ConfigError, ["not valid YAML"]),
        ("Asia/Shanghai", "Asia/Shanghia", ConfigError,
         ["time_zone 'Asia/Shanghia'", "did you mean 'Asia/Shanghai'?"]),
        (ORGS, ORGS.replace("select", "selct"), SourceError,
         ["table 'orgs' cannot be read", "selct"]),
        (ORGS, "drop table customers", SourceError, ["table 'orgs' is not one select"]),
        (ORGS, f"{ORGS}; drop table customers", SourceError, ["table 'orgs' is not one select"]),
    ],
    ids=lambda value: value[-30:] if isinstance(value, str) else "",
)  # fmt: skip
def test_a_wrong_yaml(bank, old, new, error, words):
    bank.replace("source", old, new)
    message = refusal(bank, error)
    assert "source.yaml" in message
    for word in words:
        assert word in message, message


def test_a_source_that_is_not_there(bank):
    with pytest.raises(
        ConfigError, match=r"sorce\.yaml: no such file.*did you mean 'source\.yaml'"
    ):
        open_source(bank.folder / "sorce.yaml", bank.folder, bank.clock)


@pytest.mark.parametrize("table", ["customers", "both event tables"])
def test_a_table_that_must_be_there(bank, table):
    for name in ("interactions", "holdings") if table == "both event tables" else (table,):
        bank.without(name)
    assert "source.yaml" in (message := refusal(bank, ConfigError))
    assert "'customers' is required" in message or "'interactions' or 'holdings'" in message


def test_data_that_is_not_given(bank):
    with pytest.raises(SourceError, match=r"table 'customers' reads \{data\}; give .* --data"):
        open_source(bank.yaml, None, bank.clock)


def test_identities_are_applied(example_source: Source):
    rows = example_source.con.sql(
        """select customer_id from interactions where session_id = 'A4'
           union all select customer_id from contacts where contact_id = 'K3'"""
    ).fetchall()
    assert rows == [("young_app",), ("young_app",)]


def test_nan_of_a_file_is_an_empty_cell(bank):
    bank.replace(
        "source",
        "select * from read_csv('{data}/interactions.csv', all_varchar = true)",
        "select * replace (coalesce(wait_s::double, 'nan') as wait_s)"
        " from read_csv('{data}/interactions.csv', all_varchar = true)",
    )
    waits = bank.open().con.sql("select max(wait_s), count(wait_s) from interactions").fetchall()
    assert waits == [(1800.0, 9)]


def test_money_is_exact_and_times_are_integers(example_source: Source):
    types = dict(
        example_source.con.sql(
            "select column_name, data_type from duckdb_columns() where table_name = 'holdings'"
        ).fetchall()
    )
    assert types["amount_cny"] == "DECIMAL(18,2)"
    assert types["event_time"] == types["closed_at"] == types["maturity_at"] == "BIGINT"


def test_fingerprint_tells_data_apart_but_not_their_order(bank, example_source: Source):
    bank.rewrite("transactions", lambda rows: [rows[0], *reversed(rows[1:])])
    assert bank.open().fingerprint() == example_source.fingerprint()
    bank.replace("transactions", "899.99", "899.98")
    changed, before = bank.open().fingerprint(), example_source.fingerprint()
    assert [name for name in before if changed[name] != before[name]] == ["transactions"]
    assert changed["transactions"]["rows"] == before["transactions"]["rows"]
