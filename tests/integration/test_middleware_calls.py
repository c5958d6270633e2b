"""Middleware around the calls of a task: in a thread, on an event loop and in bulk."""

from __future__ import annotations

import asyncio
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fluxqueue import (
    ArgumentTypeError,
    BrokerUnavailable,
    DuplicateTask,
    FluxQueue,
    FluxQueueWarning,
)
from redis import Redis
from support.audited_calls import (
    AsyncTenant,
    Declare,
    Tenant,
    awaited,
    call,
    headers,
    sent,
)
from support.ports import free_port

KINDS = pytest.mark.parametrize("kind", [Tenant, AsyncTenant])


def test_a_call_gets_the_header_and_the_middleware_the_id(declare: Declare, redis: Redis) -> None:
    outer, inner = Tenant("a"), Tenant("b")
    add = declare(outer, inner)
    add(1, word="x")
    handle = add.options(headers={"trace": "t"}).enqueue(2)
    assert headers(redis) == [{"tenant": "ab"}, {"trace": "t", "tenant": "ab"}]
    first, second = outer.calls
    assert (first.task_name, first.queue, first.args, first.kwargs) == (
        "add",
        "default",
        (1,),
        {"word": "x"},
    )
    assert (second.task_id, first.delay, first.eta) == (handle.id, None, None)
    ids = [message["id"] for message in sent(redis)]
    assert [outcome.task_id for outcome in outer.outcomes] == ids == [first.task_id, handle.id]
    assert all(outcome.is_new and outcome.error is None for outcome in inner.outcomes)


def test_a_call_shows_when_it_is_due(declare: Declare) -> None:
    tenant = Tenant()
    add = declare(tenant)
    eta = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    add.options(delay=2.5)(1)
    add.options(eta=eta)(1)
    add.options(delay=timedelta(minutes=1)).enqueue_many([(1,)])
    assert [(call.delay, call.eta) for call in tenant.calls] == [
        (2.5, None),
        (None, eta),
        (60.0, None),
    ]


@KINDS
@pytest.mark.parametrize("is_async", [False, True])
def test_awaited_calls_pass_the_middleware(
    declare: Declare, redis: Redis, kind: type[Tenant], is_async: bool
) -> None:
    tenant = kind()
    add = declare(tenant, is_async=is_async)

    async def main() -> list[str]:
        handle = await add.enqueue_async(1)
        if is_async:
            await add(2)
            await asyncio.gather(add(3), asyncio.create_task(add(4)))
            async with asyncio.TaskGroup() as group:
                group.create_task(add(5))
            await asyncio.wait_for(add(6), 30)
        return [handle.id]

    (task_id,) = asyncio.run(main())
    assert headers(redis) == [{"tenant": "a"}] * (6 if is_async else 1)
    assert tenant.outcomes[0].task_id == task_id
    assert len(tenant.outcomes) == len(headers(redis))
    assert all(outcome.is_new for outcome in tenant.outcomes)


def test_a_call_that_nothing_awaits_is_sent_or_missed_with_a_word(
    declare: Declare, redis: Redis
) -> None:
    kept, lost = declare(Tenant(), is_async=True), declare(AsyncTenant(), is_async=True)

    async def main(task: Any) -> None:
        task(1)
        await task(2)

    asyncio.run(main(kept))
    assert headers(redis) == [{"tenant": "a"}] * 2
    with pytest.warns(FluxQueueWarning, match=r"was not awaited, and the call was not sent"):
        asyncio.run(main(lost))
    assert len(headers(redis)) == 3


@KINDS
def test_an_async_call_without_a_loop_passes_once(
    declare: Declare, redis: Redis, kind: type[Tenant]
) -> None:
    tenant = kind()
    add = declare(tenant, is_async=True)
    asyncio.run(add(1))
    assert headers(redis) == [{"tenant": "a"}]
    assert len(tenant.calls) == len(tenant.outcomes) == 1


@KINDS
@pytest.mark.parametrize("method", ["enqueue_many", "enqueue_each"])
@pytest.mark.parametrize("on_loop", [False, True])
def test_each_call_of_many_passes(
    declare: Declare, redis: Redis, kind: type[Tenant], method: str, on_loop: bool
) -> None:
    tenant = kind()
    add = declare(tenant)
    calls = [
        (0,),
        {"number": 1},
        add.options(headers={"own": "x"}).call(2),
        *((n,) for n in range(3, 2100)),
    ]
    if on_loop:
        found = asyncio.run(getattr(add, f"{method}_async")(iter(calls)))
    else:
        found = getattr(add, method)(iter(calls))
    messages = sent(redis)
    assert [message.get("args") or [message["kwargs"]["number"]] for message in messages] == [
        [number] for number in range(2100)
    ]
    assert all(message["headers"]["tenant"] == "a" for message in messages)
    assert messages[2]["headers"]["own"] == "x"
    ids = [message["id"] for message in messages]
    assert [outcome.task_id for outcome in tenant.outcomes] == ids
    if method == "enqueue_each":
        assert [handle.id for handle in found] == ids
    else:
        assert found == 2100


