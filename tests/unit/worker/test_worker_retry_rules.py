"""Which failures are retried, and when: the arithmetic of `retry_rules`."""

from __future__ import annotations

import gc
import math
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import ConfigurationError, Reject, Retry, RetryPolicy, Snooze, TaskTimeout
from fluxqueue.option_checks import LONGEST_DELAY
from fluxqueue.options import Terms
from fluxqueue_worker import retry_rules
from fluxqueue_worker.error_text import ERROR_BYTES
from fluxqueue_worker.outcomes import Outcomes
from fluxqueue_worker.retry_rules import Decision, RetryRules, chance, retry_delay
from hypothesis import given
from hypothesis import strategies as st
from support.fake_consumer import FakeConsumer, FakeJob
from support.odd_exceptions import Everything, OfOddClass

ROOT = Path(__file__).parents[3]
DEAD = None


@given(
    st.floats(0, 1e300),
    st.floats(1, 1e300),
    st.floats(0, 1e300),
    st.integers(0, 2**32 - 1),
    st.floats(0, 1, exclude_max=True),
    st.booleans(),
)
def test_a_delay_is_finite_and_within_half_and_whole_of_the_backoff(
    delay: float, backoff: float, more: float, retries: int, drawn: float, jitter: bool
) -> None:
    terms = Terms(
        3,
        retry_delay=delay,
        retry_backoff=backoff,
        retry_max_delay=delay + more,
        retry_jitter=jitter,
    )
    most = min(delay + more, LONGEST_DELAY)
    try:
        whole = min(delay * backoff**retries, most)
    except OverflowError:
        whole = most
    if math.isnan(whole):
        whole = most

    found = retry_delay(terms, retries, lambda: drawn)

    assert math.isfinite(found)
    assert (whole / 2 if jitter else whole) <= found <= whole


@pytest.mark.parametrize(
    ("retries", "least", "most"), [(0, 0.5, 1.0), (1, 1.0, 2.0), (5, 16, 32), (12, 1800, 3600)]
)
def test_the_default_delays_start_at_a_second_double_and_end_at_an_hour(
    retries: int, least: float, most: float
) -> None:
    assert retry_delay(Terms(3), retries, lambda: 0.0) == least
    assert retry_delay(Terms(3), retries, lambda: 1.0) == most
    assert retry_delay(Terms(3, retry_jitter=False), retries, lambda: 0.0) == most


@pytest.mark.parametrize(("retries", "whole"), [(0, 1), (1, 5), (2, 30), (3, 30), (2**32 - 1, 30)])
def test_the_last_of_the_listed_delays_repeats(retries: int, whole: float) -> None:
    terms = Terms(9, retry_delays=[1, 5, 30])
    assert retry_delay(terms, retries, lambda: 0.0) == whole / 2
    assert retry_delay(terms, retries, lambda: 1.0) == whole
    exact = Terms(9, retry_delays=[1, 5, 30], retry_jitter=False)
    assert retry_delay(exact, retries, lambda: 0.5) == whole


def test_equal_failures_do_not_come_back_together() -> None:
    assert len({retry_delay(Terms(3), 3) for _ in range(100)}) > 90
    assert all(0 <= chance() < 1 for _ in range(1000))


def test_core_and_documents_know_every_reason() -> None:
    reasons = {
        value
        for name, value in vars(retry_rules).items()
        if name.isupper() and isinstance(value, str)
    }
    core = (ROOT / "packages/fluxqueue-core-rs/src/consumer/python.rs").read_text()
    found = re.search(r"const FAILURES.*?=\s*\[(.*?)\];", core, re.DOTALL)
    assert found and set(re.findall(r'"(\w+)"', found[1])) == reasons
    for page in ("protocol", "task-options"):
        text = (ROOT / f"docs/{page}.md").read_text()
        assert {reason for reason in reasons if f"`{reason}`" in text} == reasons


def decide(error: BaseException, *, retries: int = 0, most: int = 3, **options: Any) -> Decision:
    options.setdefault("retry_jitter", False)
    rules = RetryRules(Terms(most, **options))
    job: Any = FakeJob(None, retries=retries, max_retries=most)
    return rules.decide(job, error)


