"""What a soak tells of answers that were none, and of its own machine standing still."""

import asyncio
import time

from experiments.http_connection import Reply
from experiments.soak.callers import Heard
from experiments.soak.traffic import Call

CALL = Call("recommend", {}, b"")


def test_who_was_turned_away_is_told_with_time_and_words():
    heard = Heard()
    for status, body in ((200, b"an answer"), (503, b"no answer within 0.3 s"), (500, b"oh")):
        heard.note(CALL, Reply(status, body, closing=False), took_s=0.3004)
    assert dict(heard.statuses) == {200: 1, 503: 1, 500: 1}
    assert heard.errors(429) == 2
    (away,) = heard.turned_away
    assert 0 <= away.pop("at_s") < 60
    assert away == {"status": 503, "took_s": 0.3, "said": "no answer within 0.3 s"}
    assert heard.problems == ["recommend: oh"]


def test_a_loop_that_is_held_up_is_noted():
    async def held_up() -> Heard:
        heard = Heard()
        watch = asyncio.create_task(heard.watch_for_stalls())
        await asyncio.sleep(0.01)
        time.sleep(0.5)
        await asyncio.sleep(0.01)
        watch.cancel()
        return heard

    (at_s, late_s), *_ = asyncio.run(held_up()).stalls
    assert 0.05 <= at_s < 60
    assert late_s >= 0.4
