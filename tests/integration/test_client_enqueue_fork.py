"""Processes that fork share no connection with their children."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from support.tasks import async_work_on, messages, work_on


def test_a_forked_child_has_its_own_connection(redis_url: str, redis: Any) -> None:
    work, awork = work_on(redis_url), async_work_on(redis_url)
    work("parent", 0)
    asyncio.run(awork("parent", 1))

    def child(number: int) -> None:
        for i in range(100):
            work(number, i)

        async def main() -> None:
            await asyncio.gather(*(awork(number, 100 + i) for i in range(100)))

        asyncio.run(main())

    children = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                child(number)
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    for i in range(100):  # the parent goes on meanwhile
        work("parent", 2 + i)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    sent = [tuple(message["args"]) for message in messages(redis)]
    wanted = [("parent", i) for i in range(102)] + [(c, i) for c in range(3) for i in range(200)]
    assert sorted(sent, key=str) == sorted(wanted, key=str)
    assert len({message["task_id"] for message in messages(redis)}) == len(wanted)


def test_a_fork_in_a_running_loop(redis_url: str, redis: Any) -> None:
    awork, work = async_work_on(redis_url), work_on(redis_url)

    async def main() -> None:
        await awork("before")
        unsent = awork("unsent")  # in the buffer while the process forks
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work("child")
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        await unsent
        await awork("after")

    asyncio.run(main())
    assert [m["args"][0] for m in messages(redis)] == ["before", "child", "unsent", "after"]