def group(*errors: BaseException, kind: type[Any] = BaseExceptionGroup) -> BaseException:
    made: BaseException = kind("several", errors)
    return made


BROKEN = BrokenPipeError("gone")
POLICIES = {
    OSError: RetryPolicy(delay=100),
    ConnectionError: RetryPolicy(delay=7, max_retries=1),
    LookupError: RetryPolicy(delays=[20, 40], max_retries=9),
}


@pytest.mark.parametrize(
    ("error", "options", "expected"),
    [
        (ValueError(), {}, 1),
        (ValueError(), {"retry_on": ConnectionError}, "not_in_retry_on"),
        (BROKEN, {"retry_on": ConnectionError}, 1),
        (BROKEN, {"retry_on": (KeyError, OSError)}, 1),
        (BROKEN, {"no_retry_on": ConnectionError}, "no_retry_on"),
        (OSError(), {"no_retry_on": ConnectionError}, 1),
        (BROKEN, {"retry_on": OSError, "no_retry_on": ConnectionError}, "no_retry_on"),
        (SystemExit(), {"retry_on": Exception}, "not_in_retry_on"),
        # Python's own TimeoutError is not the timeout of the task.
        (TaskTimeout(), {"retry_on": TimeoutError}, "not_in_retry_on"),
        (TimeoutError(), {"no_retry_on": TaskTimeout}, 1),
        # The most specific class of a mapping decides.
        (BROKEN, {"retry_on": POLICIES}, 7),
        (FileNotFoundError(), {"retry_on": POLICIES}, 100),
        (KeyError(), {"retry_on": POLICIES}, 20),
        (ValueError(), {"retry_on": POLICIES}, "not_in_retry_on"),
        (KeyError(), {"retry_on": {Exception: RetryPolicy()}, "retry_delays": [6, 7]}, 6),
        (KeyError(), {"retry_on": {Exception: RetryPolicy(delay=9)}, "retry_delays": [6]}, 9),
        # A task's own decision is before the options.
        (Retry(delay=5), {"retry_on": ConnectionError}, 5),
        (Retry(delay=0), {}, 0),
        (Retry(), {"retry_delays": [6]}, 6),
        (Retry(delay=5), {"no_retry_on": Exception}, 5),
        (Reject("no"), {"retry_on": Exception}, "rejected"),
        (Retry(delay=5), {"retry": lambda attempt, error: 50}, 5),
        (Retry(), {"retry": lambda attempt, error: 50}, 50),
        # The function.
        (ValueError(), {"retry": lambda attempt, error: None}, "retry_refused"),
        (ValueError(), {"retry": lambda attempt, error: attempt * 10}, 10),
        (KeyError(), {"retry": lambda attempt, error: 3, "retry_on": OSError}, "not_in_retry_on"),
        (BROKEN, {"retry": lambda attempt, error: 3, "no_retry_on": OSError}, "no_retry_on"),
    ],
)
def test_the_first_rule_that_applies_decides(
    error: BaseException, options: dict[str, Any], expected: float | str
) -> None:
    decision = decide(error, **options)
    assert decision.fault is None
    if isinstance(expected, str):
        assert (decision.delay, decision.reason) == (DEAD, expected)
    else:
        assert decision.delay == expected


@pytest.mark.parametrize(
    ("error", "retries", "options", "expected"),
    [
        (ValueError(), 2, {}, 4),
        (ValueError(), 3, {}, DEAD),
        (Retry(delay=5), 2, {}, 5),
        (Retry(delay=5), 3, {}, DEAD),
        (ValueError(), 3, {"retry": lambda attempt, error: 1}, DEAD),
        (BROKEN, 1, {"retry_on": POLICIES}, DEAD),
        (KeyError(), 8, {"retry_on": POLICIES}, 40),
        (KeyError(), 9, {"retry_on": POLICIES}, DEAD),
        (OSError(), 2, {"retry_on": POLICIES}, 400),
        (OSError(), 3, {"retry_on": POLICIES}, DEAD),
        (Retry(delay=5), 3, {"retry_on": POLICIES}, DEAD),
        (group(KeyError(), BROKEN), 1, {"retry_on": POLICIES}, DEAD),
    ],
)
def test_a_task_is_retried_max_retries_times_unless_a_policy_says_otherwise(
    error: BaseException, retries: int, options: dict[str, Any], expected: float | None
) -> None:
    decision = decide(error, retries=retries, **options)
    assert decision.delay == expected
    assert decision.reason == "failed"


