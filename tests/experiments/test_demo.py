"""The demo asks for the right customer, and never leaves a service behind."""

import io
import socket
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from rich.console import Console

from experiments import demo, demo_steps
from experiments.running_service import free_port, stop_politely
from features.catalog import load_catalog
from features.feature_set import FeatureSet
from features.online import OnlineStore, publish
from features.sources import SourceConfig
from features.state import CustomerState, Holding, Outlet, Owner
from serving.config import CATALOGS

CLOCK = datetime.fromisoformat(demo.CLOCK)
AS_OF = datetime.fromisoformat(demo.FEATURES_AS_OF).astimezone(UTC)
FRIDAY = datetime(2026, 7, 3, 1, 0, tzinfo=UTC)
NAMES = ("last_channel_index",)
FEATURES = FeatureSet(
    names=NAMES, groups={"last_channel_index": "channel_history"}, vocabularies={}
)
OWNER = Owner(staff_id="S1", org_id="O1", role="wealth_manager")


def source(name):
    return SourceConfig(name=name, catalog="bank", tables={"customers": "-", "holdings": "-"})


def deposit(amount=100_000.0, maturity=FRIDAY, offer="deposit_1y"):
    return Holding(offer=offer, opened_at=AS_OF, amount_cny=amount, maturity_at=maturity)


def picked(tmp_path, customers, name=demo.SIMULATED):
    """Customer picked from (id, facts, last channel) rows."""
    path = tmp_path / "online.sqlite"
    rows = [
        (
            one,
            np.array([channel]),
            CustomerState(customer_id=one, as_of=AS_OF, **{"outlet": Outlet(org_id="O1"), **facts}),
        )
        for one, facts, channel in customers
    ]
    publish(path, FEATURES, AS_OF, rows)
    with OnlineStore(path) as store:
        visit = demo.pick_customer(store, source(name), load_catalog(CATALOGS / "bank"), CLOCK)
    return visit.record.customer_id, visit.channel


@pytest.mark.parametrize(("levels", "told"), [(["alarm"], "1 alarm, read it"), (["note"], None)])
def test_alarms_are_told_with_the_words_that_show_them(levels, told):
    said = {
        "tables": {"customers": 2_000, "holdings": 10}, "missing": ["staff"],
        "quality": {"findings": [{"level": level} for level in levels]},
    }  # fmt: skip
    check = ["features", "check", "--source", "my bank.yaml"]
    line = demo_steps.tell_tables(said, check)
    found = "2 tables, 2,010 rows; missing: staff"
    shown = f"{sys.executable} -m features check --source 'my bank.yaml'"
    assert line == (f"{found}; {told} with\n    {shown}" if told else found)


def test_it_asks_for_the_managed_customer_with_the_largest_deposit_due_on_friday(tmp_path):
    customers = [
        ("A", {"holdings": (deposit(900_000.0),)}, np.nan),
        ("B", {"holdings": (deposit(60_000.0),), "owner": OWNER}, np.nan),
        ("C", {"holdings": (deposit(80_000.0),), "owner": OWNER}, np.nan),
        ("D", {"holdings": (deposit(49_999.0),), "owner": OWNER}, np.nan),
        ("E", {"holdings": (deposit(maturity=FRIDAY + timedelta(days=1)),), "owner": OWNER}, 0.0),
        ("F", {"holdings": (deposit(offer="wealth_r2"),), "owner": OWNER}, np.nan),
        ("G", {"holdings": (deposit(),), "owner": OWNER, "outlet": None}, np.nan),
        (
            "H",
            {"holdings": (deposit(),), "owner": OWNER, "consents": {"personalisation": False}},
            0.0,
        ),
    ]
    assert picked(tmp_path, customers) == ("C", "teller")


def test_friday_is_the_banks_friday_not_greenwichs(tmp_path):
    midnight = datetime(2026, 7, 2, 16, 0, tzinfo=UTC)
    customers = [
        ("A", {"holdings": (deposit(maturity=midnight - timedelta(microseconds=1)),)}, 0.0),
        ("B", {"holdings": (deposit(maturity=midnight),)}, 0.0),
    ]
    assert picked(tmp_path, customers)[0] == "B"


