"""Another release under a running service: checked, swapped whole, refused, and taken back."""

import asyncio
import json
import os
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from features.errors import OnePointError
from features.feature_set import FeatureSet
from features.online import publish
from serving.__main__ import app
from serving.config import WorkFolder
from serving.contract import RecommendRequest
from serving.decide.record import DecisionRecord
from serving.following import Follower
from serving.releases import install, load_release, workers

FULL = bool(os.environ.get("ONEPOINT_FULL"))
ASK = {"customer_id": "C_PLAIN", "channel": "teller"}


@pytest.fixture
def work(recommender) -> WorkFolder:
    """The work folder of the recommender under test."""
    return WorkFolder(Path(recommender.customers.path).parent)


@pytest.fixture
def follower(recommender, work) -> Follower:
    return Follower(recommender, work)


def ask(recommender) -> dict:
    request = RecommendRequest(**ASK, limit=20)
    return json.loads(asyncio.run(recommender.recommend(request, "staff")))


def models_said(answer) -> dict:
    """What of an answer is its models', by offer (the handle may be explored)."""
    return {
        place["offer"]: (place["p_start"], place["explanation"])
        for place in answer["recommendations"]
        if place["p_start_is"] == "propensity"
    }


def replace(work: WorkFolder, release: Path) -> None:
    install(work, release, lambda _: None)


def swap(*arguments) -> tuple[dict | None, str]:
    """Run the command; what it printed, and what it complained of."""
    done = CliRunner().invoke(app, ["swap", *map(str, arguments), "--json"])
    said = json.loads(done.stdout) if done.exit_code == 0 else None
    return said, str(done.exception or "")


def test_a_new_release_answers_from_the_next_request_on(recommender, follower, work, challenger):
    before = ask(recommender)
    replace(work, challenger)
    follower.look()
    after = ask(recommender)
    assert before["versions"]["release"] != after["versions"]["release"]
    assert after["versions"]["release"] == load_release(challenger).id
    scores = [[place.get("p_start") for place in one["recommendations"]] for one in (before, after)]
    assert scores[0] != scores[1]
    assert workers(work)[0].release == after["versions"]["release"]


def test_what_did_not_change_is_not_loaded_again(recommender, follower, work):
    scorer = recommender.scorer
    for _ in range(3):
        follower.look()
    assert recommender.scorer is scorer


def test_nothing_happens_between_the_two_renames(recommender, follower, work):
    (work.path / "release").rename(work.path / "elsewhere")
    follower.look()
    assert not workers(work)
    assert ask(recommender)["degraded"] is False


def cut(folder: Path) -> str:
    file = folder / "channel_preference.txt"
    file.write_bytes(file.read_bytes()[:-50])
    return "channel_preference.txt"


def alter_golden(folder: Path) -> str:
    golden = json.loads((folder / "golden.json").read_text())
    golden["p_start"][0][0] += 0.01
    (folder / "golden.json").write_text(json.dumps(golden))
    return "golden.json"


def lose_manifest_entry(folder: Path) -> str:
    (folder / "popularity.json").unlink()
    return "popularity.json"


@pytest.mark.parametrize("damage", [cut, alter_golden, lose_manifest_entry])
def test_a_corrupt_release_is_refused_and_the_old_one_serves_on(
    recommender, follower, work, challenger, tmp_path, damage, caplog
):
    broken = tmp_path / "broken"
    shutil.copytree(challenger, broken)
    named = damage(broken)
    served = ask(recommender)["versions"]["release"]
    replace(work, broken)
    follower.look()
    assert ask(recommender)["versions"]["release"] == served
    assert "the old one serves on" in caplog.text
    assert named in workers(work)[0].refused
    replace(work, challenger)
    follower.look()
    assert ask(recommender)["versions"]["release"] == load_release(challenger).id


def test_a_release_that_cannot_read_the_published_features_is_refused(
    recommender, follower, work, challenger
):
    served = ask(recommender)["versions"]["release"]
    other = FeatureSet(names=("age_years",), groups={"age_years": "life_stage"}, vocabularies={})
    store = recommender.customers.current()
    publish(work.online, other, store.as_of, [])
    replace(work, challenger)
    follower.look()
    assert recommender.scorer.release.id == served
    assert "publish the online store" in workers(work)[0].refused


