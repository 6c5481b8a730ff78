"""Keys: scoped, kept as digests, rotated under a running service, and never shown."""

import time

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from features.errors import OnePointError
from serving.__main__ import app
from serving.keys import VERBS, Key, KeyRing, add_key, read_keys, revoke_key
from serving.trial_keys import trial_key, write_trial_keys

NOW = "2026-07-01T02:00:30Z"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.yaml"


def look_again(ring: KeyRing, key: str) -> Key | None:
    ring._looked_at -= 2  # as if a second had gone by
    return ring.find(key)


def test_the_file_holds_no_key_and_is_its_owners(file):
    drawn = add_key(file, "app", "customer", ["mobile_bank"], ["recommend", "read"])
    assert len(drawn) >= 43  # 256 bits
    assert drawn not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    found = KeyRing(file).find(drawn)
    assert (found.name, found.audience) == ("app", "customer")
    assert found.opens("mobile_bank")
    assert not found.opens("teller")


@pytest.mark.parametrize("given", ["", "x", "Bearer", "\udcff", "0" * 64])
def test_a_strangers_key_opens_nothing(file, given):
    add_key(file, "app", "customer", ["mobile_bank"], ["recommend"])
    assert KeyRing(file).find(given) is None


def test_the_digest_is_no_key(file):
    add_key(file, "app", "customer", ["mobile_bank"], ["recommend"])
    assert KeyRing(file).find(read_keys(file).keys[0].sha256) is None


def test_keys_rotate_without_a_restart(file):
    old = add_key(file, "app-1", "staff", ["*"], ["recommend"])
    ring = KeyRing(file)
    new = add_key(file, "app-2", "staff", ["*"], ["recommend"])
    assert look_again(ring, new).name == "app-2"
    assert ring.find(old).name == "app-1"
    revoke_key(file, "app-1")
    assert look_again(ring, old) is None
    assert ring.find(new).name == "app-2"
    revoke_key(file, "app-2")
    assert look_again(ring, new) is None


@pytest.mark.parametrize("broken", ["keys: [", "keys: [{name: x}]", "", None])
def test_a_broken_file_leaves_the_old_keys_in_force_and_says_so(file, caplog, broken):
    key = add_key(file, "app", "staff", ["*"], ["recommend"])
    ring = KeyRing(file)
    if broken is None:
        file.unlink()
    else:
        file.write_text(broken)
    assert look_again(ring, key).name == "app"
    assert "the old API keys stay in force" in caplog.text
    assert str(file) in caplog.text
    file.write_text("keys: []")
    assert look_again(ring, key) is None


