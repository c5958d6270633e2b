"""The coroutine of a method that has to be awaited: it warns if it is not.

Why: docs/decisions/0062-no-call-is-lost-without-a-word.md
"""

from __future__ import annotations

import functools
import types
import warnings
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, ParamSpec, TypeVar, cast

from .errors import FluxQueueWarning

P = ParamSpec("P")
T = TypeVar("T")


class AwaitedMethod:
    """Decorates an `async def`: its coroutines become an `AwaitedCall`.

    Args:
        lost: what has not happened without the `await`.
        subject: names the task, given the object of the method.
        method, blocking: the calls to write in an event loop and elsewhere. `{}` is the name
            of a task's function.
        cut_off: what may not have happened if the end of the loop cuts a call off; None if
            that loses nothing.
    """

    __slots__ = ("_blocking", "_lost", "_method", "_subject", "cut_off")

    def __init__(
        self,
        lost: str,
        subject: Callable[[Any], str] | None,
        method: str,
        blocking: str,
        cut_off: str | None = None,
    ) -> None:
        self._lost = lost
        self.cut_off = cut_off
        self._subject = subject
        self._method = method
        self._blocking = blocking

    def __call__(
        self, method: Callable[P, Coroutine[Any, Any, T]]
    ) -> Callable[P, Coroutine[Any, Any, T]]:
        return cast("Callable[P, Coroutine[Any, Any, T]]", _Method(method, self))

    def not_awaited(self, owner: Any) -> str:
        """Returns the text for a call of the owner's method that nothing has awaited."""
        return self._text(owner, f"was not awaited, and {self._lost}")

    def ended(self, owner: Any, has_begun: bool) -> str:
        """Returns the text for a call that the end of the event loop has cancelled."""
        lost = self.cut_off if has_begun else self._lost
        return self._text(owner, f"was cancelled by the end of the event loop, and {lost}")

    def _text(self, owner: Any, what: str) -> str:
        subject = "" if self._subject is None else f"{self._subject(owner)}: "
        own = getattr(owner, "__name__", "")
        method, blocking = self._method.format(own), self._blocking.format(own)
        return (
            f"{subject}{method.rpartition('.')[2]} {what}; write `await {method}(...)`, or where "
            f"no event loop runs, `{blocking}(...)`"
        )


class AwaitedCall(Coroutine[Any, Any, T], Generic[T]):
    """Runs a coroutine of ours. Until its first step nothing happens.

    Args:
        coroutine: does the work.
        advice: makes the text of the warning.
        owner: the object of the method, for the warning.
    """

    __slots__ = ("_advice", "_coroutine", "_is_used", "_owner")

    def __init__(
        self, coroutine: Coroutine[Any, Any, T], advice: AwaitedMethod, owner: Any
    ) -> None:
        self._coroutine = coroutine
        self._advice = advice
        self._owner = owner
        self._is_used = False

    def send(self, value: Any, /) -> Any:
        """Runs the next step."""
        self._is_used = True
        return self._coroutine.send(value)

    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        """Raises an exception where the coroutine waits."""
        if not self._is_used or self._advice.cut_off:
            self._warn_at_the_end(typ)
        self._is_used = True
        if val is None and tb is None:
            return self._coroutine.throw(typ)
        return self._coroutine.throw(typ, val, tb)

    def close(self) -> None:
        """Ends the coroutine. If it has not begun, nothing happens."""
        self._is_used = True
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, T]:
        self._is_used = True
        return self._coroutine.__await__()

    def __getattr__(self, name: str) -> Any:
        # asyncio shows the name and the frame of a coroutine.
        return getattr(self._coroutine, name)

    def _warn_at_the_end(self, typ: Any) -> None:
        """Warns of `asyncio.create_task(...)` as the last act of a loop, which cancels it."""
        from asyncio import CancelledError  # an asyncio task runs this

        from fluxqueue_core.loop_end import is_ending

        kind = typ if isinstance(typ, type) else type(typ)
        if issubclass(kind, CancelledError) and is_ending():
            text = self._advice.ended(self._owner, self._is_used)
            warnings.warn(text, FluxQueueWarning, stacklevel=3)

    def __del__(self) -> None:
        if self._is_used:
            return
        self._coroutine.close()  # so that Python does not warn as well
        warnings.warn(self._advice.not_awaited(self._owner), FluxQueueWarning, stacklevel=2)


class _Method:
    """Looks like the `async def` in it: frameworks ask `iscoroutinefunction` whether to
    await a call, and Python 3.11 has no other mark for a method without asyncio."""

    def __init__(self, method: Any, advice: AwaitedMethod) -> None:
        functools.update_wrapper(self, method)
        self.__code__ = method.__code__
        self.__defaults__ = method.__defaults__
        self.__kwdefaults__ = method.__kwdefaults__
        self._method = method
        self._advice = advice

    def __get__(self, owner: Any, kind: type) -> Any:
        return self if owner is None else types.MethodType(self, owner)

    def __call__(self, *args: Any, **kwargs: Any) -> AwaitedCall[Any]:
        owner = args[0] if args else None
        return AwaitedCall(self._method(*args, **kwargs), self._advice, owner)
