"""Values that attempts share: made once, by one of them, and ended in reverse order."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fluxqueue import Depends, FluxQueue, Shared
from fluxqueue_worker.registered_task import RegisteredTask
from fluxqueue_worker.shared_values import SharedValues
from support.injecting import begun, run

noted: list[Any] = []
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


@pytest.fixture(autouse=True)
def _nothing_noted() -> None:
    noted.clear()


@pytest.fixture
def shared() -> SharedValues:
    return SharedValues()


def settings() -> dict[str, str]:
    noted.append("settings")
    return {"name": "shop"}


def pool(settings: dict[str, str] = Shared(settings)) -> Iterator[str]:
    noted.append("pool")
    token = variable.set("of the pool")
    yield f"pool of {settings['name']}"
    variable.reset(token)
    noted.append("pool ends")


class Client:
    def __init__(self, pool: str = Shared(pool)) -> None:
        self.pool = pool

    def __enter__(self) -> str:
        return f"client of {self.pool}"

    def __exit__(self, *error: object) -> None:
        noted.append("client ends")


def session(client: str = Shared(Client)) -> str:
    return f"session of {client}"


async def stream(pool: str = Shared(pool)) -> AsyncIterator[str]:
    noted.append("stream")
    owner = asyncio.current_task()
    await asyncio.sleep(0)
    yield f"stream of {pool}"
    await asyncio.sleep(0)
    assert asyncio.current_task() is owner
    noted.append("stream ends")


async def consumer(stream: str = Shared(stream)) -> AsyncIterator[str]:
    yield f"consumer of {stream}"
    noted.append("consumer ends")


def test_attempts_share_a_value_that_ends_in_reverse_order(
    queue: FluxQueue, shared: SharedValues
) -> None:
    @queue.task()
    def work(session: str = Depends(session), pool: str = Shared(pool)) -> Any:
        assert variable.get("none") == "none"
        return session, pool

    @queue.task()
    def other(client: str = Shared(Client)) -> Any:
        return client

    expected = "session of client of pool of shop", "pool of shop"
    assert [run(work, shared=shared) for _ in range(3)] == [expected] * 3
    assert run(other, shared=shared) == "client of pool of shop"
    assert noted == ["settings", "pool"]
    assert shared.end() == []
    assert noted[2:] == ["client ends", "pool ends"]
    with pytest.raises(RuntimeError, match="has ended its shared values"):
        run(other, shared=shared)


def test_each_set_of_values_is_separate(queue: FluxQueue) -> None:
    @queue.task()
    def work(settings: dict[str, str] = Shared(settings)) -> Any:
        return settings

    one, other = SharedValues(), SharedValues()
    assert run(work, shared=one) is run(work, shared=one)
    assert run(work, shared=other) is not run(work, shared=one)


def test_one_thread_makes_a_value_and_the_others_wait(
    queue: FluxQueue, shared: SharedValues
) -> None:
    begin, made = threading.Event(), []

    def slow() -> object:
        begin.wait(10)
        made.append(object())
        return made[-1]

    @queue.task()
    def work(value: object = Shared(slow)) -> object:
        return value

    record = RegisteredTask(work, shared)
    with ThreadPoolExecutor(8) as threads:
        results = [threads.submit(begun, record) for _ in range(8)]
        begin.set()
        assert {id(result.result()) for result in results} == {id(made[0])}
    assert len(made) == 1


def test_a_slow_value_does_not_delay_another(queue: FluxQueue, shared: SharedValues) -> None:
    begun_slow, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        begun_slow.set()
        assert go_on.wait(10)

    @queue.task()
    def waits(value: None = Shared(slow)) -> None: ...

    @queue.task()
    def work(settings: dict[str, str] = Shared(settings)) -> None: ...

    thread = threading.Thread(target=run, args=(waits,), kwargs={"shared": shared})
    thread.start()
    assert begun_slow.wait(10)
    run(work, shared=shared)
    go_on.set()
    thread.join()


@pytest.mark.parametrize("is_async", [False, True])
def test_a_failure_is_not_kept(queue: FluxQueue, shared: SharedValues, is_async: bool) -> None:
    failures = [ConnectionError("down")]

    def database() -> str:
        if failures:
            raise failures.pop()
        return "database"

    async def database_async() -> str:
        return database()

    def work(value: str = Shared(database)) -> str:
        return value

    async def work_async(value: str = Shared(database_async)) -> str:
        return value

    task = queue.task()(work_async if is_async else work)
    with pytest.raises(ConnectionError, match="down"):
        run(task, shared=shared)
    assert run(task, shared=shared) == "database"


async def _two_async_tasks(queue: FluxQueue, shared: SharedValues) -> None:
    @queue.task()
    async def work(consumer: str = Shared(consumer), client: str = Shared(Client)) -> Any:
        return consumer, client

    record = RegisteredTask(work, shared)
    found = await asyncio.gather(*(begun(record) for _ in range(5)))
    assert found == [("consumer of stream of pool of shop", "client of pool of shop")] * 5
    assert noted == ["settings", "pool", "stream"]
    assert await shared.end_async() == []
    assert noted[3:] == ["consumer ends", "stream ends"]


def test_an_event_loop_has_its_own_async_values(queue: FluxQueue, shared: SharedValues) -> None:
    asyncio.run(_two_async_tasks(queue, shared))
    del noted[:2]
    assert shared.end() == []
    assert noted[-2:] == ["client ends", "pool ends"]


async def _cancel_the_first(queue: FluxQueue, shared: SharedValues) -> None:
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[str]:
        noted.append("slow")
        await go_on.wait()
        yield "slow"
        noted.append("slow ends")

    @queue.task()
    async def work(value: str = Shared(slow)) -> str:
        return value

    record = RegisteredTask(work, shared)
    first, second = (asyncio.create_task(begun(record)) for _ in range(2))
    while not noted:
        await asyncio.sleep(0)
    first.cancel()
    go_on.set()
    assert await second == "slow"
    assert first.cancelled()
    assert await shared.end_async() == []
    assert noted == ["slow", "slow ends"]


def test_a_cancelled_attempt_does_not_end_the_making_of_a_value(
    queue: FluxQueue, shared: SharedValues
) -> None:
    asyncio.run(_cancel_the_first(queue, shared))


async def _cancel_all(queue: FluxQueue, shared: SharedValues) -> None:
    @queue.task()
    async def work(value: str = Shared(stream)) -> str:
        return value

    record = RegisteredTask(work, shared)
    await begun(record)
    (host,) = asyncio.all_tasks() - {asyncio.current_task()}
    host.cancel()
    await asyncio.wait([host])
    assert await begun(record) == "stream of pool of shop"
    assert noted == ["settings", "pool", "stream", "stream"]
    assert await shared.end_async() == []


def test_a_value_that_the_application_cancels_is_made_again(
    queue: FluxQueue, shared: SharedValues
) -> None:
    asyncio.run(_cancel_all(queue, shared))


def fails_at_the_end() -> Iterator[None]:
    yield
    raise OSError("disk full")


async def fails_at_the_end_async() -> AsyncIterator[None]:
    yield
    raise OSError("disk full")


def test_a_failure_at_the_end_keeps_no_other_value_from_ending(
    queue: FluxQueue, shared: SharedValues
) -> None:
    @queue.task()
    async def work(
        a: str = Shared(pool),
        b: None = Shared(fails_at_the_end),
        c: str = Shared(stream),
        d: None = Shared(fails_at_the_end_async),
    ) -> None: ...

    async def run_and_end() -> Any:
        await begun(RegisteredTask(work, shared))
        return await shared.end_async()

    ((name, error),) = asyncio.run(run_and_end())
    assert (name, str(error)) == ("fails_at_the_end_async", "disk full")
    ((name, error),) = shared.end()
    assert (name, str(error)) == ("fails_at_the_end", "disk full")
    assert noted[-2:] == ["stream ends", "pool ends"]


def test_a_test_may_override_a_shared_value(queue: FluxQueue, shared: SharedValues) -> None:
    def fake() -> str:
        return "fake"

    @queue.task()
    def work(client: str = Shared(Client)) -> str:
        return client

    with queue.override_dependency(pool, fake):
        assert run(work, shared=shared) == "client of fake"
    with queue.override_dependency(Client, fake):
        assert run(work, shared=shared) == "fake"


def test_a_lifespan_is_a_shared_value(queue: FluxQueue, shared: SharedValues) -> None:
    queue.lifespan(pool)

    @queue.task()
    def work(pool: str = Shared(pool)) -> str:
        return pool

    for provider in work.providers.of_lifespans():
        shared.get(provider)
    assert noted == ["settings", "pool"]
    assert run(work, shared=shared) == "pool of shop"
    assert shared.end() == []
    assert noted == ["settings", "pool", "pool ends"]
