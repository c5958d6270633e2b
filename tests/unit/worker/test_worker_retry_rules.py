"""Which failures are retried, and when: the arithmetic of `retry_rules`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import Reject, Retry, RetryPolicy, Snooze, TaskTimeout
from fluxqueue.option_checks import LONGEST_DELAY
from fluxqueue.options import Terms
from fluxqueue_worker import retry_rules
from fluxqueue_worker.error_text import ERROR_BYTES
from fluxqueue_worker.outcomes import Outcomes
from fluxqueue_worker.retry_rules import Decision, chance, retry_delay
from hypothesis import given
from hypothesis import strategies as st
from support.fake_consumer import FakeAttempt, FakeConsumer
from support.odd_exceptions import Everything, OfOddClass
from support.retrying import DEAD, decide, group

ROOT = Path(__file__).parents[3]


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
        jitter=jitter,
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
    assert retry_delay(Terms(3, jitter=False), retries, lambda: 0.0) == most


@pytest.mark.parametrize(("retries", "whole"), [(0, 1), (1, 5), (2, 30), (3, 30), (2**32 - 1, 30)])
def test_the_last_of_the_listed_delays_repeats(retries: int, whole: float) -> None:
    terms = Terms(9, retry_delays=[1, 5, 30])
    assert retry_delay(terms, retries, lambda: 0.0) == whole / 2
    assert retry_delay(terms, retries, lambda: 1.0) == whole
    exact = Terms(9, retry_delays=[1, 5, 30], jitter=False)
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
    core = (ROOT / "packages/fluxqueue-core-rs/src/message/reason.rs").read_text()
    found = re.search(r"const FAILURES.*?=\s*\[(.*?)\];", core, re.DOTALL)
    assert found and set(re.findall(r'"(\w+)"', found[1])) == reasons
    for page in ("protocol", "task-options"):
        text = (ROOT / f"docs/{page}.md").read_text()
        assert {reason for reason in reasons if f"`{reason}`" in text} == reasons


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

    attempt: Any = FakeAttempt(record(work, **options))
    outcomes.failed(attempt, error, 0.0)
    what, (_, line, _) = consumer.outcome(attempt)
    assert what == "make_dead"
    assert line.startswith(text) and len(line.encode()) <= ERROR_BYTES


def test_huge_and_deep_groups_are_decided() -> None:
    deep: BaseException = ValueError()
    for _ in range(5000):
        deep = BaseExceptionGroup("again", [deep, deep])
    assert decide(deep, no_retry_on=ValueError).reason == "no_retry_on"
    wide = BaseExceptionGroup("wide", [OSError() for _ in range(20_000)])
    assert decide(wide, retry_on=OSError).delay == 1


def test_exceptions_whose_class_is_odd_are_judged() -> None:
    for error in (Everything(), OfOddClass()):
        assert decide(error, retry_on=OSError).reason == "not_in_retry_on"
        assert decide(error, retry_on=Exception).delay == 1
        assert decide(error, no_retry_on=(type(error), ValueError)).reason == "no_retry_on"


def test_a_failure_of_the_worker_itself_is_retried_whatever_the_options_say(
    consumer: FakeConsumer, outcomes: Outcomes, record: Callable[..., Any]
) -> None:
    def work() -> None: ...

    attempt: Any = FakeAttempt(record(work, retry_on=ConnectionError))
    outcomes.recover(attempt, RuntimeError("of the worker"), 0.0)
    assert consumer.outcome(attempt)[0] == "retry"


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