def test_requests_in_flight_end_on_the_release_they_began_with(
    recommender, follower, work, challenger, tmp_path
):
    """Id, scores and explanation of an answer are of one release, whatever is swapped meanwhile."""
    releases = [tmp_path / "a", challenger]
    shutil.copytree(work.release, releases[0])
    expected = {}
    for folder in releases:
        replace(work, folder)
        follower.look()
        answer = ask(recommender)
        expected[answer["versions"]["release"]] = models_said(answer)
    assert len(expected) == 2
    assert all(len(one) > 5 for one in expected.values())
    done, seen = threading.Event(), set()

    def change() -> None:
        for number in range(6):
            replace(work, releases[number % 2])
            follower.look()
        done.set()

    async def go_on() -> None:
        request = RecommendRequest(customer_id="C_PLAIN", channel="teller")
        while not done.is_set():
            answer = json.loads(await recommender.recommend(request, "staff"))
            seen.add(answer["versions"]["release"])
            assert answer["degraded"] is False
            said = expected[answer["versions"]["release"]]
            assert models_said(answer).items() <= said.items()

    async def crowd() -> None:
        await asyncio.gather(asyncio.to_thread(change), go_on(), go_on())

    asyncio.run(crowd())
    assert seen == set(expected)


def test_a_release_that_was_left_is_freed(recommender, follower, work, challenger):
    left = weakref.ref(recommender.scorer.release)
    booster = weakref.ref(recommender.scorer.release.next_product)
    replace(work, challenger)
    follower.look()
    assert left() is None
    assert booster() is None


def test_fifty_swaps_do_not_grow_the_memory(recommender, follower, work, challenger, tmp_path):
    releases = [tmp_path / "a", challenger]
    shutil.copytree(work.release, releases[0])
    process = psutil.Process()

    def rounds(number: int) -> int:
        for one in range(number):
            replace(work, releases[one % 2])
            follower.look()
            ask(recommender)
        return process.memory_info().rss

    before = rounds(10)
    grown = rounds(50) - before
    assert grown <= 20 * 2**20


def test_one_command_swaps_every_worker_and_goes_back(bank, tmp_path, serve, challenger):
    own = bank.copy(tmp_path / "own")
    settings = "service: {deadline_s: 10, read_budget_s: 5, workers: 2}\n"
    (own.folder / "service.yaml").write_text(settings)
    service = serve(own)
    first, second = load_release(own.folder / "release").id, load_release(challenger).id
    errors, served, done = [], set(), threading.Event()

    def load() -> None:
        with service.client("staff") as client:
            while not done.is_set():
                answer = client.post("/v1/recommend", json=ASK)
                if answer.status_code == 200:
                    served.add(answer.json()["versions"]["release"])
                else:
                    errors.append(answer.text)

    try:
        service.loaded(2)
        with ThreadPoolExecutor(2) as crowd:
            asking = [crowd.submit(load) for _ in range(2)]
            for _ in range(25 if FULL else 1):
                said, complaint = swap("--work", own.folder, "--release", challenger)
                assert complaint == ""
                assert said["release"] == second
                assert len(said["workers"]) == 2
                back, complaint = swap("--work", own.folder, "--back")
                assert complaint == ""
                assert back["release"] == first
            done.set()
            for one in asking:
                one.result()
        assert not errors
        assert served == {first, second}
    finally:
        done.set()
        service.kill()


def test_the_command_refuses_a_bad_release_and_changes_nothing(bank, tmp_path, challenger):
    own = bank.copy(tmp_path / "own")
    broken = tmp_path / "broken"
    shutil.copytree(challenger, broken)
    cut(broken)
    before = load_release(own.folder / "release").id
    said, complaint = swap("--work", own.folder, "--release", broken)
    assert said is None
    assert "channel_preference.txt" in complaint
    assert load_release(own.folder / "release").id == before
    left = {one.name for one in own.folder.iterdir() if one.name.startswith("release")}
    assert left == {"release", "release.lock"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--back",), "no release was swapped in here"),
        ((), "either --release FOLDER or --back"),
        (("--release", "nowhere"), "no manifest.json there"),
    ],
)
def test_the_command_says_what_it_lacks(bank, tmp_path, arguments, says):
    own = bank.copy(tmp_path / "own")
    _, complaint = swap("--work", own.folder, *arguments)
    assert says in complaint


def test_without_a_worker_the_next_start_serves_it(bank, tmp_path, challenger):
    own = bank.copy(tmp_path / "own")
    first = load_release(own.folder / "release").id
    said, _ = swap("--work", own.folder, "--release", challenger)
    assert said == {"release": load_release(own.folder / "release").id, "workers": []}
    assert swap("--work", own.folder, "--back")[0]["release"] == first
    with pytest.raises(OnePointError, match="no such folder"):
        load_release(own.folder / "nowhere")


def test_the_records_versions_name_the_release_that_scored(recommender, follower, work, challenger):
    replace(work, challenger)
    follower.look()
    answer = ask(recommender)
    record = DecisionRecord.model_validate_json(
        recommender.store.by_id(answer["decision_id"]).record
    )
    assert record.inputs.versions.release == load_release(challenger).id
