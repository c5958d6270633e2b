"""Whatever another program has written into Redis, each command and page of an operator answers:
strict JSON, no escape for the terminal, and no error of ours."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fluxqueue.cli import main
from fluxqueue_control import job_record, queues, reports, stats, workers
from fluxqueue_control.read_numbers import is_count, seconds, whole
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.shown_json import DEEPEST, read_arguments, read_json
from fluxqueue_core import Settings, key
from fluxqueue_dashboard.access import Access
from fluxqueue_dashboard.app import build
from support.asgi import ask
from support.operator_commands import crowd, task_id
from support.scripts import Scripts, message

HUGE, DEEP = "9" * 5_000, "[" * 100_000 + "]" * 100_000
NEARLY = "[" * 980 + "]" * 980
ESCAPE = "\x1b[31m\u202e\n"
JOB = "019aa0c2-7b1f-7c3e-8d2a-00000000ffff"
READS = [
    ["queues"],
    ["workers"],
    ["doctor", "--all", "--seconds", "0"],
    *(
        ["tasks", "-q", "q", "--state", state]
        for state in ("waiting", "delayed", "limited", "claimed", "dead", "finished")
    ),
    ["search", "x"],
    ["search", "--task", "n", "--arg", "0=1"],
    ["watch", "--count", "1"],
    *(["task", task_id(number)] for number in (1, 4, 5, 6)),
    ["dead", "list", "-q", "q"],
    ["dead", "show", "-q", "q", task_id(1)],
    ["dead", "groups", "-q", "q"],
    ["dead", "replay", "-q", "q", "--all", "--dry-run"],
    ["job", "list", "-q", "q"],
    ["job", "start", "delete", "waiting", "-q", "q", "--argument", "0=1", "--dry-run"],
    ["strike", "list", "-q", "q"],
    ["locks", "-q", "q"],
    ["audit", "q"],
    ["periodic", "list"],
    ["limits", "list", "-q", "q"],
]
PAGES = [
    "/",
    "/queue?name=q",
    "/workers",
    *(f"/tasks?queue=q&state={state}" for state in ("waiting", "delayed", "claimed", "dead")),
    *(f"/task?queue=q&id={task_id(number)}" for number in (4, 5, 6)),
    "/search?q=x",
    "/dead?queue=q",
    "/dead/groups?queue=q",
    "/jobs?queue=q",
    "/locks?queue=q",
    "/audit?queue=q",
]


def put(scripts: Scripts, kind: str, field: str, value: str | bytes, consumer: str = "") -> None:
    scripts.redis.hset(scripts.key(kind, consumer) if consumer else scripts.key(kind), field, value)


def message_with(arguments: str) -> Callable[[Scripts], Any]:
    def enqueue(scripts: Scripts) -> None:
        raw = message(5).replace(b'"args":[', b'"args":[%s,' % arguments.encode())
        assert arguments.encode() in raw
        scripts.redis.delete(scripts.key("pending"))
        scripts.enqueue(raw)
        scripts.redis.zadd(scripts.key("delayed"), {raw.replace(b"0005", b"0006"): 2e12})

    return enqueue


def identity(text: str) -> Callable[[Scripts], Any]:
    return lambda scripts: put(scripts, "workers", "c", text)


def report(text: str) -> Callable[[Scripts], Any]:
    def write(scripts: Scripts) -> None:
        put(scripts, "report", "at", str(scripts.now()), "c")
        put(scripts, "report", "report", text, "c")

    return write


def job(**fields: str) -> Callable[[Scripts], Any]:
    plain: dict[str | bytes, str] = {"verb": "replay", "part": "dead", "selection": "{}"}

    def write(scripts: Scripts) -> None:
        scripts.redis.zadd(scripts.key("jobs"), {JOB: 1})
        record = plain | {"started": "1", "updated": "1", b"\xff": "1"}
        record.update(fields)
        scripts.redis.hset(scripts.key("job", JOB), mapping=record)

    return write


def dead_entry(scripts: Scripts) -> None:
    scripts.redis.zadd(scripts.key("dead"), {ESCAPE: float("inf")})
    put(scripts, "dead:messages", ESCAPE, b"\xff")
    put(scripts, "dead:reasons", ESCAPE, '{"reason":"\\ud800","error":"\\udc00"}')


GARBAGE: dict[str, Callable[[Scripts], Any]] = {
    "an argument that is infinite": message_with("1e999"),
    "an argument of 5,000 digits": message_with(HUGE),
    "an argument of 100,000 levels": message_with(DEEP),
    "an argument of 980 levels": message_with(NEARLY),
    "an argument that is half a character": message_with('"\\ud800"'),
    "a process id that is an object": identity('{"host":5,"pid":{"a":1},"slots":1e999}'),
    "slots of 5,000 digits as a text": identity(f'{{"host":"h","pid":1,"slots":"{HUGE}"}}'),
    "slots of 400 digits": identity(f'{{"host":"h","pid":1,"slots":{"9" * 400}}}'),
    "a version of many levels": identity(f'{{"version":{DEEP}}}'),
    "a task that runs since infinity": report('{"running":1,"tasks":[["a","b",1e999]]}'),
    "memory of 400 digits": report(f'{{"memory":{"9" * 400},"running":1,"tasks":[]}}'),
    "a job with a field that is no text": job(),
    "a job of the far future": job(started="9" * 400),
    "a job whose selection is a list": job(selection="[]"),
    "a job with an outcome for the terminal": job(**{f"outcome:{ESCAPE}": "1"}),
    "a counter of limits that is text": lambda scripts: put(scripts, "stats", "in_line", "["),
    "a counter of 5,000 digits": lambda scripts: put(scripts, "stats", "succeeded", HUGE),
    "a look of a scheduler that is text": lambda scripts: put(scripts, "sweep", "last", "["),
    "an entry of the dead set": dead_entry,
    "a lock since 5,000 digits": lambda scripts: scripts.redis.hset(
        scripts.key("unique", "0" * 32), mapping={"id": "a", "since": HUGE}
    ),
    "a lease without an end": lambda scripts: scripts.redis.zadd(
        scripts.key("consumers"), {"c": float("inf")}
    ),
}


class Output(io.TextIOWrapper):
    """A stream that refuses what a terminal of UTF-8 would."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")

    def text(self) -> str:
        self.flush()
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()


