"""Runs the application's middleware around the calls of a task.

Why: docs/decisions/0216-an-error-after-an-enqueue-is-a-warning.md
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any

from fluxqueue_core import Route, json_codec, new_task_id

from . import blocking
from .awaited_call import AwaitedCall, AwaitedMethod
from .enqueue_interface import CallLimit, CallLock, Enqueue, EnqueueAsync
from .errors import FluxQueueWarning
from .middleware import EnqueueCall, EnqueueOutcome, Middleware
from .middleware_checks import MiddlewareMethod, steps
from .task_call import as_json

if TYPE_CHECKING:
    import asyncio

Explain = Callable[[Exception, Any, Any], Exception]

NOT_AWAITED = AwaitedMethod(
    "the call was not sent",
    lambda call: f"task {call.task_name!r} (queue {call.queue!r})",
    "task.enqueue_async",
    "task.enqueue",
    cut_off="the call may not have been sent",
)


# A note of each error that middleware raises before its call is sent: who did, and this.
NOTE = " raised this, and nothing was enqueued"
HEADERS = "the check of the headers that middleware has set"


class Around:
    """The middleware around the calls of one task.

    Args:
        explain: returns the error of a call with the name of the task and of the bad argument.

    Attributes:
        awaits: whether one of them has an async method for calls on an event loop.
    """

    def __init__(self, middleware: Sequence[Middleware], explain: Explain) -> None:
        self._explain = explain
        self._steps = steps(middleware, "enqueue", on_loop=False)
        self._steps_async = steps(middleware, "enqueue", on_loop=True)
        self.awaits = any(is_async for _, _, is_async in self._steps_async)

    def call(
        self,
        route: Route,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        headers: bytes | None,
        task_id: str | None,
        options: Mapping[str, Any],
    ) -> OpenCall:
        """Returns a call that has not passed the middleware yet."""
        given = {} if headers is None else json_codec.loads(headers)
        task_id = task_id or new_task_id()
        shown = EnqueueCall(route.name, route.queue, args, kwargs, task_id, given, options)
        return OpenCall(shown, headers, self._steps, self._steps_async)

    def enqueue(self, enqueue: Enqueue, options: Mapping[str, Any]) -> Enqueue:
        """Returns the function that enqueues a task in place of `enqueue`.

        Args:
            options: those of the calls.
        """

        def around(
            route: Route,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
            headers: bytes | None = None,
            task_id: str | None = None,
            lock: CallLock | None = None,
            limit: CallLimit | None = None,
        ) -> str | None:
            call = self.call(route, args, kwargs, headers, task_id, options)
            headers = call.begin()
            try:
                present = enqueue(route, args, kwargs, headers, call.task_id, lock, limit)
            except BaseException as error:
                call.end(error=error)
                raise
            call.end(present)
            return present

        return around

    def enqueue_async(self, enqueue: EnqueueAsync, options: Mapping[str, Any]) -> EnqueueAsync:
        """Returns the function that enqueues a task on the event loop in place of `enqueue`."""

        def around(
            route: Route,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
            headers: bytes | None = None,
            task_id: str | None = None,
            result: Any = None,
            lock: CallLock | None = None,
            limit: CallLimit | None = None,
        ) -> Coroutine[Any, Any, Any]:
            if blocking.running_loop() is None:
                raise RuntimeError("no running event loop")
            call = self.call(route, args, kwargs, headers, task_id, options)
            done = result if lock is None else call.judged_by(result)

            def send(headers: bytes | None) -> Coroutine[Any, Any, Any]:
                return enqueue(route, args, kwargs, headers, call.task_id, done, lock, limit)

            if self.awaits:
                return AwaitedCall(call.sent_by(send, self._explain), NOT_AWAITED, call.shown)
            headers = call.begin(on_loop=True)
            try:
                future = send(headers)
            except BaseException as error:
                call.end(error=error)
                raise
            future.add_done_callback(call.settled)  # type: ignore[attr-defined]
            return future

        return around


class OpenCall:
    """One call on its way through the middleware.

    Attributes:
        shown: what the middleware sees.
        task_id: its id; the middleware can't change it.
    """

    __slots__ = ("_headers", "_opened", "_present", "_steps", "_steps_async", "shown", "task_id")

    def __init__(
        self,
        shown: EnqueueCall,
        headers: bytes | None,
        steps: Sequence[MiddlewareMethod],
        steps_async: Sequence[MiddlewareMethod],
    ) -> None:
        self.shown = shown
        self.task_id = shown.task_id
        self._headers = headers
        self._steps = steps
        self._steps_async = steps_async
        self._opened: list[tuple[str, Any]] = []
        self._present: str | None = None

    def begin(self, *, on_loop: bool = False) -> bytes | None:
        """Runs the middleware up to its `yield`. Returns the headers of the message.

        Raises:
            BaseException: what the middleware raised. Nothing must be sent.
        """
        who = HEADERS
        try:
            for who, begin, _ in self._steps_async if on_loop else self._steps:
                step = begin(self.shown)
                if next(step, self) is self:
                    raise _returned_early()
                self._opened.append((who, step))
            who = HEADERS
            return self._checked_headers()
        except BaseException as error:
            _note(error, who)
            self.end(error=error)
            raise

    async def begin_async(self) -> bytes | None:
        """As `begin`, with the methods for an event loop."""
        who = HEADERS
        try:
            for who, begin, is_async in self._steps_async:
                step = begin(self.shown)
                found = await anext(step, self) if is_async else next(step, self)
                if found is self:
                    raise _returned_early()
                self._opened.append((who, step))
            who = HEADERS
            return self._checked_headers()
        except BaseException as error:
            _note(error, who)
            await self.end_async(error=error)
            raise

    def end(self, present: str | None = None, error: BaseException | None = None) -> None:
        """Runs the rest of the middleware.

        Args:
            present: the id of the task that is in the place of the call.
        """
        outcome = self._outcome(present, error)
        while self._opened:
            who, step = self._opened.pop()
            try:
                self._end_one(who, step, outcome)
            except BaseException:
                self.end(present, error)  # the others end too
                raise

    async def end_async(
        self, present: str | None = None, error: BaseException | None = None
    ) -> None:
        """As `end`, with the methods for an event loop."""
        outcome = self._outcome(present, error)
        while self._opened:
            who, step = self._opened.pop()
            try:
                if isinstance(step, AsyncGeneratorType):
                    await self._end_one_async(who, step, outcome)
                else:
                    self._end_one(who, step, outcome)
            except GeneratorExit:
                raise  # a closed coroutine must not wait
            except BaseException:
                await self.end_async(present, error)
                raise

    def judged_by(self, judge: Callable[[str | None], Any]) -> Callable[[str | None], Any]:
        """Returns the function that takes the verdict about a call that wants a lock."""

        def judged(present: str | None) -> Any:
            self._present = present
            return judge(present)

        return judged

    def settled(self, future: asyncio.Future[Any]) -> None:
        """Ends the call when its future is done."""
        if future.cancelled():
            import asyncio

            self.end(error=asyncio.CancelledError("the call was cancelled"))
        else:
            self.end(self._present, future.exception())

    async def sent_by(
        self, send: Callable[[bytes | None], Coroutine[Any, Any, Any]], explain: Explain
    ) -> Any:
        """Takes the call through the middleware on an event loop.

        Args:
            send: sends it, given its headers.
        """
        headers = await self.begin_async()
        try:
            try:
                future = send(headers)
            except (TypeError, ValueError) as error:
                raise explain(error, self.shown.args, self.shown.kwargs) from None
            result = await future
        except BaseException as error:
            await self.end_async(self._present, error)
            raise
        await self.end_async(self._present)
        return result

    def _checked_headers(self) -> bytes | None:
        headers = self.shown.headers
        if not headers:
            return None
        from .call_options import read_headers

        return as_json(read_headers("headers", headers))

    def _end_one(self, who: str, step: Any, outcome: EnqueueOutcome) -> None:
        try:
            step.send(outcome)
        except StopIteration:
            return
        except Exception as failure:  # noqa: BLE001 - the call has ended already
            self._warn(who, failure, outcome)
        else:
            self._warn(who, _yielded_again(), outcome)

    async def _end_one_async(
        self, who: str, step: AsyncGeneratorType[Any, Any], outcome: EnqueueOutcome
    ) -> None:
        try:
            await step.asend(outcome)
        except StopAsyncIteration:
            return
        except Exception as failure:  # noqa: BLE001 - the call has ended already
            self._warn(who, failure, outcome)
        else:
            self._warn(who, _yielded_again(), outcome)

    def _outcome(self, present: str | None, error: BaseException | None) -> EnqueueOutcome:
        if error is not None:
            return EnqueueOutcome(present, error=error)
        return EnqueueOutcome(present or self.task_id, is_new=present is None)

    def _warn(self, who: str, failure: Exception, outcome: EnqueueOutcome) -> None:
        shown = self.shown
        happened = "failed too" if outcome.error else f"is in Redis as {outcome.task_id}"
        warnings.warn(
            f"{who} failed after a call of task {shown.task_name!r} (queue {shown.queue!r}), which "
            f"{happened}: {type(failure).__name__}: {failure}",
            FluxQueueWarning,
            stacklevel=2,
        )


def _note(error: BaseException, who: str) -> None:
    with suppress(Exception):  # of an odd exception class
        error.add_note(f"{who}{NOTE}")


def is_of_middleware(error: BaseException) -> bool:
    """Whether middleware has raised the error before its call was sent."""
    return any(note.endswith(NOTE) for note in getattr(error, "__notes__", ()))


def _returned_early() -> RuntimeError:
    return RuntimeError("the enqueue method returned before its yield; add a `yield`")


def _yielded_again() -> RuntimeError:
    return RuntimeError("its enqueue method yields twice; remove one `yield`")