def test_the_file_is_looked_at_once_a_second_at_most(file, monkeypatch):
    key = add_key(file, "app", "staff", ["*"], ["recommend"])
    ring = KeyRing(file)
    looked = []
    monkeypatch.setattr("serving.keys._stamp", lambda one: looked.append(one))
    for _ in range(100):
        ring.find(key)
    assert not looked
    look_again(ring, key)
    assert len(looked) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"audience": "reviewer", "verbs": ("read", "recommend")}, "a reviewer writes nothing"),
        ({"audience": "reviewer", "verbs": ("read",), "channels": ("app",)}, "every channel"),
        ({"channels": ()}, "at least 1 item"),
        ({"verbs": ()}, "at least 1 item"),
        ({"name": "two words"}, "should match pattern"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused_and_nothing_written(file, change, says):
    given = {"name": "app", "audience": "staff", "channels": ("*",), "verbs": ("recommend",)}
    with pytest.raises(OnePointError, match=says):
        add_key(file, **{**given, **change})
    assert not list(file.parent.iterdir())


def test_a_name_has_one_key(file):
    add_key(file, "app", "staff", ["*"], ["recommend"])
    before = file.read_bytes()
    with pytest.raises(OnePointError, match="'app' has a key; revoke it first"):
        add_key(file, "app", "staff", ["*"], ["recommend"])
    assert file.read_bytes() == before
    keys = yaml.safe_load(before)
    keys["keys"].append({**keys["keys"][0], "name": "other"})
    file.write_text(yaml.safe_dump(keys))
    with pytest.raises(OnePointError, match=r"sha256 .* stands twice"):
        read_keys(file)


def test_revoking_who_has_no_key_names_those_who_have(file):
    add_key(file, "mobile", "staff", ["*"], ["recommend"])
    with pytest.raises(OnePointError, match="no key 'mobil'; did you mean 'mobile'"):
        revoke_key(file, "mobil")


def test_trial_keys_are_drawn_anew_and_leave_others_alone(file, tmp_path, monkeypatch):
    clear = tmp_path / "trial_keys.env"
    own = add_key(file, "own", "staff", ["*"], ["recommend"])
    first = write_trial_keys(file, clear)
    second = write_trial_keys(file, clear)
    ring = KeyRing(file)
    assert ring.find(own).name == "own"
    assert {audience: ring.find(key).audience for audience, key in second.items()} == {
        audience: audience for audience in ("customer", "staff", "reviewer")
    }
    assert not any(ring.find(key) for key in first.values())
    assert trial_key(clear, "staff") == second["staff"]
    with pytest.raises(OnePointError, match="did you mean 'staff'"):
        trial_key(clear, "staf")
    monkeypatch.setenv("ONEPOINT_API_KEY", "given")
    assert trial_key(clear, "staff") == "given"


def run(*arguments) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def test_the_command_prints_a_key_once_and_a_running_service_takes_it_up(service):
    work = ("--work", str(service.bank.folder))
    options = ("--audience", "customer", "--channel", "mobile_bank")
    verbs = [word for verb in VERBS[:4] for word in ("--verb", verb)]
    added = run("add", "app", *work, *options, *verbs)
    assert added.exit_code == 0, added.output
    key = added.stdout.strip()
    shown = run("list", *work)
    assert "mobile_bank" in shown.stdout
    assert key not in shown.stdout
    time.sleep(1.1)
    ask = {"customer_id": "C_PLAIN", "channel": "mobile_bank"}
    with service.client(None) as client, service.client("staff") as staff:
        client.headers["Authorization"] = f"Bearer {key}"
        mine = client.post("/v1/recommend", json=ask)
        assert mine.status_code == 200
        decision = mine.headers["onepoint-decision-id"]
        assert client.get(f"/v1/decisions/{decision}").json() == mine.json()
        other = staff.post("/v1/recommend", json={**ask, "channel": "teller"}).json()
        other_path = f"/v1/decisions/{other['decision_id']}"
        assert "its channels: mobile_bank" in client.get(other_path).json()["detail"]
        outcome = {"outcome_id": "O-door", "rank": 1, "kind": "shown", "occurred_at": NOW}
        visit = {"event_id": "E-door", "customer_id": "C_PLAIN", "event_time": NOW}
        told = {**outcome, "decision_id": decision}
        assert client.post("/v1/outcomes", json=told).json()["stored"] is True
        told = {"interactions": [{**visit, "channel": "mobile_bank"}]}
        assert client.post("/v1/interactions", json=told).json()["stored"] == 1
        told = {**outcome, "outcome_id": "O-other", "decision_id": other["decision_id"]}
        several = {"outcomes": [{**told, "decision_id": decision}, told]}
        place = client.post("/v1/outcomes", json=several).json()["errors"][0]["place"]
        assert place == "outcomes.1.decision_id"
        assert staff.post("/v1/outcomes", json=told).json()["stored"] is True
        for refused in (
            client.post("/v1/recommend", json={**ask, "channel": "teller"}),
            client.post("/v1/outcomes", json=told),
            client.post(
                "/v1/interactions",
                json={"contacts": [{**visit, "channel": "teller", "offer": "fund_r2"}]},
            ),
            client.get(other_path),
            client.get("/metrics"),
            client.get("/openapi.json"),
        ):
            assert refused.status_code == 403
            assert refused.headers["content-type"] == "application/problem+json"
        assert run("revoke", "app", *work).exit_code == 0
        time.sleep(1.1)
        assert client.post("/v1/recommend", json=ask).status_code == 401
    assert key not in service.log.read_text()


def test_the_command_refuses_what_is_not_there(bank, tmp_path):
    own = bank.copy(tmp_path / "own")
    said = run(
        *("add", "app", "--work", str(own.folder), "--audience", "customer"),
        *("--channel", "mobil_bank", "--verb", "recommend"),
    )
    assert said.stdout == ""
    assert "did you mean 'mobile_bank'" in str(said.exception)
