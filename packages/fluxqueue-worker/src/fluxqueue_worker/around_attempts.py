"""Runs the application's middleware around each attempt at a task.

A middleware is a generator: this runs it up to its `yield`, then the task, asks `Outcomes` what
follows, and sends that into the generator. So it sees the outcome that the worker then settles;
the decision is made once, here. An exception of a middleware ends the attempt like any other.

Why: docs/decisions/0215-middleware-is-a-generator.md
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Protocol

from fluxqueue.middleware import Attempt as ShownAttempt
from fluxqueue.middleware import AttemptOutcome as ShownOutcome
from fluxqueue.middleware_checks import MiddlewareMethod, steps
from fluxqueue_core import Attempt, begin_generators, end_generators

from .error_text import own_frame
from .forked import LEFT_OPEN
from .middleware import Middleware, Run, Runnable, Settle
from .middleware_steps import AnyGenerator, begin_async, end_async
from .outcome import RELEASED, Outcome
from .result_parts import FINISHED
from .unawaited import refuse_unawaited

if TYPE_CHECKING:
    from .outcomes import Outcomes

SUCCEEDED = ShownOutcome("succeeded")


class AsyncEnds(Protocol):
    """The event loop, which knows why an async task has ended."""

    def task_ended(self, error: BaseException | None) -> tuple[BaseException | None, bool]:
        """Ends the deadline of the current attempt. Returns the error that counts, and whether
        a drain gives the task back."""

    def is_cut_off(self, attempt: Attempt) -> bool:
        """Whether the worker has cancelled the current asyncio task, which runs this attempt."""


class AroundAttempts:
    """The application's middleware, as one middleware of the worker.

    Args:
        loop: runs the async tasks; None: they have no timeout, and nothing cancels them.
    """

    def __init__(self, outcomes: Outcomes, loop: AsyncEnds | None = None) -> None:
        self._outcomes = outcomes
        self._loop = loop

    def inside(self, others: Sequence[Middleware], task: Runnable) -> Sequence[Middleware]:
        """Returns the worker's middleware for a task: itself too, if the task has some."""
        found = steps(task.terms.middleware, "attempt", on_loop=task.is_async)
        return (*others, self) if found else others

    def around_settle(self, settle: Settle) -> Settle:
        """Leaves it as it is."""
        return settle

    def around_run(self, task: Runnable, run: Run) -> Run:
        """Returns the function that runs the task inside of its middleware."""
        found = steps(task.terms.middleware, "attempt", on_loop=task.is_async)
        return self._async_run(found, run, task) if task.is_async else self._sync_run(found, run)

    def _sync_run(self, methods: Sequence[MiddlewareMethod], run: Run) -> Run:
        ended, fork = self._outcomes.ended, self._outcomes.fork
        who = [name for name, _, _ in methods]
        begins = tuple(begin for _, begin, _ in methods)

        @own_frame
        def around(attempt: Attempt, thread_storage: dict[str, Any]) -> Any:
            begun: list[AnyGenerator] = []
            try:
                if not begin_generators(begins, ShownAttempt(attempt), begun):
                    raise _returned_early()
                result = run(attempt, thread_storage)
                if result is not None and type(result) not in FINISHED:
                    refuse_unawaited(result)
                if fork.in_child:
                    LEFT_OPEN.append(begun)
                    return result
                outcome = SUCCEEDED if not ended else self._shown_end(attempt)
                if (left := end_generators(begun, outcome)) is not None:
                    raise self._left_open(attempt, left)
            except BaseException as error:
                if fork.in_child:
                    LEFT_OPEN.append(begun)
                    raise
                failed = who[len(begun)] if len(begun) < len(who) else None
                outcome = self._decide(attempt, error, failed)
                while begun:
                    try:
                        if (left := end_generators(begun, outcome)) is not None:
                            raise self._left_open(attempt, left)
                    except BaseException as other:  # noqa: BLE001 - none may end the worker
                        self._outcomes.middleware_failed(attempt, who[len(begun)], other)
                del outcome  # it knows the error, which knows this frame
                raise
            return result

        return around

    def _async_run(self, methods: Sequence[MiddlewareMethod], run: Run, task: Runnable) -> Run:
        ended, fork, loop = self._outcomes.ended, self._outcomes.fork, self._loop
        who = [name for name, _, _ in methods]
        begins = tuple(begin for _, begin, _ in methods)
        awaits = any(is_async for _, _, is_async in methods)

        @own_frame
        async def around(attempt: Attempt, thread_storage: dict[str, Any]) -> Any:
            begun: list[AnyGenerator] = []
            is_released = False
            failure: BaseException | None = None
            result: Any = None
            try:
                shown = ShownAttempt(attempt)
                if not (
                    await begin_async(methods, shown, begun)
                    if awaits
                    else begin_generators(begins, shown, begun)
                ):
                    raise _returned_early()
                coroutine = run(attempt, thread_storage)
                # The second question takes longer than the call of the task.
                if type(coroutine) is not CoroutineType and not isinstance(coroutine, Coroutine):
                    raise TypeError(f"a coroutine was expected, got {coroutine!r}")
                result = await coroutine
                if result is not None and type(result) not in FINISHED:
                    refuse_unawaited(result)
            except GeneratorExit:
                raise  # the loop has ended, and nothing may be awaited
            except BaseException as error:  # noqa: BLE001 - raised again below
                failure = error
            if fork.in_child:
                LEFT_OPEN.append(begun)
                begun = []
            elif loop is not None and (failure is not None or task.timeout is not None):
                failure, is_released = loop.task_ended(failure)
            if failure is None:
                outcome = SUCCEEDED if not ended else self._shown_end(attempt)
            elif is_released or fork.in_child:
                outcome = _shown(RELEASED)
            else:
                failed = who[len(begun)] if len(begun) < len(who) else None
                outcome = self._decide(attempt, failure, failed)
            while begun:
                try:
                    left = (
                        await end_async(begun, outcome)
                        if awaits
                        else end_generators(begun, outcome)
                    )
                    if left is not None:
                        raise self._left_open(attempt, left)
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 - it fails the attempt
                    failed = who[len(begun)]
                    # The worker's own cancellation does not change the outcome.
                    if failure is None and not (loop is not None and loop.is_cut_off(attempt)):
                        failure = error
                        outcome = self._decide(attempt, error, failed)
                    else:
                        self._outcomes.middleware_failed(attempt, failed, error)
            try:
                if failure is not None:
                    raise failure
            finally:
                del failure, outcome  # they know this frame
            return result

        return around

    def _decide(self, attempt: Attempt, error: BaseException, who: str | None) -> ShownOutcome:
        """Decides what follows from a failure, of the task or of a middleware."""
        if (end := self._outcomes.ended.get(attempt)) is not None:
            return _shown(end)
        return _shown(self._outcomes.decide(attempt, error, who))

    def _shown_end(self, attempt: Attempt) -> ShownOutcome:
        """The outcome of a success: the worker may have given up on the attempt before."""
        end = self._outcomes.ended.get(attempt)
        return SUCCEEDED if end is None else _shown(end)

    def _left_open(self, attempt: Attempt, generator: AnyGenerator) -> RuntimeError:
        """Notes a generator to close when the attempt is settled: its code may not end."""
        self._outcomes.leave_open(attempt, generator)
        return RuntimeError("it yields twice around an attempt; remove one `yield`")


def _returned_early() -> RuntimeError:
    return RuntimeError("it returned before its `yield` around an attempt; each way needs one")


def _shown(outcome: Outcome) -> ShownOutcome:
    delay, reason = getattr(outcome, "delay", None), getattr(outcome, "reason", None)
    return ShownOutcome(outcome.status, outcome.error, delay, reason)
