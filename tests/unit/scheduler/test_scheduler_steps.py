"""How the loops act on the replies of Redis, and when they look again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import redis
from fluxqueue_control.redis_client import ScriptCall
from fluxqueue_core import key
from fluxqueue_core.service import log
from fluxqueue_core.service.log import Fields
from fluxqueue_scheduler.error_log import ErrorLog
from fluxqueue_scheduler.options import Options
from fluxqueue_scheduler.orphans import parse_key
from fluxqueue_scheduler.promote import LIMIT, SHORTEST_PAUSE, TICK, Promoter
from fluxqueue_scheduler.queues import RegisteredQueues
from fluxqueue_scheduler.rescue import BATCH, Rescue
from fluxqueue_scheduler.sweep import Sweeper
from support.log_lines import Lines


class FakeClient:
    """Answers scripts by a function; the queues are given."""

    namespace = ""
    has_shards = False

    def __init__(self, answer: Callable[[ScriptCall], Any], queues: Sequence[bytes]) -> None:
        self.answer = answer
        self.queues = queues
        self.round_trips = 0

    def key(self, kind: str, queue: str = "", consumer: str = "") -> str:
        return key(kind, queue, consumer)

    def command(self, *words: Any) -> Any:
        assert words == ("SMEMBERS", "fluxqueue:queues")
        return set(self.queues)

    def calls(self, script_calls: Sequence[ScriptCall]) -> list[Any]:
        self.round_trips += 1
        return [self.answer(c) for c in script_calls]

    def call(self, script_call: ScriptCall) -> Any:
        return self.calls([script_call])[0]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    lines = Lines()
    monkeypatch.setattr(log, "_logger", lines.logger("debug"))
    return lines


def promoter(replies: dict[str, Any]) -> tuple[Promoter, FakeClient]:
    client: Any = FakeClient(lambda c: replies[c.queue], [name.encode() for name in replies])
    error_log = ErrorLog()
    return Promoter(client, RegisteredQueues(error_log), error_log), client


@pytest.mark.parametrize(
    ("replies", "pause"),
    [
        ({"a": [0, -1]}, TICK),
        ({"a": [3, -1]}, TICK),
        ({"a": [0, 60_000]}, TICK),
        ({"a": [0, 20], "b": [0, 35]}, 0.02),
        ({"a": [0, 1], "b": [0, -1]}, SHORTEST_PAUSE),
        ({"a": [LIMIT, 0], "b": [0, -1]}, 0.0),
        ({"a": [LIMIT, -1]}, TICK),
        ({"a": [LIMIT, 30]}, 0.03),
        # Large messages: the call has stopped at its limit of bytes.
        ({"a": [1, 0], "b": [0, 20]}, 0.0),
        ({}, TICK),
    ],
)
def test_the_promoter_looks_again_when_a_task_may_be_due(
    replies: dict[str, Any], pause: float
) -> None:
    under_test, client = promoter(replies)
    assert under_test.step() == pytest.approx(pause)
    assert client.round_trips == (1 if replies else 0), "one round trip for all queues"


def test_one_queue_in_trouble_does_not_hide_the_others(lines: list[Fields]) -> None:
    error = redis.ResponseError("WRONGTYPE Operation against a key")
    under_test, _ = promoter({"a": error, "b": [5, 30]})
    assert under_test.step() == pytest.approx(0.03)
    assert [(line["event"], line["queue"]) for line in lines] == [
        ("queue.failed", "a"),
        ("tasks.promoted", "b"),
    ]


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = 1_000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.time)


class Sweeps:
    """A sweeper on a fake server and a fake clock."""

    def __init__(self, clock: Clock, late: list[bytes], queues: Sequence[bytes] = (b"q",)) -> None:
        self.clock = clock
        self.late = late
        self.calls: list[str] = []
        self.seconds_per_call = 0.0
        self.away = False
        error_log = ErrorLog()
        registered = RegisteredQueues(error_log)
        client: Any = FakeClient(self._answer, queues)
        registered.refresh(client)
        self.sweeper = Sweeper(client, registered, Options(lease=10.0), error_log)

    def _answer(self, call: ScriptCall) -> Any:
        if self.away:
            raise redis.ConnectionError("away")
        self.clock.time += self.seconds_per_call
        self.calls.append(call.name)
        if call.name == "sweep":
            assert call.arguments[:2] == (2_500, 10_000)
            return [0, [1, self.late, []]] if self.late else [0]
        if call.name == "bury":
            message = b'{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab","name":"n","args":[]}'
            return [b"7", b"field", message]
        assert call.name == "move"
        return [1, 0]


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> Sweeps:
    return Sweeps(Clock(monkeypatch), late=[])


def test_a_scheduler_sweeps_twice_a_second(sweeps: Sweeps) -> None:
    assert sweeps.sweeper.step() == pytest.approx(0.5)
    assert sweeps.calls == ["sweep"]
    sweeps.clock.time += 0.3
    assert sweeps.sweeper.step() == pytest.approx(0.2)
    assert sweeps.calls == ["sweep"]
    sweeps.clock.time += 0.2
    sweeps.sweeper.step()
    assert sweeps.calls == ["sweep"] * 2


def test_a_long_rescue_does_not_delay_the_sweeps(sweeps: Sweeps, lines: list[Fields]) -> None:
    sweeps.late = [b"endless"]
    sweeps.seconds_per_call = 0.1
    times = []
    for _ in range(200):
        before = len(sweeps.calls)
        assert sweeps.sweeper.step() == 0.0, "there is always more to move"
        if "sweep" in sweeps.calls[before:]:
            times.append(sweeps.clock.time)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps and max(gaps) < 1.0
    assert sweeps.calls.count("bury") == sweeps.calls.count("move") > 100
    assert [line for line in lines if line["event"] == "sweep.late"] == []


def test_a_late_sweep_is_an_error(sweeps: Sweeps, lines: list[Fields]) -> None:
    sweeps.sweeper.step()
    sweeps.clock.time += 2.6
    sweeps.sweeper.step()
    [line] = lines
    assert (line["event"], line["level"], line["queue"]) == ("sweep.late", "error", "q")
    assert line["seconds"] == pytest.approx(2.6) and "rescues no tasks" in line["error"]


def test_a_late_sweep_of_many_queues_is_one_line(
    monkeypatch: pytest.MonkeyPatch, lines: list[Fields]
) -> None:
    names = [f"q{i:03}".encode() for i in range(150)]
    sweeps = Sweeps(Clock(monkeypatch), late=[], queues=names)
    sweeps.sweeper.step()
    sweeps.clock.time += 2.6
    sweeps.sweeper.step()
    [line] = lines
    assert (line["event"], line["queues"]) == ("sweep.late", 150)


def test_a_sweep_that_an_outage_delays_is_not_reported_as_late(
    sweeps: Sweeps, lines: list[Fields]
) -> None:
    sweeps.sweeper.step()
    sweeps.clock.time += 1
    sweeps.away = True
    with pytest.raises(redis.ConnectionError):
        sweeps.sweeper.step()
    sweeps.away = False
    sweeps.clock.time += 10
    sweeps.sweeper.step()
    assert lines == []
    assert sweeps.calls == ["sweep"] * 2


@pytest.mark.parametrize(("size", "at_once"), [(100, 100), (10_000, 26), (1_000_000, 1)])
def test_a_rescue_moves_fewer_large_messages_in_one_call(size: int, at_once: int) -> None:
    head = b'{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-%012x","name":"n","args":["%s"]}'
    limits, moved = [], []

    def answer(call: ScriptCall) -> Any:
        if call.name == "bury":
            limits.append(call.arguments[2])
            messages = [head % (n, b"x" * size) for n in range(BATCH)]
            return [b"0", *(part for each in messages for part in (b"field", each))]
        assert call.name == "move"
        moved.append(len(call.arguments) // 4)
        return [moved[-1], 0]

    client: Any = FakeClient(answer, [b"q"])
    rescue = Rescue("q", "c", Options())
    assert rescue.step(client) and rescue.step(client)
    assert limits == [BATCH, at_once]
    assert max(moved) == at_once and sum(moved) == 2 * BATCH, "all that was handed out"


@pytest.mark.parametrize("lease", [1.0, 4.0, 10.0, 300.0])
def test_a_sweep_may_be_slow_without_being_later_than_its_gap(lease: float) -> None:
    options = Options(lease=lease)
    assert options.gap == lease / 4
    assert options.sweep_interval <= options.gap / 4 and options.sweep_interval <= 0.5


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (b"fluxqueue:{q}:pending", ("q", "")),
        (b"fluxqueue:{a:b}:dead:messages", ("a:b", "")),
        (b"fluxqueue:{q}:claimed:c1", ("q", "c1")),
        (b"fluxqueue:{q}:inbox:c1", ("q", "c1")),
        (b"fluxqueue:{q}:inbox:", None),
        (b"fluxqueue:{q}:something", None),
        (b"fluxqueue:queues", None),
        (b"fluxqueue:{}:pending", None),
        (b"fluxqueue:{q\xff}:pending", None),
        (b"other:{q}:pending", None),
    ],
)
def test_keys_are_read_as_they_are_written(name: bytes, parts: tuple[str, str] | None) -> None:
    assert parse_key(name, "") == parts
    in_shop = name.replace(b"fluxqueue:", b"fluxqueue.shop:")
    assert parse_key(in_shop, "shop") == parts
    for namespace in ("", "sho", "shop.eu"):
        assert parse_key(in_shop, namespace) is None


def test_without_redis_every_step_fails_even_if_no_queue_is_known() -> None:
    """Otherwise a scheduler that never had a Redis would have nothing to do, and would
    count as ready."""

    class Away:
        def key(self, kind: str) -> str:
            return key(kind)

        def command(self, *words: Any) -> Any:
            raise redis.ConnectionError("refused")

    client: Any = Away()
    step = Promoter(client, RegisteredQueues(ErrorLog()), ErrorLog()).step
    for _ in range(3):
        with pytest.raises(redis.ConnectionError):
            step()