def test_of_another_bank_it_asks_at_the_channel_used_last(tmp_path):
    one, two = (deposit(),), (deposit(), deposit(offer="fund_r2"))
    customers = [("A", {"holdings": one}, 1.0), ("B", {"holdings": two}, 2.0), ("C", {}, np.nan)]
    handles = load_catalog(CATALOGS / "bank").handle_ids
    assert picked(tmp_path, customers, "insurance") == ("B", handles[2])


def test_nobody_to_ask_for_is_said(tmp_path):
    with pytest.raises(demo.DemoError, match="no customers"):
        picked(tmp_path, [])


@pytest.mark.parametrize(
    ("day", "friday"),
    [(date(2026, 7, 1), date(2026, 7, 3)), (date(2026, 7, 3), date(2026, 7, 3))],
)
def test_the_coming_friday_is_never_past(day, friday):
    assert demo.coming_friday(day) == friday


def test_a_port_in_use_is_left_alone():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        usual = taken.getsockname()[1]
        assert free_port(usual) not in (usual, 0)
    assert free_port(usual) == usual


def test_another_banks_data_has_to_be_given(tmp_path):
    yaml = CATALOGS.parent / "sources" / "insurance.yaml"
    with pytest.raises(demo.DemoError, match="--data"):
        demo.run_demo(yaml, None, tmp_path / "work", once=True)
    assert not (tmp_path / "work").exists()


def test_a_failed_step_ends_the_demo_and_names_its_command(tmp_path, capsys):
    yaml = CATALOGS.parent / "sources" / "insurance.yaml"
    with pytest.raises(demo.DemoError, match=r"(?s)error: .*checking the tables.*features check"):
        demo.run_demo(yaml, tmp_path / "nowhere", tmp_path / "work", once=True)
    assert "this set has no calendar" in capsys.readouterr().out


def steps_on(monkeypatch, code, say_every_s=30.0):
    """Run one step whose command is a piece of Python; give what was printed."""
    console = Console(file=io.StringIO(), width=200)
    steps = demo_steps.Steps(console, 1, say_every_s)
    real = subprocess.Popen
    monkeypatch.setattr(
        demo_steps.subprocess, "Popen", lambda _, **how: real([sys.executable, "-c", code], **how)
    )
    steps.run("training a release", ["training", "run"], tell=lambda said: said["a"])
    return console.file.getvalue()


def test_a_step_says_one_line_at_its_end_and_keeps_its_childs_chatter(monkeypatch):
    code = "import sys; print('missing columns', file=sys.stderr); print('{\"a\": \"fine\"}')"
    lines = steps_on(monkeypatch, code).splitlines()
    assert lines[0] == "1/1 training a release …"
    assert lines[1].endswith("in all) · fine")
    assert len(lines) == 2


def test_a_long_step_without_a_terminal_says_that_it_goes_on(monkeypatch):
    code = 'import time; time.sleep(0.5); print(\'{"a": ""}\')'
    assert "still training a release" in steps_on(monkeypatch, code, say_every_s=0.1)


def test_the_model_is_said_with_its_best_naive_rule():
    said = {
        "map_at_7": 0.5,
        "popular_map_at_7": 0.3,
        "co_holding_map_at_7": 0.41,
        "accuracy": 0.66,
        "last_channel_accuracy": 0.59,
        "majority_accuracy": None,
        "hit_rate_at_3": None,
    }
    assert demo_steps.tell_metrics(said) == (
        "MAP@7 0.50, co holding 0.41 · channel accuracy 0.66, last channel 0.59"
    )


def test_what_ignores_a_polite_word_is_killed():
    stubborn = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            "print('up', flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert stubborn.stdout.readline() == b"up\n"
    stubborn.stdout.close()
    stop_politely(stubborn, patience_s=0.3)
    assert stubborn.returncode == -9
