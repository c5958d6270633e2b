"""The values that the attempts of a process share: `Shared` dependencies and lifespans.

Each is made at its first use; that of a lifespan, which is what it yields, before the first
attempt. All end in reverse order, after the drain.

Why: docs/decisions/0222-shared-values-end-with-the-worker.md
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from fluxqueue.dependency_forms import Provider

from .error_text import own_frame
from .forked import ForkWatch
from .opened import Opened, close_all, opener

if TYPE_CHECKING:
    from .loop_values import LoopValues

# Values that ended with an error: the name of the function, and the error.
Failures = list[tuple[str, BaseException]]


class SharedValues:
    """The values of one worker. Make it in a thread whose context (`contextvars`) they may see.

    A process may have several, one after another or at the same time: a test makes one for
    itself, and ends it.
    """

    def __init__(self) -> None:
        self._context = copy_context()
        self._lock = threading.Lock()
        self._locks: dict[Any, threading.Lock] = {}
        self._values: dict[Any, Any] = {}
        self._opened: list[tuple[Provider, Context, list[Opened]]] = []
        self._loops: dict[object, LoopValues] = {}
        self._ended = False
        # In a process that a task forks, nothing ends.
        self.fork = ForkWatch()

    @own_frame
    def get(self, provider: Provider) -> Any:
        """Returns the value of a sync provider, made by the first caller. Any thread may call it;
        the others wait meanwhile.

        Raises:
            RuntimeError: the values have ended.
            Exception: whatever the provider raises. The next call tries again.
        """
        key = provider.key
        # A value is never removed from here before the end.
        return self._values[key] if key in self._values else self._made(provider)

    def getter(self, provider: Provider) -> Callable[..., Any]:
        """Returns `get` for one provider, as a function that ignores its arguments."""
        values, key, made = self._values, provider.key, self._made

        @own_frame
        def found(*_: object) -> Any:
            return values[key] if key in values else made(provider)

        return found

    @own_frame
    def _made(self, provider: Provider) -> Any:
        key = provider.key
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key in self._values:
                return self._values[key]
            self._check()
            given = {name: self.get(each) for name, each in provider.shared.items()}
            opened: list[Opened] = []
            # The variables that it sets are there at its end, and not in the attempt.
            context = self._context.copy()
            try:
                value = context.run(opener(provider), opened, given)
            except BaseException as error:
                context.run(close_all, opened, error)
                raise
            with self._lock:
                self._opened.append((provider, context, opened))
            self._values[key] = value
            return value

    @own_frame
    async def get_async(self, provider: Provider) -> Any:
        """Returns the value of a provider, which may be async: it is the running loop's then.

        Raises:
            RuntimeError, Exception: as `get`.
        """
        if not provider.is_async:
            return self.get(provider)
        return await self._loop_values().get(provider)

    def _loop_values(self) -> LoopValues:
        """The values of the running loop."""
        # A worker without async tasks needs no asyncio.
        from .loop_values import LoopValues, running_loop

        loop = running_loop()
        found = self._loops.get(loop)
        if found is None:
            self._check()
            found = self._loops[loop] = LoopValues(self, self._context)
        return found

    def stop(self) -> None:
        """Lets no more values be made."""
        self._ended = True

    def _check(self) -> None:
        if self._ended:
            raise RuntimeError("the worker has ended its shared values, and makes no more")

    async def end_async(self) -> Failures:
        """Ends the values of the running loop, the last one first. Returns what failed."""
        from .loop_values import running_loop

        values = self._loops.pop(running_loop(), None)
        return [] if values is None else await values.end()

    def end(self) -> Failures:
        """Ends the values of sync providers, the last one first. Returns what failed. End those of
        the loops before, because they may use these."""
        self.stop()
        failures: Failures = []
        while self._opened:
            provider, context, opened = self._opened.pop()
            self._values.pop(provider.key, None)
            try:
                context.run(close_all, opened, None)
            except BaseException as error:  # noqa: BLE001 - the others end too
                failures.append((provider.name, error))
        return failures
