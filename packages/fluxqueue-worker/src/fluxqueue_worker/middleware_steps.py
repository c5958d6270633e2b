"""The steps of the application's middleware around one attempt: begin, and end with an outcome.

A generator that ends raises `StopIteration`, which costs more than all the rest. So a driver
delegates to it, ends with a `yield`, and serves the next attempt.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from typing import Any

from fluxqueue.middleware_checks import MiddlewareMethod

from .error_text import own_frame

# A step returns this when its generator has ended.
ENDED = object()


@own_frame
def _driver(begin: Callable[[Any], Generator[Any, Any, Any]]) -> Generator[Any, Any, None]:
    """Takes an attempt, and at the `yield` of its generator the outcome, and so on."""
    shown = yield
    while True:
        steps = begin(shown)
        del shown  # a driver that waits keeps nothing alive
        yield from steps
        del steps
        shown = yield ENDED


class _AsyncDriver:
    """As `_driver`, for an async generator."""

    def __init__(self, begin: Callable[[Any], AsyncGenerator[Any, Any]]) -> None:
        self._begin = begin
        self._steps: AsyncGenerator[Any, Any] | None = None

    @own_frame
    async def send(self, value: Any) -> Any:
        try:
            if self._steps is not None:
                return await self._steps.asend(value)
            self._steps = self._begin(value)
            return await anext(self._steps)
        except StopAsyncIteration:
            self._steps = None
            return ENDED

    def close(self) -> None:
        """Leaves the generator to its event loop, which closes what nothing refers to."""
        self._steps = None


Driver = Generator[Any, Any, None] | _AsyncDriver


def _begun(step: MiddlewareMethod) -> Driver:
    _, begin, is_async = step
    if is_async:
        return _AsyncDriver(begin)
    driver = _driver(begin)
    next(driver)
    return driver


class Steps:
    """The steps of one middleware after the other, for one attempt at a time.

    Attributes:
        who: names each middleware, the outermost first.
        drivers: those of each.
        sends: whether the result must be awaited, and the function that takes the attempt, and
            then the outcome.
        begin, end: the functions, in the order in which they begin and end.
    """

    def __init__(self, found: Sequence[MiddlewareMethod]) -> None:
        self.who = [who for who, _, _ in found]
        self.drivers = [_begun(step) for step in found]
        self.begin = tuple(driver.send for driver in self.drivers)
        self.end = self.begin[::-1]
        flags = [is_async for _, _, is_async in found]
        self.sends = list(zip(flags, self.begin, strict=True))

    def failed_at(self, begun: int, *, is_ending: bool = False) -> str | None:
        """Returns which middleware raised; None: the task did.

        Args:
            begun: how many have begun and not ended.
            is_ending: whether the task has ended.
        """
        return self.who[begun] if is_ending or begun < len(self.who) else None
