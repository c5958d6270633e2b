"""Faults while the retry rules decide: a function in `retry` that fails, and odd subclasses
of `Retry`."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from fluxqueue import ConfigurationError, Reject, Retry
from fluxqueue_worker import retry_rules
from fluxqueue_worker.outcomes import Outcomes
from fluxqueue_worker.retry_rules import Decision
from support.fake_consumer import FakeAttempt, FakeConsumer
from support.retrying import DEAD, decide, group


def test_the_function_gets_a_group_as_it_is_and_only_once() -> None:
    calls = []

    def retry(attempt: int, error: BaseException) -> float:
        calls.append((attempt, error))
        return 1

    error = group(ValueError(), KeyError())
    decide(error, retries=2, retry=retry)
    assert calls == [(3, error)]


class Wrong:
    def __float__(self) -> float:
        raise ValueError("no number")


def raising(error: BaseException) -> Callable[[int, BaseException], float]:
    def retry(attempt: int, got: BaseException) -> float:
        raise error

    return retry


async def later() -> float:
    return 1.0


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda attempt, error: -1, "the result of the function in retry is -1; give seconds"),
        (lambda attempt, error: math.nan, "is nan"),
        (lambda attempt, error: math.inf, "is inf"),
        (lambda attempt, error: 10**400, "a year"),
        (lambda attempt, error: "5", "must be a number of seconds, not str"),
        (lambda attempt, error: True, "not bool"),
        (lambda attempt, error: Wrong(), "not Wrong"),
        (lambda attempt, error: later(), "not coroutine"),
        (raising(ValueError("mine")), "mine"),
        (raising(SystemExit("mine")), "mine"),
        (raising(KeyboardInterrupt("mine")), "mine"),
        (raising(Reject("mine")), "mine"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_function_that_fails_is_a_fault_and_the_default_delay_applies(
    function: Callable[[int, BaseException], Any], said: str
) -> None:
    decision = decide(ValueError("of the task"), retries=1, retry=function, jitter=False)
    assert decision.delay == 2
    assert decision.fault is not None and said in decision.fault.line
    dead = decide(ValueError("of the task"), retries=3, retry=function)
    assert dead == Decision(DEAD, "failed")


def test_a_slow_function_is_a_fault_and_its_delay_applies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([0.0, 3.25])
    monkeypatch.setattr(retry_rules, "perf_counter", lambda: next(clock))
    decision = decide(ValueError(), retry=lambda attempt, error: 50)
    assert decision.delay == 50
    assert decision.fault is not None
    assert decision.fault.line.startswith("the function in retry took 3.2 s")


class Changed(Retry):
    def __init__(self) -> None:
        self.delay = "soon"  # type: ignore[assignment]


class Bare(Retry):
    def __init__(self) -> None: ...


class Hidden(Retry):
    @property
    def delay(self) -> float:  # type: ignore[override]
        raise ConnectionError("no delay")

    def __init__(self) -> None: ...


def test_subclasses_of_retry_are_understood_however_odd_they_are() -> None:
    assert decide(Bare()) == Decision(1)
    for odd, delay, kind in (
        (Changed(), 1, "TypeError: "),
        (Hidden(), 1, "ConnectionError: "),
        (group(Changed(), Retry(delay=9)), 9, "TypeError: "),
    ):
        decision = decide(odd)
        assert decision.delay == delay
        assert decision.fault is not None and decision.fault.line.startswith(kind)


def test_the_outcome_has_the_decision_and_the_log_has_the_fault(
    consumer: FakeConsumer, outcomes: Outcomes, record: Callable[..., Any], lines: Any
) -> None:
    def work() -> None: ...

    function = raising(ConfigurationError("mine"))
    attempt: Any = FakeAttempt(record(work, retry=function))
    outcomes.failed(attempt, ValueError("of the task"), 0.0)
    what, (delay,) = consumer.outcome(attempt)
    assert what == "retry" and 0.5 <= delay <= 1
    (line,) = lines.named("task.retry_fault")
    assert line["error"] == "fluxqueue_core.errors.ConfigurationError: mine"
    assert line["task_id"] == attempt.task_id and "in retry" in line["exception"]

    asked = []
    stuck: Any = FakeAttempt(record(work, retry=lambda attempt, error: asked.append(error)))
    outcomes.gave_up(stuck, ValueError("stuck"), 0.0)
    assert consumer.outcome(stuck)[0] == "retry"
    assert asked == []

    rejected: Any = FakeAttempt(record(work))
    outcomes.failed(rejected, Reject("no such customer"), 0.0)
    what, (reason, error, _) = consumer.outcome(rejected)
    assert (what, reason, error) == ("make_dead", "rejected", "fluxqueue.Reject: no such customer")
    assert lines.named("task.dead")[0]["reason"] == "rejected"


class Big:
    """Something that a weak reference can watch."""


@pytest.mark.parametrize("error", [ValueError, Hidden])
def test_a_fault_leaves_no_cycle_that_keeps_arguments_alive(
    outcomes: Outcomes, record: Callable[..., Any], lines: Any, error: type[Exception]
) -> None:
    def work() -> None: ...

    def retry(attempt: int, error: BaseException) -> float:
        raise KeyError("mine")

    def hold() -> weakref.ref[Big]:
        big = Big()
        attempt: Any = FakeAttempt(record(work, retry=retry))
        try:
            raise error from ValueError(big)
        except Exception as raised:  # noqa: BLE001
            outcomes.failed(attempt, raised, 0.0)
        return weakref.ref(big)

    gc.collect()
    gc.disable()
    try:
        assert hold()() is None
    finally:
        gc.enable()
    (line,) = lines.named("task.retry_fault")
    # The traceback begins in the application's function.
    assert "in retry" in line["exception"]
    assert "in decide" not in line["exception"] and "in _ask" not in line["exception"]
