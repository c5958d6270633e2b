"""Declarations of periodic tasks: their options, and what Redis gets."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from fluxqueue import FluxQueue
from fluxqueue.errors import ArgumentTypeError, ConfigurationError
from fluxqueue.periodic import PeriodicTask
from fluxqueue_core import parse_message
from fluxqueue_core.periodic import record


def declared(cron: str | None = None, /, **options: Any) -> PeriodicTask:
    """A declaration of the task `work` of the queue `q`."""
    app = FluxQueue("redis://nowhere")
    terms = options.pop("terms", {})

    @app.periodic(cron, **options)
    @app.task(queue="q", **terms)
    def work(number: int = 0, *, text: str = "") -> None: ...

    [found] = work.periodic
    return found


def message_of(periodic: PeriodicTask) -> dict[str, Any]:
    return parse_message(periodic.scheduled(declared=True).message)


def test_a_declaration_becomes_a_record_and_a_message() -> None:
    periodic = declared(
        "0 9 * * mon-fri", tz="Europe/Berlin", args=(7,), kwargs={"text": "a"}, expires=None
    )
    entry, raw, message = periodic.scheduled(declared=True)
    assert entry == b"work"
    found = record.Record.parse(raw)
    assert found.declared and not found.paused
    assert found.rules == periodic.rules
    assert (found.rules.times.cron, found.rules.times.tz) == ("0 9 * * MON-FRI", "Europe/Berlin")
    parsed = parse_message(message)
    assert (parsed["name"], parsed["task_id"][:14]) == ("work", "00000000-0000-")
    assert (orjson.loads(message)["args"], orjson.loads(message)["kwargs"]) == ([7], {"text": "a"})


def test_the_digest_tells_of_each_change_and_of_nothing_else() -> None:
    one = declared("0 9 * * *").scheduled(declared=True).record
    assert declared("0  9 * * *").scheduled(declared=True).record == one
    others = [
        declared("0 8 * * *"),
        declared("0 9 * * *", args=(1,)),
        declared("0 9 * * *", tz="Asia/Tokyo"),
        declared("0 9 * * *", catch_up="none"),
        declared("0 9 * * *", call_options={"priority": 1}),
    ]
    digests = {each.scheduled(declared=True).record[: record.DIGEST] for each in others}
    assert len(digests) == 5 and one[: record.DIGEST] not in digests
    times = slice(record.DIGEST, record.DIGEST + 8)
    same = [each.scheduled(declared=True).record[times] == one[times] for each in others]
    assert same == [False, True, False, True, True]


def test_options_of_the_task_and_of_the_call_are_in_the_message() -> None:
    periodic = declared(
        every=60,
        terms={"priority": 2, "timeout": 5.0, "result_ttl": 60},
        call_options={"priority": 7, "queue": "other", "headers": {"a": "b"}},
    )
    assert periodic.queue == "other"
    message = orjson.loads(periodic.scheduled(declared=True).message)
    assert message["opts"] == {"p": 7, "x": "+00000001000", "r": 60_000}
    assert (message["timeout"], message["headers"]) == (5.0, {"a": "b"})


@pytest.mark.parametrize(
    ("options", "expires"),
    [
        ({}, "next"),
        ({"expires": 90}, 90_000),
        ({"expires": timedelta(minutes=1)}, 60_000),
        ({"expires": None}, None),
        ({"terms": {"expires": 30}}, 30_000),
        ({"terms": {"expires": 30}, "expires": "next"}, "next"),
        ({"terms": {"expires": 30}, "expires": None}, None),
        ({"call_options": {"expires": 20}}, 20_000),
    ],
)
def test_a_run_expires_at_the_next_moment_unless_an_option_says_otherwise(
    options: dict[str, Any], expires: object
) -> None:
    periodic = declared(every=60, **options)
    assert periodic.rules.expires == expires
    message = orjson.loads(periodic.scheduled(declared=True).message)
    assert ("x" in message.get("opts", {})) == (expires is not None)


def test_a_unique_task_is_periodic_if_its_calls_want_no_lock() -> None:
    periodic = declared(every=60, terms={"unique": True}, call_options={"unique": False})
    assert list(orjson.loads(periodic.scheduled(declared=True).message)["opts"]) == ["x"]


@pytest.mark.parametrize(
    ("options", "expires"),
    [({}, None), ({"expires": "next"}, "next"), ({"terms": {"expires": 30}}, 30_000)],
)
def test_a_run_that_may_not_overlap_has_a_lock_and_no_expiry_by_default(
    options: dict[str, Any], expires: object
) -> None:
    periodic = declared(every=60, overlap="skip", id="a", **options)
    opts = orjson.loads(periodic.scheduled(declared=True).message)["opts"]
    assert opts["u"] == f"{record.lock_digest('a')}:86400000"
    assert (periodic.rules.expires, "x" in opts) == (expires, expires is not None)
    assert (periodic.rules.overlap, declared(every=60).rules.overlap) == ("skip", None)


def test_the_lock_of_a_run_replaces_that_of_a_unique_task() -> None:
    terms = {"unique": True, "unique_until": "start", "unique_ttl": 60}
    periodic = declared(every=60, terms=terms, call_options={"unique": False}, overlap="skip")
    opts = orjson.loads(periodic.scheduled(declared=True).message)["opts"]
    assert opts == {"u": f"{record.lock_digest('work')}:86400000"}


def test_runs_that_wait_for_each_other_have_a_limit_of_one_at_once() -> None:
    periodic = declared(every=60, overlap="queue", id="a")
    opts = orjson.loads(periodic.scheduled(declared=True).message)["opts"]
    assert opts == {"l": f"{record.line_digest('a')}:1:0:1"}
    assert (periodic.rules.overlap, periodic.rules.expires) == ("queue", None)
    assert record.line_digest("a") != record.line_digest("b")


def test_a_limited_task_has_no_second_limit_for_its_runs() -> None:
    with pytest.raises(ConfigurationError, match="of which a task has one"):
        declared(every=60, terms={"concurrency": 2}, overlap="queue")


def test_runs_overlap_unless_the_option_says_otherwise() -> None:
    one, other = declared(every=60), declared(every=60, overlap="allow")
    assert one.scheduled(declared=True) == other.scheduled(declared=True)
    different = declared(every=60, overlap="skip", expires="next")
    assert different.scheduled(declared=True).record != one.scheduled(declared=True).record


def test_an_interval_has_a_start_and_an_end() -> None:
    start = datetime(2026, 1, 1, 0, 0, 7, tzinfo=UTC)
    periodic = declared(every=timedelta(minutes=1), start=start, end=start + timedelta(minutes=2))
    times = periodic.rules.times
    first = round(start.timestamp() * 1_000)
    assert times.after(0) == first
    assert times.after(first) == first + 60_000
    assert times.after(first + 120_000) is None
    assert times.last(first, first + 10**9, 2) == [first + 60_000, first + 120_000]
    assert declared(every=60).rules.times.after(61_000) == 120_000


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({}, ConfigurationError, "a cron expression or every="),
        ({"cron": "* * * * *", "every": 5}, ConfigurationError, "and not both"),
        ({"cron": "* * * *"}, ConfigurationError, "4 fields"),
        ({"cron": 5}, TypeError, "must be a str"),
        ({"cron": "0 0 31 4 *"}, ConfigurationError, "no month has that day"),
        ({"cron": "0 0 */28 * FRI#2"}, ConfigurationError, "no moment in the next 50 years"),
        ({"cron": "0 0 * * * *"}, ConfigurationError, "6 fields"),
        ({"cron": "* " * 200}, ConfigurationError, "give at most 256"),
        ({"cron": "* * * * *", "tz": "Mars"}, ConfigurationError, "no time zone"),
        ({"cron": "* * * * *", "tz": 3}, TypeError, "name of a time zone"),
        ({"cron": "* * * * *", "tz": "localtime"}, ConfigurationError, "on another machine"),
        ({"every": 5, "tz": "UTC"}, ConfigurationError, "an interval has no time zone"),
        ({"every": 0.5}, ConfigurationError, "1 second to 365 days"),
        ({"every": timedelta(days=366)}, ConfigurationError, "365 days"),
        ({"every": "5"}, TypeError, "must be seconds or a timedelta"),
        ({"every": 5, "catch_up": 0}, ConfigurationError, "give 1 to 100"),
        ({"every": 5, "catch_up": 101}, ConfigurationError, "give 1 to 100"),
        ({"every": 5, "catch_up": "all"}, TypeError, "'none', 'latest' or an int"),
        ({"every": 5, "catch_up": True}, TypeError, "'none', 'latest' or an int"),
        ({"every": 5, "overlap": "replace"}, ConfigurationError, "give 'allow', 'skip' or 'queue'"),
        ({"every": 5, "overlap": None}, TypeError, "not NoneType"),
        ({"every": 5, "jitter": -1}, ConfigurationError, "jitter"),
        ({"every": 5, "jitter": timedelta(days=2)}, ConfigurationError, "a day at most"),
        ({"every": 5, "expires": 0}, ConfigurationError, "expires"),
        ({"every": 5, "expires": "never"}, ConfigurationError, "'next' or None"),
        ({"every": 5, "start": datetime(2026, 1, 1)}, ConfigurationError, "without a time zone"),
        ({"every": 5, "end": 7}, TypeError, "must be a datetime"),
        ({"every": 5, "id": ""}, ConfigurationError, "printable"),
        ({"every": 5, "id": "a\nb"}, ConfigurationError, "printable"),
        ({"every": 5, "id": "a" * 129}, ConfigurationError, "1 to 128"),
        ({"every": 5, "id": 7}, TypeError, "must be a str"),
        ({"every": 5, "args": 7}, TypeError, "args must be a tuple"),
        ({"every": 5, "kwargs": 7}, TypeError, "kwargs must be a dict"),
        ({"every": 5, "call_options": 7}, TypeError, "options must be a dict"),
        ({"every": 5, "args": (1, 2, 3)}, TypeError, "positional argument"),
        ({"every": 5, "args": (object(),)}, ArgumentTypeError, "number"),
        ({"every": 5, "call_options": {"delay": 5}}, ConfigurationError, "no option 'delay'"),
        ({"every": 5, "call_options": {"task_id": "a"}}, ConfigurationError, "no option 'task_id'"),
        ({"every": 5, "call_options": {"nonsense": 5}}, TypeError, "no option 'nonsense'"),
        ({"every": 5, "terms": {"unique": True}}, ConfigurationError, "is unique, and runs"),
        ({"every": 5, "call_options": {"unique": True}}, ConfigurationError, "is unique, and"),
        ({"every": 5, "nonsense": 5}, TypeError, "no option 'nonsense'"),
    ],
)
def test_a_wrong_option_is_named_at_the_declaration(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    cron = options.pop("cron", None)
    with pytest.raises(error) as refused:
        declared(cron, **options)
    assert text in str(refused.value)


def test_two_declarations_of_a_task_need_two_ids() -> None:
    app = FluxQueue("redis://nowhere")

    @app.periodic(every=5)
    @app.periodic(every=60, id="slow")
    @app.task()
    def work() -> None: ...

    assert [each.id for each in work.periodic] == ["slow", "work"]
    with pytest.raises(ConfigurationError, match="two periodic tasks with the id 'work'"):
        app.periodic("* * * * *")(work)

    @app.task()
    def other() -> None: ...

    with pytest.raises(ConfigurationError, match="has a periodic task 'slow' already"):
        app.periodic(every=5, id="slow")(other)


def test_periodic_decorates_only_tasks() -> None:
    app = FluxQueue("redis://nowhere")

    def work() -> None: ...

    decorate: Any = app.periodic(every=5)
    with pytest.raises(TypeError, match=r"above @fluxqueue.task\(\)"):
        decorate(work)
    called: Any = app.periodic
    with pytest.raises(TypeError, match="with a cron expression"):
        called(work)


def test_schedule_takes_a_call_of_a_task_of_the_same_object() -> None:
    app, other = FluxQueue("redis://nowhere"), FluxQueue("redis://nowhere")

    @app.task()
    def work(number: int) -> None: ...

    with pytest.raises(TypeError, match=r"write task.call\(...\)"):
        app.schedule("a", work, every=5)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="belongs to another FluxQueue object"):
        other.schedule("a", work.call(1), every=5)
    with pytest.raises(ConfigurationError, match="a cron expression or every="):
        app.schedule("a", work.call(1))
    # The call refuses an expression that can't be read, before it asks Redis.
    with pytest.raises(ConfigurationError, match="4 fields"):
        app.schedule("a", work.call(1), "* * * *")


def test_a_program_without_periodic_tasks_does_not_load_cronsim() -> None:
    code = """
import sys, fluxqueue, fluxqueue_worker.worker, fluxqueue_scheduler.service
app = fluxqueue.FluxQueue("redis://nowhere")
@app.task()
def work(): ...
print([name for name in sys.modules if name in ("cronsim", "zoneinfo", "fluxqueue.periodic")])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