def run(redis_url: str, *words: str) -> tuple[int, str]:
    """Runs a command in this process; returns its exit code and what it prints to stdout."""
    out, err = Output(), Output()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([*words, "-r", redis_url])
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else -1
    assert "\x1b" not in out.text() + err.text(), words
    return code, out.text()


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@pytest.fixture
def app(redis_url: str) -> Iterator[Any]:
    application, context = build(Settings(redis_url), Access())
    yield application
    context.close()


@pytest.mark.parametrize("write", GARBAGE.values(), ids=GARBAGE.keys())
def test_each_command_and_page_answers(
    app: Any, scripts: Scripts, redis_url: str, write: Callable[[Scripts], Any]
) -> None:
    crowd(scripts)
    write(scripts)
    for words in READS:
        code, _ = run(redis_url, *words)
        assert code in (0, 1), words
        code, out = run(redis_url, *words, "--json")
        assert code in (0, 1), words
        for line in out.splitlines():
            json.loads(line, parse_constant=refuse)
    for address in PAGES:
        assert ask(app, address).status == 200, address


def test_readable_parts_are_shown(scripts: Scripts, redis_url: str, control: RedisClient) -> None:
    crowd(scripts)
    identity('{"host":"h","pid":[7],"slots":2,"queues":["q",1],"more":1}')(scripts)
    report('{"memory":[],"running":3,"tasks":[["a","b",1],["c","d","e"]]}')(scripts)
    put(scripts, "stats", "in_line", "x")
    [worker] = workers.scan(control, "q")
    assert worker.identity == {"host": "h", "slots": 2, "more": 1}
    told = reports.read(control, "q", ["c"])["c"]
    assert (told.memory, told.running, [task.name for task in told.tasks]) == (None, 3, ["b"])
    lengths = queues.read_lengths(control, ["q"])["q"]
    assert (lengths.pending, lengths.delayed) == (None, 1)
    assert job_record.read_last(control, "q") == []
    message_with(DEEP)(scripts)
    [line] = run(redis_url, "task", task_id(5), "--json")[1].splitlines()
    shown = json.loads(line)
    assert (shown["name"], "args" in shown) == ("n", False)
    assert shown["unreadable"] == "its arguments have too many levels or digits to show"


def test_a_bucket_that_no_time_has_is_left_out(scripts: Scripts, control: RedisClient) -> None:
    crowd(scripts)
    slot = str(scripts.now() // 10_000 * 10 - 10)
    scripts.redis.set(key("watched", "q"), 1)
    counted = {"w3": 2, "w999999999999": 1, "w-1": 1, "w5": "-4", "x": 1, f"w{HUGE}": 1}
    scripts.redis.hset(scripts.key("stats:slot", slot), mapping=counted)
    wait = stats.read(control, ["q"], seconds=30)["q"].numbers.wait
    assert wait.buckets == {3: 2}
    assert wait.percentile(95) == 4e-6


def test_numbers_of_redis() -> None:
    assert [whole(text) for text in (b"7", "-7", b"0")] == [7, -7, 0]
    wrong = (None, b"", b"-", b"1.5", b" 1", b"1_0", HUGE, "\u0662", b"\xff", "1\n")
    assert [whole(text) for text in wrong] == [None] * len(wrong)
    assert [is_count(value) for value in (0, 5, -1, True, 1.0, "1", 10**19)] == [True] * 2 + [
        False
    ] * 5
    assert seconds(1_500) == 1.5
    assert [seconds(ms) for ms in ("1", True, None, float("inf"), float("nan"), 10**400)] == [
        None
    ] * 6


def test_json_for_people() -> None:
    flat = '["%s"]' % ("[" * 1_000 + '\\"')
    assert read_json(flat) == ["[" * 1_000 + '"']
    edge = b"[" * DEEPEST + b"]" * DEEPEST
    assert json.dumps(read_json(edge)).encode() == edge
    unreadable: dict[str, str | bytes] = {
        "levels": b"[%s]" % edge,
        "digits": HUGE,
        "Expecting": "{",
        "decode": b"\xff",
    }
    for words, text in unreadable.items():
        with pytest.raises(ValueError, match=words):
            read_json(text)
    assert read_arguments({"args": b"[1]", "kwargs": None}) == ([1], {})
    assert read_arguments({"args": b"[1]", "kwargs": DEEP.encode()}) is None
