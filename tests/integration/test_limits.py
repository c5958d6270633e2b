"""Limited tasks on a real Redis, without workers: what each way to enqueue writes."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from fluxqueue import ConfigurationError, DuplicateTask, FluxQueue
from fluxqueue_control import limits
from fluxqueue_control.servers import Servers
from fluxqueue_core import Settings, key
from fluxqueue_core.limits import LimitRules, key_digest

pytestmark = pytest.mark.versions


@pytest.fixture
def app(redis_url: str) -> Iterator[FluxQueue]:
    client = FluxQueue(redis_url)
    yield client
    client.close()


def messages(redis: Any, queue: str = "default") -> list[bytes]:
    """All messages of a queue that no worker has."""
    found: list[bytes] = redis.lrange(key("pending", queue), 0, -1)
    found += redis.zrange(key("prioritized", queue), 0, -1)
    found += redis.zrange(key("delayed", queue), 0, -1)
    for line in redis.keys(key("limit:line", queue, "*")):
        found += redis.lrange(line, 0, -1)
    return found


def limits_of(redis: Any, queue: str = "default") -> Counter[str]:
    """The limits that the messages of a queue name, with their numbers."""
    options = [re.search(rb'[{,]"l":"([^"]*)"', message) for message in messages(redis, queue)]
    return Counter("none" if found is None else found[1].decode() for found in options)


def digest(name: str, json: str = "") -> str:
    return key_digest(name, json.encode())


def in_loop(call: Callable[[], Any]) -> None:
    async def run() -> None:
        await call()

    asyncio.run(run())


WAYS: dict[str, Callable[[Any], object]] = {
    "call": lambda task: task("acme", 1),
    "enqueue": lambda task: task.enqueue("acme", amount=1),
    "enqueue_async": lambda task: in_loop(lambda: task.enqueue_async("acme", 1)),
    "enqueue_many": lambda task: task.enqueue_many([("acme", 1)]),
    "enqueue_many of a mapping": lambda task: task.enqueue_many([{"customer": "acme"}]),
    "enqueue_many of a TaskCall": lambda task: task.enqueue_many([task.call("acme")]),
    "enqueue_many with options": lambda task: task.enqueue_many(
        [task.options(priority=3, task_id="order 1").call("acme")]
    ),
    "enqueue_many spread": lambda task: task.enqueue_many([("acme", 1)], spread=60),
    "enqueue_many_async": lambda task: in_loop(lambda: task.enqueue_many_async([("acme", 1)])),
    "enqueue_each": lambda task: task.enqueue_each([("acme", 1)]),
    "enqueue_each_async": lambda task: in_loop(lambda: task.enqueue_each_async([("acme", 1)])),
    "options": lambda task: task.options(priority=3, headers={"a": "b"}).enqueue("acme"),
    "delay": lambda task: task.options(delay=60).enqueue("acme"),
}


@pytest.mark.parametrize("limit_key", ["customer", lambda customer, amount=1: customer])
@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_enqueue_names_the_limit(
    app: FluxQueue, redis: Any, way: str, limit_key: Any
) -> None:
    shared = app.limit("stripe", rate="25/s", concurrency=5)

    @app.task(limit=shared, limit_key=limit_key)
    def charge(customer: str, amount: int = 1) -> None: ...

    WAYS[way](charge)
    assert limits_of(redis) == {digest("stripe", '"acme"') + ":5:43479:3": 1}


@pytest.mark.parametrize("way", ["call", "enqueue_async", "enqueue_many", "enqueue_each"])
def test_a_coroutine_function_and_a_declared_task_do_so_too(
    app: FluxQueue, redis: Any, way: str
) -> None:
    @app.task(concurrency=2)
    async def charge(customer: str, amount: int = 1) -> None: ...

    if way == "call":
        in_loop(lambda: charge("acme"))
    else:
        WAYS[way](charge)
    declared = app.declare("charge", signature=lambda customer, amount=1: None, concurrency=2)
    WAYS[way](declared)
    assert limits_of(redis) == {digest("charge") + ":2:0:1": 2}


def test_typed_arguments_are_keys_as_json_has_them(app: FluxQueue, redis: Any) -> None:
    one = UUID("019aa0c2-7b1f-7c3e-8d2a-0123456789ab")

    @app.task(concurrency=1, limit_key="order")
    def charge(order: UUID) -> None: ...

    charge(one)
    charge.enqueue_many([(one,), {"order": one}, charge.call(one)])
    assert limits_of(redis) == {digest("charge", f'"{one}"') + ":1:0:1": 4}


def test_one_is_called_and_the_others_wait_in_line(app: FluxQueue, redis: Any) -> None:
    task = app.task(name="work", concurrency=2, limit_key="a")(lambda a: None)
    task.enqueue_many([("x",)] * 5 + [("y",)])
    assert redis.llen(key("pending", "default")) == 3
    assert redis.llen(key("limit:line", "default", digest("work", '"x"'))) == 3


def test_a_task_of_another_queue_is_limited_there(app: FluxQueue, redis: Any) -> None:
    task = app.task(name="work", concurrency=1)(lambda: None)
    task()
    task.options(queue="other").enqueue_many([(), ()])
    assert limits_of(redis) == {digest("work") + ":1:0:1": 1}
    assert redis.llen(key("limit:line", "other", digest("work"))) == 1


def test_a_task_may_be_unique_and_limited(app: FluxQueue, redis: Any) -> None:
    task = app.task(name="work", unique=("a",), on_conflict="raise", concurrency=1, limit_key="b")(
        lambda a, b: None
    )
    handle = task.enqueue(1, "x")
    with pytest.raises(DuplicateTask) as caught:
        task.enqueue(1, "y")
    assert caught.value.handle == handle
    with pytest.raises(DuplicateTask) as many:
        task.enqueue_many([(1, "z"), (2, "x"), (3, "y")])
    assert many.value.enqueued == 2
    assert limits_of(redis) == {
        digest("work", '"x"') + ":1:0:1": 2,
        digest("work", '"y"') + ":1:0:1": 1,
    }


def test_the_runs_of_a_periodic_task_have_its_limit(app: FluxQueue, redis: Any) -> None:
    @app.periodic(every=3_600, args=("acme",))
    @app.task(concurrency=1, limit_key="customer")
    def report(customer: str) -> None: ...

    app.schedule("later", report.call("other"), every=60)
    [declared] = report.periodic
    assert f'"l":"{digest("report", chr(34) + "acme" + chr(34))}:1:0:1"'.encode() in (
        declared.scheduled(declared=True).message
    )
    [stored] = redis.hvals(key("periodic:messages", "default"))
    assert f'"l":"{digest("report", chr(34) + "other" + chr(34))}:1:0:1"'.encode() in stored


def test_a_call_that_does_not_fit_enqueues_nothing(app: FluxQueue, redis: Any) -> None:
    task = app.task(name="work", concurrency=1, limit_key=lambda a: a)(lambda a: None)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        task.enqueue()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"call 0 .* takes 1 positional argument but 2"):
        task.enqueue_many([(1, 2), (1,)])
    assert not messages(redis)


def test_the_control_plane_reads_keys_and_rules(app: FluxQueue, redis_url: str) -> None:
    servers = Servers(Settings(redis_url))
    client = servers.of_queue("default")
    work = app.task(name="work", concurrency=1, limit_key="a")(lambda a: None)
    shared = app.task(name="b", limit=app.limit("shared", rate="1/h", burst=2))(lambda: None)
    work.enqueue_many([("x",), ("x",), (["y", 1],)])
    shared.enqueue_many([()] * 5)
    page = limits.read_keys(client, "default")
    assert page.cursor is None
    found = {(each.name, each.key): each for each in page.keys}
    assert set(found) == {("work", "x"), ("work", '["y",1]'), ("shared", "")}
    x, shared_key = found["work", "x"], found["shared", ""]
    assert (x.digest, x.running, x.ready, x.waiting) == (digest("work", '"x"'), 0, 1, 1)
    assert x.rules == LimitRules(1)
    assert (shared_key.ready, shared_key.waiting) == (2, 3)
    assert shared_key.rules == LimitRules(0, 3_600_000_000, 2)
    assert [each.name for each in limits.read_keys(client, "default", name="shared").keys] == [
        "shared"
    ]
    # No worker has declared anything yet.
    assert limits.read_limits(client, "default").limits == []
    assert limits.read_limit(client, "default", "work") is None
    assert limits.override(client, "default", "work", LimitRules(3, 40_000, 2))
    [named] = limits.read_limits(client, "default").limits
    assert (named.name, named.declared, named.override) == ("work", None, LimitRules(3, 40_000, 2))
    assert limits.read_limit(client, "default", "work") == named
    assert {each.rules for each in limits.read_keys(client, "default", name="work").keys} == {
        LimitRules(3, 40_000, 2)
    }
    assert limits.clear(client, "default", "work")
    assert limits.read_limit(client, "default", "work") is None
    servers.close()


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        (LimitRules(-1), "most is -1; give 0 to 999999"),
        (LimitRules(10**6), "most is 1000000"),
        (LimitRules(True), "most must be an int, not bool"),
        (LimitRules(float("nan")), "most must be an int, not float"),  # type: ignore[arg-type]
        (LimitRules(0, 10**18), "period is 1000000000000000000"),
        (LimitRules(0, -5), "period is -5"),
        (LimitRules(0, "1/s"), "period must be an int, not str"),  # type: ignore[arg-type]
        (LimitRules(0, 1_000, 0), "burst is 0; give 1 to 999999"),
    ],
)
def test_an_override_that_no_limit_can_have_changes_nothing(
    redis: Any, redis_url: str, rules: LimitRules, error: str
) -> None:
    servers = Servers(Settings(redis_url))
    with pytest.raises((TypeError, ConfigurationError), match=error):
        limits.override(servers.of_queue("default"), "default", "work", rules)
    servers.close()
    assert redis.dbsize() == 0


def test_keys_are_read_page_by_page(app: FluxQueue, redis_url: str) -> None:
    servers = Servers(Settings(redis_url))
    client = servers.of_queue("default")
    work = app.task(name="work", concurrency=1, limit_key="a")(lambda a: None)
    work.enqueue_many([(number,) for number in range(2_000)])
    seen: set[str] = set()
    sizes = []
    cursor = None
    while True:
        page = limits.read_keys(client, "default", cursor, 100)
        sizes.append(len(page.keys))
        seen |= {each.key for each in page.keys}
        if (cursor := page.cursor) is None:
            break
    assert seen == {str(number) for number in range(2_000)}
    assert max(sizes) <= 300
    servers.close()
