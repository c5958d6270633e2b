"""Runs tasks whose results are kept: encodes what they return, as a part of the attempt.

A value that JSON can't carry fails the attempt. Middleware sees that as any other failure.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

from fluxqueue_core import Attempt

from .error_text import own_frame
from .result_parts import FINISHED
from .unawaited import refuse_unawaited

Run = Callable[[Attempt, dict[str, Any]], Any]
Encode = Callable[[Any], bytes]


def keeping_run(run: Run, encode: Encode, is_async: bool) -> Run:
    """Returns a `Run` that also keeps the result with the attempt."""

    @own_frame
    def kept(attempt: Attempt, thread_storage: dict[str, Any]) -> Any:
        result = run(attempt, thread_storage)
        _keep(attempt, result, encode)
        return result

    @own_frame
    def kept_async(attempt: Attempt, thread_storage: dict[str, Any]) -> Any:
        coroutine = run(attempt, thread_storage)
        # The loop refuses anything else, and its error says why.
        return (
            _Keeping(coroutine, attempt, encode) if isinstance(coroutine, Coroutine) else coroutine
        )

    return kept_async if is_async else kept


@own_frame
def _keep(attempt: Attempt, result: Any, encode: Encode) -> None:
    if result is not None and type(result) not in FINISHED:
        refuse_unawaited(result)
    attempt.keep(encode(result))


class _Keeping(Coroutine[Any, Any, Any]):
    """The coroutine of a task, of which the result is kept with its attempt.

    An `async def` around it would hide where the task waits: asyncio shows the outermost
    frame of a suspended coroutine only.
    """

    __slots__ = ("_attempt", "_coroutine", "_encode")

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], attempt: Attempt, encode: Encode
    ) -> None:
        self._coroutine = coroutine
        self._attempt = attempt
        self._encode = encode

    @own_frame
    def send(self, value: Any, /) -> Any:
        try:
            return self._coroutine.send(value)
        except StopIteration as end:
            result = end.value
        return self._end(result)

    @own_frame
    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        try:
            if val is None and tb is None:
                return self._coroutine.throw(typ)
            return self._coroutine.throw(typ, val, tb)
        except StopIteration as end:
            result = end.value
        return self._end(result)

    @own_frame
    def _end(self, result: Any) -> Any:
        _keep(self._attempt, result, self._encode)
        raise StopIteration(result)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Any:
        return self  # for the coroutine of a middleware around it

    @own_frame
    def __next__(self) -> Any:
        return self.send(None)

    @property
    def cr_frame(self) -> FrameType | None:
        """For the stack of an asyncio task."""
        frame: FrameType | None = getattr(self._coroutine, "cr_frame", None)
        return frame

    @property
    def cr_code(self) -> Any:
        return getattr(self._coroutine, "cr_code", None)

    @property
    def cr_running(self) -> bool:
        return bool(getattr(self._coroutine, "cr_running", False))

    @property
    def cr_await(self) -> Any:
        return getattr(self._coroutine, "cr_await", None)