@pytest.mark.parametrize(
    ("error", "options", "expected"),
    [
        (group(BROKEN, group(OSError())), {"retry_on": OSError}, 1),
        (group(BROKEN, ValueError()), {"retry_on": OSError}, "not_in_retry_on"),
        (group(BROKEN, group(ValueError())), {"no_retry_on": ValueError}, "no_retry_on"),
        (group(BROKEN, KeyError()), {"retry_on": POLICIES}, 20),
        (group(ValueError(), Retry(delay=8)), {}, 8),
        (group(ValueError(), Retry(delay=0.5)), {}, 1),
        (group(Retry(delay=8), Retry(delay=9)), {"retry_on": OSError}, 9),
        (group(Retry(delay=8), KeyError()), {"retry_on": OSError}, "not_in_retry_on"),
        (group(Retry(delay=8), Reject()), {}, "rejected"),
        (group(ValueError(), Retry(delay=9)), {"retry": lambda attempt, error: 5}, 9),
        # Options may name a class of groups.
        (group(ValueError(), kind=ExceptionGroup), {"no_retry_on": ExceptionGroup}, "no_retry_on"),
        (group(ValueError(), kind=ExceptionGroup), {"retry_on": BaseExceptionGroup}, 1),
        (group(SystemExit()), {"retry_on": ExceptionGroup}, "not_in_retry_on"),
    ],
)
def test_a_group_is_judged_by_its_members(
    error: BaseException, options: dict[str, Any], expected: float | str
) -> None:
    decision = decide(error, **options)
    wanted = (DEAD, expected) if isinstance(expected, str) else (expected, "failed")
    assert (decision.delay, decision.reason) == wanted
    assert decision.fault is None


@pytest.mark.parametrize(
    ("error", "options", "text"),
    [
        (group(OSError(), Reject("no")), {}, "fluxqueue.Reject: no (in ExceptionGroup: "),
        (
            group(OSError("a"), KeyError()),
            {"no_retry_on": OSError},
            "OSError: a (in ExceptionGroup: ",
        ),
        (
            group(OSError("a"), KeyError()),
            {"retry_on": KeyError},
            "OSError: a (in ExceptionGroup: ",
        ),
        (group(OSError("a"), group(KeyError())), {"no_retry_on": Exception}, "OSError: a (in "),
        (OSError("a"), {"retry_on": KeyError}, "OSError: a"),
        (group(OSError("é" * 5000)), {"no_retry_on": OSError}, "OSError: é"),
    ],
)
def test_the_error_of_a_dead_task_names_the_member_that_decided(
    consumer: FakeConsumer,
    outcomes: Outcomes,
    record: Callable[..., Any],
    error: BaseException,
    options: dict[str, Any],
    text: str,
) -> None:
    def work() -> None: ...

    job: Any = FakeJob(record(work, **options))
    outcomes.failed(job, error, 0.0)
    what, (_, line, _) = consumer.outcome(job)
    assert what == "make_dead"
    assert line.startswith(text) and len(line.encode()) <= ERROR_BYTES


def test_the_function_gets_a_group_as_it_is_and_only_once() -> None:
    calls = []

    def retry(attempt: int, error: BaseException) -> float:
        calls.append((attempt, error))
        return 1

    error = group(ValueError(), KeyError())
    decide(error, retries=2, retry=retry)
    assert calls == [(3, error)]


