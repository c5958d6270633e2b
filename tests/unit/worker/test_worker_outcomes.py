"""The text of errors, and what follows from a failure."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from fluxqueue import Snooze
from fluxqueue_worker.error_text import ERROR_BYTES, describe, own_frame
from fluxqueue_worker.outcome import Dead, Outcome, Released, Retried, Succeeded
from fluxqueue_worker.outcomes import Outcomes
from fluxqueue_worker.traceback_text import TRACEBACK_BYTES, format_traceback
from support.fake_consumer import FakeAttempt, FakeConsumer

Record = Callable[..., Any]


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001
        return caught


class Broken(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text")


class WithoutModule(type):
    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no module")


class Odd(Exception, metaclass=WithoutModule):
    """An exception class that hides its module."""


def test_a_broken_exception_class_is_still_described() -> None:
    assert describe(Odd("bad")) == f"{__name__}.Odd: bad"
    assert format_traceback(Odd("bad")) == f"{__name__}.Odd: bad\n"


def test_errors_are_described_by_type_and_text() -> None:
    assert describe(ValueError("bad")) == "ValueError: bad"
    assert describe(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert describe(Broken()).endswith("Broken: <its text can't be printed>")
    assert "Broken" in format_traceback(raised(Broken()))
    assert describe(ValueError("\ud800")) == "ValueError: \\ud800"
    assert len(describe(ValueError("é" * 10_000)).encode()) <= ERROR_BYTES


def test_the_traceback_begins_in_the_task_and_keeps_its_end() -> None:
    text = format_traceback(raised(ValueError("bad")))
    assert text.startswith("Traceback (most recent call last):")
    assert "in raised" in text

    @own_frame
    def ours(task: Callable[[], None]) -> BaseException:
        try:
            task()
        except ValueError as error:
            return error
        raise AssertionError

    @own_frame
    def ours_below() -> None:
        raise ValueError("bad")

    def task() -> None:
        ours_below()

    text = format_traceback(ours(task))
    assert "in ours\n" not in text
    assert "in task" in text and "in ours_below" in text

    long = format_traceback(raised(ValueError("text\ud800" + "é" * 100_000)))
    assert len(long.encode()) <= TRACEBACK_BYTES
    assert "ValueError: text\\ud800é" in long


def test_a_bottomless_recursion_has_a_traceback() -> None:
    def fall() -> None:
        fall()

    with pytest.raises(RecursionError) as caught:
        fall()
    text = format_traceback(caught.value)
    assert text.rstrip().endswith("RecursionError: maximum recursion depth exceeded")


def fail_once(outcomes: Outcomes, attempt: FakeAttempt, error: BaseException) -> None:
    outcomes.failed(attempt, raised(error), 0.0)  # type: ignore[arg-type]


def works(number: int) -> None: ...


@pytest.mark.parametrize(
    ("retries", "max_retries", "expected"),
    [
        (0, 0, "make_dead"),
        (0, 1, "retry"),
        (1, 1, "make_dead"),
        (2, 3, "retry"),
        (3, 3, "make_dead"),
    ],
)
def test_a_task_has_max_retries_plus_one_attempts(
    consumer: FakeConsumer,
    outcomes: Outcomes,
    record: Record,
    retries: int,
    max_retries: int,
    expected: str,
) -> None:
    attempt = FakeAttempt(record(works), [1], retries=retries, max_retries=max_retries)
    fail_once(outcomes, attempt, ValueError("bad"))
    what, details = consumer.outcome(attempt)
    assert what == expected
    if expected == "make_dead":
        reason, error, trace = details
        assert (reason, error) == ("failed", "ValueError: bad")
        assert trace.endswith("ValueError: bad\n")


def test_arguments_that_do_not_fit_are_dead_at_once(
    consumer: FakeConsumer, outcomes: Outcomes, record: Record, lines: Any
) -> None:
    misfit = FakeAttempt(record(works), [1, 2])
    fail_once(outcomes, misfit, TypeError("works() takes 1 positional argument"))
    what, (reason, _, _) = consumer.outcome(misfit)
    assert (what, reason) == ("make_dead", "arguments")
    assert lines.named("task.dead")[0]["reason"] == "arguments"


def test_a_type_error_of_the_task_itself_is_retried(
    consumer: FakeConsumer, outcomes: Outcomes, record: Record
) -> None:
    attempt = FakeAttempt(record(works), [1])
    fail_once(outcomes, attempt, TypeError("can't add int and str"))
    assert consumer.outcome(attempt)[0] == "retry"


def test_void_outcomes_are_logged_as_a_lost_lease_only(
    consumer: FakeConsumer, outcomes: Outcomes, record: Record, lines: Any
) -> None:
    retried = FakeAttempt(record(works), [1])
    dead = FakeAttempt(record(works), [1], max_retries=0)
    consumer.lost = {retried, dead}
    fail_once(outcomes, retried, ValueError())
    fail_once(outcomes, dead, ValueError())
    assert [line["event"] for line in lines] == ["task.lost_lease"] * 2


def test_a_failure_leaves_no_cycle_that_keeps_arguments_alive(
    outcomes: Outcomes, record: Record
) -> None:
    class Big:
        pass

    def hold() -> weakref.ref[Big]:
        big = Big()
        attempt = FakeAttempt(record(works), [1])
        try:
            raise ValueError(big)
        except ValueError as error:
            outcomes.failed(attempt, error, 0.0)  # type: ignore[arg-type]
        return weakref.ref(big)

    gc.collect()
    gc.disable()
    try:
        assert hold()() is None
    finally:
        gc.enable()


def test_each_outcome_has_an_operation_for_traces() -> None:
    operations = [kind.operation for kind in (Succeeded, Retried, Dead, Released)]
    assert operations == ["ack", "retry", "dead", "release"]


@pytest.mark.parametrize("body", [{}, {"operation": "promote"}])
def test_an_outcome_without_an_operation_can_not_be_defined(body: dict[str, str]) -> None:
    with pytest.raises(TypeError, match=r"Lost\.operation must be one of ack, retry, "):
        type("Lost", (Outcome,), body)


def test_only_a_failure_has_its_traceback_formatted(
    outcomes: Outcomes, consumer: FakeConsumer, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    formatted: list[BaseException] = []

    def format_it(error: BaseException) -> str:
        formatted.append(error)
        return "text"

    monkeypatch.setattr("fluxqueue_worker.traceback_text.format_traceback", format_it)
    snoozed, cancelled, failed = (FakeAttempt(record(works)) for _ in range(3))
    outcomes.cancelling.add(cancelled)  # type: ignore[arg-type]
    error = ValueError("bad")
    fail_once(outcomes, snoozed, Snooze(delay=5))
    fail_once(outcomes, cancelled, error)
    assert formatted == []
    fail_once(outcomes, failed, error)
    assert formatted == [error]
    assert [what for _, what, _ in consumer.outcomes] == ["snooze", "cancel", "retry"]
