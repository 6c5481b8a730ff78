"""The gate by itself: room, time, and a body that never comes."""

import asyncio
import json

import pytest

from serving.keys import KeyRing, parse_keys
from serving.middleware import AUDIENCE, Gate

KEYS = {"customer": "c" * 16, "staff": "s" * 16, "reviewer": "r" * 16}


def gate(app, **limits) -> Gate:
    given = {"max_body_bytes": 1024, "max_concurrency": 2, "timeout_s": 0.2, **limits}
    return Gate(app, KeyRing(KEYS), **given)


def scope(scope_of_key="staff", path="/v1/recommend", **headers):
    given = {
        "authorization": f"Bearer {KEYS[scope_of_key]}",
        "content-type": "application/json",
        **headers,
    }
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()]
    return {"type": "http", "method": "POST", "path": path, "headers": raw}


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
    content = json.dumps({"audience": of.get(AUDIENCE), "body": message["body"].decode()})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": content.encode()})


@pytest.mark.parametrize("audience", ["customer", "staff", "reviewer"])
def test_the_key_says_who_asks_and_the_body_passes_whole(audience):
    status, _, said = asyncio.run(call(gate(echo), scope(audience), b'{"a": 1}'))
    assert (status, said) == (200, {"audience": audience, "body": '{"a": 1}'})


def test_the_audience_cannot_be_brought_along():
    forged = {**scope("customer"), AUDIENCE: "reviewer"}
    assert asyncio.run(call(gate(echo), forged))[2]["audience"] == "customer"


def test_an_app_that_takes_too_long_is_503_with_retry_after():
    async def slow(of, receive, send):
        await asyncio.sleep(5)

    status, headers, said = asyncio.run(call(gate(slow), scope()))
    assert (status, headers["retry-after"]) == (503, "1")
    assert "0.2 s" in said["detail"]


def test_a_body_that_does_not_come_is_408():
    status, headers, said = asyncio.run(call(gate(echo), scope(), pause=0.5))
    assert (status, headers["connection"]) == (408, "close")
    assert said["errors"][0]["place"] == "body"


def test_more_requests_than_there_is_room_for_are_sent_away_and_later_let_in():
    release = asyncio.Event()

    async def waiting(of, receive, send):
        await release.wait()
        await echo(of, receive, send)

    async def crowd():
        door = gate(waiting, timeout_s=5)
        inside = [asyncio.create_task(call(door, scope())) for _ in range(2)]
        await asyncio.sleep(0.05)
        turned_away = await call(door, scope())
        probe = asyncio.create_task(call(door, {**scope(path="/livez"), "headers": []}))
        release.set()
        first = await asyncio.gather(*inside)
        return turned_away, [one[0] for one in first], (await probe)[0], await call(door, scope())

    turned_away, first, probe, after = asyncio.run(crowd())
    assert (turned_away[0], turned_away[1]["retry-after"]) == (503, "1")
    assert first == [200, 200]
    assert probe == 200
    assert after[0] == 200


def test_keys_may_hold_an_equals_sign():
    assert parse_keys("staff=0123456789abcde=") == {"staff": "0123456789abcde="}