def test_huge_and_deep_groups_are_decided() -> None:
    deep: BaseException = ValueError()
    for _ in range(5000):
        deep = BaseExceptionGroup("again", [deep, deep])
    assert decide(deep, no_retry_on=ValueError).reason == "no_retry_on"
    wide = BaseExceptionGroup("wide", [OSError() for _ in range(20_000)])
    assert decide(wide, retry_on=OSError).delay == 1


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
    decision = decide(ValueError("of the task"), retries=1, retry=function, retry_jitter=False)
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


def test_exceptions_whose_class_is_odd_are_judged() -> None:
    for error in (Everything(), OfOddClass()):
        assert decide(error, retry_on=OSError).reason == "not_in_retry_on"
        assert decide(error, retry_on=Exception).delay == 1
        assert decide(error, no_retry_on=(type(error), ValueError)).reason == "no_retry_on"


def test_the_outcome_has_the_decision_and_the_log_has_the_fault(
    consumer: FakeConsumer, outcomes: Outcomes, record: Callable[..., Any], lines: Any
) -> None:
    def work() -> None: ...

    function = raising(ConfigurationError("mine"))
    job: Any = FakeJob(record(work, retry=function))
    outcomes.failed(job, ValueError("of the task"), 0.0)
    what, (delay,) = consumer.outcome(job)
    assert what == "retry" and 0.5 <= delay <= 1
    (line,) = lines.named("task.retry_fault")
    assert line["error"] == "fluxqueue_core.errors.ConfigurationError: mine"
    assert line["task_id"] == job.task_id and "in retry" in line["exception"]

    asked = []
    stuck: Any = FakeJob(record(work, retry=lambda attempt, error: asked.append(error)))
    outcomes.gave_up(stuck, ValueError("stuck"), 0.0)
    assert consumer.outcome(stuck)[0] == "retry"
    assert asked == []

    rejected: Any = FakeJob(record(work))
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
        job: Any = FakeJob(record(work, retry=retry))
        try:
            raise error from ValueError(big)
        except Exception as raised:  # noqa: BLE001
            outcomes.failed(job, raised, 0.0)
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


def test_a_failure_of_the_worker_itself_is_retried_whatever_the_options_say(
    consumer: FakeConsumer, outcomes: Outcomes, record: Callable[..., Any]
) -> None:
    def work() -> None: ...

    job: Any = FakeJob(record(work, retry_on=ConnectionError))
    outcomes.recover(job, RuntimeError("of the worker"), 0.0)
    assert consumer.outcome(job)[0] == "retry"


def test_a_snooze_is_judged_by_its_own_count() -> None:
    error = Snooze(delay=5)
    assert decide(error, retries=3) == Decision(5.0, snoozes=True, decisive=error)
    assert decide(error, max_snoozes=0) == Decision(reason="snoozed_too_often", decisive=error)
    # These options are about failures.
    assert decide(error, no_retry_on=Snooze, max_snoozes=1).snoozes
    assert decide(error, retry_on=OSError).snoozes


def test_in_a_group_a_failure_wins_over_a_snooze_and_a_rejection_over_both() -> None:
    snooze, reject = Snooze(delay=5), Reject("why")
    assert decide(group(snooze, Snooze(delay=9))).delay == 9
    assert decide(group(snooze, ValueError()), retry_delays=[1]) == Decision(1.0)
    assert decide(group(snooze, Retry(delay=2))) == Decision(2)
    assert decide(group(snooze, reject)) == Decision(reason="rejected", decisive=reject)


def test_a_snooze_of_a_subclass_without_a_delay_takes_the_first_one() -> None:
    class Later(Snooze):
        def __init__(self) -> None:
            pass

    assert decide(Later(), retries=2, retry_delays=[7, 8]).delay == 7


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ((5,), {"delay": 1}, r"takes its delay by name: Snooze\(delay=...\), not Snooze\(5\)"),
        ((), {"delay": "5"}, "delay of Snooze must be a number of seconds, not str"),
        ((), {}, "delay"),
    ],
)
def test_a_snooze_with_a_wrong_delay_is_refused(
    arguments: tuple[Any, ...], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        Snooze(*arguments, **options)
