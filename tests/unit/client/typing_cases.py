"""Calls that a type checker must accept, and some that it must reject.

Read by mypy and pyright, never run: `test_typing.py` compares the lines on
which they report errors with the lines marked `# error`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fluxqueue import (
    AsyncTask,
    AsyncTaskWithOptions,
    BrokerUnavailable,
    Context,
    Depends,
    FluxQueue,
    Limit,
    Reject,
    Retry,
    RetryPolicy,
    Shared,
    Task,
    TaskCall,
    TaskHandle,
    TaskTimeout,
    TaskWithOptions,
    gather_results,
    gather_results_sync,
)
from fluxqueue.errors import EnqueueUncertain

fluxqueue = FluxQueue()


class AppContext(Context):
    @property
    def database(self) -> str:
        return str(self.thread_storage["database"])


@fluxqueue.task()
def send_email(to: str, subject: str, body: str = "") -> None: ...


@fluxqueue.task(queue="notifications", max_retries=5, retry_delay=0.5)
async def notify(user_id: int, *, message: str) -> int:
    return user_id


@fluxqueue.task_with_context()
def resize(ctx: Context, image_id: int) -> None:
    ctx.metadata.task_id.upper()
    ctx.metadata.enqueued_at.isoformat()


@fluxqueue.task_with_context(name="resize-later")
async def resize_async(ctx: AppContext, image_id: int) -> None:
    ctx.database.upper()


@fluxqueue.task("named", "mails", 0, retry_backoff=1, retry_max_delay=60, timeout=None)
def every_option() -> None: ...


@fluxqueue.task_with_context("named-too", "mails", 0, retry_delay=1, timeout=0.5)
def every_option_and_context(ctx: Context) -> None: ...


def backoff(attempt: int, error: BaseException) -> float | None:
    return None if isinstance(error, KeyError) else 2.0**attempt


POLICIES = {ConnectionError: RetryPolicy(max_retries=10, delay=1), OSError: RetryPolicy()}


@fluxqueue.task(
    retry_on={ConnectionError: RetryPolicy(delay=1), ValueError: RetryPolicy(delays=[1, 5])},
    no_retry_on=(KeyError, TaskTimeout),
    retry_delays=[1, 5, 30],
    jitter=False,
)
def retried() -> None:
    raise Retry("busy", delay=5) from Reject("why")


fluxqueue.task(retry_on=POLICIES, no_retry_on=ValueError, retry_delays=(1.5,))
fluxqueue.task(retry_on=ConnectionError, retry=backoff)
fluxqueue.task(retry_on=(ConnectionError, TimeoutError), retry=lambda attempt, error: attempt)
fluxqueue.task(retry_on=5)  # error
fluxqueue.task(retry_on=int)  # error
fluxqueue.task(retry_on=[ConnectionError])  # error
fluxqueue.task(retry_on={ConnectionError: 5})  # error
fluxqueue.task(no_retry_on={ConnectionError: RetryPolicy()})  # error
fluxqueue.task(retry_delays=5)  # error
fluxqueue.task(retry=lambda attempt: 5)  # error
fluxqueue.task(retry=lambda attempt, error: "5")  # error
RetryPolicy(5)  # error
RetryPolicy(delay="5")  # error
Retry(5)  # error
Retry(delay="5")  # error

stripe: Limit = fluxqueue.limit("stripe", rate="25/s", concurrency=5, burst=2)
fluxqueue.task(limit=stripe, limit_key="customer")
fluxqueue.task(concurrency=10, rate="100/m", burst=5, limit_key=("customer", "region"))
fluxqueue.task(rate="1/s", limit_key=lambda order, **rest: order.shop, max_per_worker=2)
fluxqueue.declare("charge", concurrency=1)
fluxqueue.limit("stripe", "25/s")  # error
fluxqueue.limit("stripe", rate=25)  # error
fluxqueue.task(limit="stripe")  # error
fluxqueue.task(concurrency="10")  # error
fluxqueue.task(rate=100)  # error
fluxqueue.task(limit_key=["customer"])  # error
fluxqueue.task(max_per_worker="2")  # error
stripe.rate = "26/s"  # error

fluxqueue.task(retry_dely=1)  # error
fluxqueue.task(timeout="5")  # error
fluxqueue.task(retry_delay=None)  # error
fluxqueue.task("named", "mails", 3, 1.0)  # error
fluxqueue.task(max_retries=None)  # error
fluxqueue.task_with_context(time_out=5)  # error
fluxqueue.task_with_context(retry_max_delay="5")  # error

a: Task[[str, str, str], None] = send_email
b: AsyncTask[..., int] = notify
c: Task[[int], None] = resize
d: Task[[str], None] = resize  # error
e: Task[[Context, int], None] = resize  # error
f: AsyncTask[[int], int] = notify  # error

send_email("a", "b")
send_email("a", subject="b", body="c")
send_email("a")  # error
send_email("a", 5)  # error
send_email("a", "b", nobody="c")  # error
result: int = send_email("a", "b")  # error

resize(7)
resize(image_id=7)
resize("7")  # error
resize(Context, 7)  # error

send_email.func("a", "b")
name: str = notify.task_name
retries: int = notify.max_retries
delay: float = notify.terms.retry_delay
limit: float | None = notify.timeout
sent: int = send_email.enqueue_many([("a", "b"), {"to": "a", "subject": "b"}])
send_email.enqueue_many([["a", "b"]])  # error


async def use() -> None:
    await notify(1, message="hello")
    await notify("1", message="hello")  # error
    await notify(1, "hello")  # error
    await resize_async(1)
    await resize_async(image_id="1")  # error
    task: asyncio.Task[None] = asyncio.create_task(notify(1, message="hello"))
    await task
    await asyncio.gather(notify(1, message="a"), resize_async(2))
    await asyncio.wait_for(notify(1, message="a"), timeout=1)
    async with asyncio.TaskGroup() as group:
        group.create_task(resize_async(1))
        group.create_task(resize(1))  # error
    await send_email("a", "b")  # error
    many: int = await notify.enqueue_many_async([(1,), {"user_id": 2, "message": "x"}])
    print(many)
    handle: TaskHandle[None] = await send_email.enqueue_async("a", "b")
    later: TaskHandle[int] = await notify.enqueue_async(1, message="hello")
    task_id: str = handle.id or str(later)
    await resize.enqueue_async(7)
    await send_email.enqueue_async("a", 5)  # error
    await notify.enqueue_async("1", message="hello")  # error
    await resize_async.enqueue_async(Context, 1)  # error
    await send_email.enqueue("a", "b")  # error
    number: int = await notify.enqueue_async(1, message="hello")  # error
    print(task_id, number)
    first, second = await asyncio.gather(
        send_email.enqueue_async("a", "b"), notify.enqueue_async(1, message="a")
    )
    task_id = first.id or second.id
    created: asyncio.Task[TaskHandle[None]] = asyncio.create_task(resize.enqueue_async(7))
    await created


sent_email: TaskHandle[None] = send_email.enqueue("a", subject="b")
notified: TaskHandle[int] = notify.enqueue(1, message="hello")
wider: TaskHandle[int | None] = notified
sent_email = resize_async.enqueue(image_id=1)
sent_email = notified  # error
where: str = f"{notified} {notified.queue}"
known: TaskHandle[object] = fluxqueue.handle("order-17", queue="mails")
fluxqueue.handle(17)  # error
send_email.enqueue("a")  # error
notify.enqueue(1, "hello")  # error
resize.enqueue("7")  # error
none: None = notify.enqueue(1, message="hello")  # error
asyncio.run(notify(1, message="hello"))
sent_email = asyncio.run(send_email.enqueue_async("a", "b"))


soon = send_email.options(delay=60, task_id="order-17", headers={"tenant": "a"})
soon("a", "b")
soon("a")  # error
sent_email = soon.enqueue("a", subject="b")
soon.enqueue("a", 5)  # error
soon.enqueue("a", "b", delay=5)  # error
view: TaskWithOptions[[str, str, str], None] = soon
other: AsyncTaskWithOptions[..., int] = soon  # error
tomorrow = notify.options(eta=datetime.now(UTC), max_retries=0).options(timeout=5, queue="mails")
notified = tomorrow.enqueue(1, message="hello")
tomorrow.enqueue("1", message="hello")  # error
resize.options(delay=timedelta(hours=1)).enqueue(image_id=7)
resize.options(delay=60).enqueue(Context, 7)  # error
send_email.options(dely=60)  # error
send_email.options(delay="60")  # error
send_email.options(eta=60)  # error
soon.options(task_id=17)  # error
soon.options(headers={"a": 1})  # error
call: TaskCall[None] = soon.call("a", "b")
soon.call("a", 5)  # error
sent = send_email.enqueue_many([("a", "b"), call, send_email.call("a", "b")], spread=60)
sent = soon.enqueue_many([("a", "b")], spread=timedelta(minutes=1))
send_email.enqueue_many([("a", "b")], spread="60")  # error


async def use_options() -> None:
    await tomorrow(1, message="hello")
    await tomorrow(1, "hello")  # error
    await soon("a", "b")  # error
    handle: TaskHandle[int] = await tomorrow.enqueue_async(1, message="hello")
    await tomorrow.enqueue_async("1", message="hello")  # error
    count: int = await soon.enqueue_many_async([("a", "b")], spread=60)
    print(handle, count)


def remote(to: str, *, cc: str = "") -> int:
    raise NotImplementedError


async def remote_async(user: int) -> None: ...


declared = fluxqueue.declare("remote", queue="mails", signature=remote, timeout=5)
number_handle: TaskHandle[int] = declared.enqueue("a", cc="b")
declared.enqueue(5)  # error
declared.options(delay=5).enqueue("a", bcc="b")  # error
declared_async: AsyncTask[[int], None] = fluxqueue.declare("r", signature=remote_async)
untyped = fluxqueue.declare("anything")
untyped.enqueue(1, "a", b=2)
fluxqueue.declare("anything", signature="to: str")  # error
fluxqueue.declare("anything", signature=remote, retry_dely=1)  # error


@fluxqueue.task(result_ttl=60)
def measured(path: str) -> list[int]:
    raise NotImplementedError


sizes: list[int] = measured.enqueue("a").result(timeout=5)
wrong_sizes: list[str] = measured.enqueue("a").result()  # error
of_call: list[int] = measured.options(result_ttl=5).enqueue("a").result()
measured.options(result_ttl="5")  # error
several: list[list[int]] = gather_results_sync([measured.enqueue("a")])
or_errors: list[list[int] | Exception] = gather_results_sync(
    [measured.enqueue("a")], return_exceptions=True
)
state: str = measured.enqueue("a").status()


async def wait_for_results() -> None:
    one: list[int] = await (await measured.enqueue_async("a")).result_async(5)
    wrong: str = await (await measured.enqueue_async("a")).result_async(5)  # error
    more: list[int] = await gather_results([notify.enqueue(1, message="hello")])
    print(one, wrong, more)


def make_session(pool: str = Shared(str)) -> Iterator[float]:
    yield 1.5


@fluxqueue.lifespan
async def clients() -> AsyncIterator[str]:
    yield "client"


fluxqueue.lifespan(make_session)
fluxqueue.lifespan(remote)  # error
fluxqueue.lifespan(5)  # error


@fluxqueue.task()
def bill(
    order: int, session: float = Depends(make_session), *, client: str = Shared(clients)
) -> int:
    return order


@fluxqueue.task()
async def bill_annotated(session: Annotated[float, Depends(make_session)], order: int) -> None: ...


bill(17)
bill(order=17)
bill("17")  # error
billed: TaskHandle[int] = bill.enqueue(17)
bill.options(delay=5).enqueue(order=17)
bill.enqueue()  # error
# A checker takes an annotated dependency for an argument of the call.
bill_annotated.enqueue(order=17)  # error
Depends(5)  # error
Depends(make_session, False)  # error
Shared(make_session, use_cache=False)  # error
fluxqueue.dependency_overrides[make_session] = lambda: 2.5
fluxqueue.dependency_overrides["make_session"] = make_session  # error
with fluxqueue.override_dependency(make_session, lambda: 2.5):
    pass


@fluxqueue.task_with_context()  # error
def without_context(image_id: int) -> None: ...


@fluxqueue.task  # error
def without_parentheses(image_id: int) -> None: ...


def takes_any(task: Task[..., Any] | AsyncTask[..., Any]) -> str:
    return f"{task.queue} {task.task_name} {task.is_async}"


takes_any(send_email)
takes_any(notify)

try:
    send_email("a", "b")
except (BrokerUnavailable, EnqueueUncertain) as error:
    count: int = error.enqueued
    text: str = error.enqueued  # error