def test_calls_of_many_are_spread(declare: Declare, redis: Redis) -> None:
    add = declare(Tenant())
    assert add.enqueue_many([(n,) for n in range(4)], spread=3600) == 4
    assert len(sent(redis)) == 1


@KINDS
@pytest.mark.parametrize("on_loop", [False, True])
def test_a_bad_call_of_many_ends_only_those_that_were_not_sent(
    declare: Declare, redis: Redis, kind: type[Tenant], on_loop: bool
) -> None:
    tenant = kind()
    add = declare(tenant)
    calls: list[Any] = [(n,) for n in range(1005)]
    calls[1003] = (object(),)
    with pytest.raises(ArgumentTypeError, match="call 1003") as caught:
        asyncio.run(add.enqueue_many_async(calls)) if on_loop else add.enqueue_many(calls)
    enqueued = caught.value.enqueued
    assert enqueued == len(sent(redis))
    assert [outcome.is_new for outcome in tenant.outcomes].count(True) == enqueued
    assert len(tenant.outcomes) == len(tenant.calls)


@KINDS
def test_a_unique_call_shows_the_task_in_its_place(declare: Declare, kind: type[Tenant]) -> None:
    tenant = kind()
    add = declare(tenant, unique=True)
    first = add.enqueue(1)
    assert add.enqueue(1).id == first.id
    assert asyncio.run(add.enqueue_async(1)).id == first.id
    assert add.enqueue_many([(1,), (2,)]) == 1
    assert asyncio.run(add.enqueue_many_async([(1,), (3,)])) == 1
    with pytest.raises(DuplicateTask):
        add.options(on_conflict="raise").enqueue(1)
    seen = [(o.is_new, o.task_id == first.id) for o in tenant.outcomes]
    new, old, other = (True, True), (False, True), (True, False)
    assert seen == [new, old, old, old, other, old, other, old]


@KINDS
def test_a_failed_call_is_an_outcome(kind: type[Tenant]) -> None:
    tenant = kind()
    queue = FluxQueue(f"redis://127.0.0.1:{free_port()}", timeout=0.3, middleware=[tenant])

    @queue.task()
    async def add(number: int) -> None: ...

    with pytest.raises(BrokerUnavailable):
        add.enqueue(1)
    with pytest.raises(BrokerUnavailable):
        asyncio.run(awaited(add, 1))
    with pytest.raises(BrokerUnavailable):
        add.enqueue_many([(1,)])
    assert [type(outcome.error) for outcome in tenant.outcomes] == [BrokerUnavailable] * 3
    assert all(outcome.task_id is None and not outcome.is_new for outcome in tenant.outcomes)


@KINDS
def test_an_argument_is_named_as_without_middleware(declare: Declare, kind: type[Tenant]) -> None:
    tenant = kind()
    add = declare(tenant, is_async=True)
    with pytest.raises(ArgumentTypeError, match=r"'add_async' .*argument number is an? object"):
        add.enqueue(object())
    with pytest.raises(ArgumentTypeError, match=r"'add_async' .*argument number is an? object"):
        asyncio.run(awaited(add, object()))


def test_typed_arguments_are_shown_as_json(declare: Declare, redis_url: str) -> None:
    tenant = Tenant()
    queue = FluxQueue(redis_url)

    @queue.task(middleware=[tenant])
    def visit(day: datetime) -> None: ...

    day = datetime(2026, 1, 2, tzinfo=UTC)
    visit(day)
    visit.enqueue_many([(day,), {"day": day}])
    visit.options(priority=1)(day)
    assert [call.args or tuple(call.kwargs.values()) for call in tenant.calls] == [
        ("2026-01-02T00:00:00Z",)
    ] * 4


def test_a_declared_task_has_the_middleware_of_its_client(redis_url: str, redis: Redis) -> None:
    tenant, own = Tenant("a"), Tenant("b")
    queue = FluxQueue(redis_url, middleware=[tenant])
    queue.declare("elsewhere", middleware=[own])(1)
    assert headers(redis) == [{"tenant": "ab"}]


def test_a_cancelled_call_is_an_outcome(declare: Declare) -> None:
    tenant = Tenant()
    add = declare(tenant, is_async=True)

    async def main() -> None:
        call = add(1)
        call.cancel()
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert [type(outcome.error) for outcome in tenant.outcomes] == [asyncio.CancelledError]


def test_the_middleware_moves_with_its_broker(declare: Declare, redis: Redis) -> None:
    tenant = Tenant()
    add = declare(tenant)
    view = add.options(headers={"x": "y"})
    add.broker.move(namespace="shop")
    add(1)
    view(2)
    assert [call.args for call in tenant.calls] == [(1,), (2,)]
    assert redis.llen("fluxqueue.shop:{default}:pending") == 2


def test_no_warning_without_a_reason(declare: Declare) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(declare(AsyncTenant(), is_async=True), "await")
