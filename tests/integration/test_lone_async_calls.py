"""A call that one asyncio task awaits alone waits for its reply at once.

Why: docs/decisions/0262-a-lone-call-waits-at-once.md
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from fluxqueue import EnqueueUncertain
from support.loops import LOOPS, NewLoop, run
from support.scripted_redis import CLOSE, ScriptedRedis, integer
from support.tasks import async_work_on, messages

# A call waits at once only if the reply comes soon, which a busy machine decides. So these tests
# call until it has happened.
PATIENCE = 60.0


class Turns:
    """Counts the turns of the loop."""

    def __init__(self) -> None:
        self.count = 0
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_soon(self._next)

    def _next(self) -> None:
        self.count += 1
        self._handle = self._loop.call_soon(self._next)

    def stop(self) -> None:
        self._handle.cancel()


@LOOPS
def test_a_lone_call_ends_in_its_turn(redis_url: str, redis: Any, new_loop: NewLoop) -> None:
    work = async_work_on(redis_url)

    async def main() -> int:
        turns, number, ends = Turns(), 0, time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            before = turns.count
            assert await work(number) is None
            number += 1
            if turns.count == before and number > 1:
                turns.stop()
                return number
        raise AssertionError(f"each of {number} calls took a turn of the loop")

    count = run(new_loop, main())
    assert [message["args"][0] for message in messages(redis)] == list(range(count))


@LOOPS
def test_the_loop_has_its_turns_while_a_task_awaits_call_after_call(
    redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    work = async_work_on(redis_url)

    async def main() -> None:
        turns, ends = Turns(), time.monotonic() + PATIENCE
        while turns.count < 50:
            assert time.monotonic() < ends, f"{turns.count} turns"
            await work(1)
        turns.stop()

    run(new_loop, main())


@LOOPS
def test_calls_of_several_tasks_keep_their_order(
    redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    work = async_work_on(redis_url)

    async def caller(first: int) -> None:
        for number in range(first, first + 300):
            if number % 3 == 0:
                await work(number)
            elif number % 3 == 1:
                await asyncio.gather(work(number), asyncio.sleep(0))
            else:
                await asyncio.create_task(work(number))

    async def main() -> None:
        await caller(0)
        await asyncio.gather(caller(1000), caller(2000))

    run(new_loop, main())
    sent = [message["args"][0] for message in messages(redis)]
    assert sent[:300] == list(range(300))
    for first in (1000, 2000):
        mine = [number for number in sent[300:] if number // 1000 == first // 1000]
        assert mine == list(range(first, first + 300))


@LOOPS
def test_a_late_reply_does_not_keep_the_loop(new_loop: NewLoop) -> None:
    may_answer = threading.Event()

    def answer(number: int, command: list[bytes]) -> bytes:
        if number == 2:
            assert may_answer.wait(PATIENCE)
        return integer(number, command)

    with ScriptedRedis(answer) as server:
        work = async_work_on(server.url)

        async def main() -> None:
            await work(0)
            await work(1)
            # It runs only if the third call leaves the loop to others.
            asyncio.get_running_loop().call_soon(may_answer.set)
            await work(2)
            await work(3)

        run(new_loop, main())
        assert len(server.pushed) == 4


@LOOPS
def test_a_connection_that_breaks_during_a_lone_call_is_an_error_of_the_call(
    new_loop: NewLoop,
) -> None:
    with ScriptedRedis(
        lambda number, command: CLOSE if number == 2 else integer(number, command)
    ) as server:
        work = async_work_on(server.url)

        async def main() -> None:
            await work(0)
            await work(1)
            with pytest.raises(EnqueueUncertain):
                await work(2)
            await work(3)

        run(new_loop, main())
        assert len(server.pushed) == 4


def test_a_call_that_another_thread_awaits_is_left_to_its_loop(redis_url: str, redis: Any) -> None:
    work = async_work_on(redis_url)

    async def main() -> None:
        await work(0)
        future = work(1)
        thread = threading.Thread(target=lambda: next(future.__await__()))
        thread.start()
        thread.join()
        assert not future.done() and len(messages(redis)) == 1
        await asyncio.gather(future)

    asyncio.run(main())
    assert len(messages(redis)) == 2
