"""The gate by itself: room, time, and a body that never comes."""

import asyncio
import json

import pytest

from serving.app import build_app
from serving.keys import VERBS, KeyRing
from serving.middleware import CALLER, HELD_S, Gate, Room, verb_of
from serving.neighbours import Neighbours
from serving.trial_keys import write_trial_keys


@pytest.fixture
def gate(tmp_path):
    """Make the gate in front of an app; `scope` makes requests with its keys."""
    file = tmp_path / "keys.yaml"
    drawn = write_trial_keys(file, tmp_path / "trial_keys.env")

    def make(app, **limits) -> Gate:
        return Gate(app, KeyRing(file), **{"max_body_bytes": 1024, "deadline_s": 0.2, **limits})

    make.keys = drawn
    return make


@pytest.fixture
def scope(gate):
    def make(whose="staff", method="POST", path="/v1/recommend", **headers):
        given = {
            "authorization": f"Bearer {gate.keys[whose]}",
            "content-type": "application/json",
            **headers,
        }
        raw = [(name.encode(), value.encode()) for name, value in given.items()]
        return {"type": "http", "method": method, "path": path, "headers": raw}

    return make


@pytest.fixture
def alone(tmp_path) -> Neighbours:
    """The only worker there is."""
    return Neighbours(tmp_path / "workers" / "inside", 1, 1)


async def call(app, of, body=b"{}", pause=None):
    """Send one request to an ASGI app; its status, headers and parsed body."""
    sent = []

    async def receive():
        if pause:
            await asyncio.sleep(pause)
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    await app(of, receive, send)
    content = b"".join(one.get("body", b"") for one in sent[1:])
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert not sent[-1].get("more_body")
    return sent[0]["status"], headers, json.loads(content)


async def echo(of, receive, send):
    """An app that says who asks, and with what body."""
    message = await receive()
    caller = of.get(CALLER)
    told = {"audience": caller.audience if caller else None, "body": message["body"].decode()}
    content = json.dumps(told)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": content.encode()})


@pytest.mark.parametrize("audience", ["customer", "staff"])
def test_the_key_says_who_asks_and_the_body_passes_whole(gate, scope, audience):
    status, _, said = asyncio.run(call(gate(echo), scope(audience), b'{"a": 1}'))
    assert (status, said) == (200, {"audience": audience, "body": '{"a": 1}'})


def test_the_audience_cannot_be_brought_along(gate, scope):
    forged = {**scope("customer"), CALLER: "reviewer"}
    assert asyncio.run(call(gate(echo), forged))[2]["audience"] == "customer"


def test_an_app_that_takes_too_long_is_503_with_retry_after(gate, scope):
    async def slow(of, receive, send):
        await asyncio.sleep(5)

    status, headers, said = asyncio.run(call(gate(slow), scope()))
    assert (status, headers["retry-after"]) == (503, "1")
    assert "0.2 s" in said["detail"]


def test_a_body_that_does_not_come_is_408(gate, scope):
    status, headers, said = asyncio.run(call(gate(echo), scope(), pause=0.5))
    assert (status, headers["connection"]) == (408, "close")
    assert said["errors"][0]["place"] == "body"


def test_more_requests_than_there_is_room_for_are_sent_away_and_later_let_in(alone):
    """Nothing of who is sent away is read: neither key nor type nor body."""
    anybody = {"type": "http", "method": "POST", "path": "/v1/recommend", "headers": []}
    release = asyncio.Event()

    async def waiting(of, receive, send):
        await release.wait()
        await echo(of, receive, send)

    async def crowd():
        door = Room(waiting, 2, 5, alone)
        inside = [asyncio.create_task(call(door, anybody)) for _ in range(2)]
        await asyncio.sleep(0.05)
        turned_away = await call(door, anybody)
        probe = asyncio.create_task(call(door, {**anybody, "path": "/livez"}))
        release.set()
        first = await asyncio.gather(*inside)
        return turned_away, [one[0] for one in first], (await probe)[0], await call(door, anybody)

    turned_away, first, probe, after = asyncio.run(crowd())
    assert (turned_away[0], turned_away[1]["retry-after"]) == (429, "1")
    assert first == [200, 200]
    assert probe == 200
    assert after[0] == 200


def test_who_is_sent_away_and_asks_again_at_once_is_held_up(alone):
    """A crowd that knows no pause would take the time of those inside."""

    async def asked_again_for(seconds: float) -> int:
        async def inside(*_):
            await asyncio.sleep(5)

        room = Room(inside, 1, 5, alone)
        request = {"type": "http", "method": "POST", "path": "/v1/recommend", "headers": []}
        first = asyncio.create_task(call(room, request))
        await asyncio.sleep(0)
        asked, until = 0, asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            assert (await call(room, request))[0] == 429
            asked += 1
        first.cancel()
        return asked

    assert 1 <= asyncio.run(asked_again_for(4.5 * HELD_S)) <= 5


def test_the_room_shrinks_to_what_is_answered_in_time_and_grows_again(alone):
    """One desk and always a crowd at the door: who is let in waits for all who are inside."""
    room = Room(echo, 40, 0.3, alone)
    room.limit = 40.0
    now = 100.0

    def crowd(pace_s: float, answers: int) -> float:
        """Share answered within the deadline."""
        nonlocal now
        in_time, inside = 0, []
        for _ in range(answers):
            inside += [now] * (int(room.limit) - len(inside))
            now += pace_s
            # Who waited past the deadline is gone and costs the desk nothing.
            while len(inside) > 1 and now - inside[0] > 0.3:
                room._inside = len(inside)
                room._adapt(inside.pop(0), now)
            begun = inside.pop(0)
            in_time += now - begun <= 0.3
            room._inside = len(inside) + 1
            room._adapt(begun, now)
        return in_time / answers

    crowd(0.05, 40)
    assert crowd(0.05, 200) == 1.0
    assert 2 <= room.limit <= 4
    assert crowd(0.0025, 400) == 1.0
    assert 20 <= room.limit <= 32
    assert crowd(0.05, 100) > 0.9


def test_a_disk_that_stood_still_is_forgotten_where_few_ask(alone):
    """One request inside at a time never reaches the limit; late ones must not add up for ever."""
    room = Room(echo, 40, 0.3, alone)
    room._inside = 1
    began, now = room.limit, 100.0
    for took_s in [0.2] * 20 + [0.005] * 200:
        now += 1.0
        room._adapt(now - took_s, now)
        if took_s > 0.1:
            assert room.limit < began
    assert began <= room.limit < began + 1


@pytest.mark.parametrize("path", ["/v1/recommend", "/v1/outcomes", "/v1/interactions"])
def test_a_reviewer_writes_nothing(gate, scope, path):
    status, _, said = asyncio.run(call(gate(echo), scope("reviewer", path=path)))
    assert status == 403
    assert "writes nothing" in said["detail"]
    assert said["errors"][0]["remedy"] == "it may: read, metrics, docs"


def test_every_route_asks_for_a_verb_that_a_key_can_have():
    routes = [(route.path, method) for route in build_app(None).routes for method in route.methods]
    assert ("/metrics", "GET") in routes
    for path, method in routes:
        assert verb_of(method, path) in VERBS, (path, method)
