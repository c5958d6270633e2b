"""Deadlines of attempts, and errors raised in running tasks."""

from collections.abc import Callable
from typing import Any, final

from .consuming import Attempt

@final
class TimedCall:
    """A sync function whose calls have a deadline. `Deadlines.guard` makes it."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any: ...

@final
class Deadlines:
    """The deadlines of a worker's attempts, by the monotonic clock.

    Why: docs/decisions/0031-a-timeout-ends-at-the-next-bytecode.md

    Args:
        grace: an attempt is stuck if it has not ended `grace` seconds after its
            deadline.
    """

    def __new__(cls, grace: float) -> Deadlines: ...
    def guard(self, function: Callable[..., Any], timeout: float) -> TimedCall:
        """Returns the function with a limit of `timeout` seconds for each call.

        A thread whose call is past its deadline gets one TaskTimeout, by
        `PyThreadState_SetAsyncExc`. It is never raised outside the function. The call
        raises TaskTimeout even if the function returned or raised another error.
        """

    def add(self, token: Any, timeout: float) -> int:
        """Begins an attempt, and returns its id. `wait` reports the attempt."""

    def remove(self, id: int) -> bool:
        """Ends an attempt. Returns whether its deadline had passed."""

    def runs(self, id: int) -> bool:
        """Returns whether the attempt or the guarded call still runs."""

    def wait(self) -> list[tuple[int, Any, bool]] | None:
        """Interrupts guarded calls at their deadlines, until there is something to
        report. One thread calls this repeatedly.

        Returns (id, token, False) at the deadline of an added attempt, and (id, token,
        True) when an attempt or a guarded call is stuck. The token of a guarded call is
        the identifier of its thread. None: `stop` was called.
        """

    def expire(self) -> None:
        """Makes the deadlines of all attempts pass now."""

    def stop(self) -> None:
        """Makes `wait` return None."""

@final
class CancellableCall:
    """A sync function whose calls `cancel_call` can end, on a build of Python without the GIL."""

    def __new__(cls, function: Callable[..., Any]) -> CancellableCall: ...
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any: ...

def cancel_call(runner: object, attempt: Attempt, thread: int) -> bool:
    """Makes a thread raise `CancelRequested`, if it is in a `CancellableCall` now.

    Args:
        runner: has the attribute `attempt`, which must be this one.
        thread: `threading.get_ident()` of the thread.

    Returns:
        Whether it will raise. False: try again later.
    """

def raise_in_task(
    runner: object,
    attempt: Attempt,
    thread: int,
    base: object,
    wrappers: set[object],
    folder: str,
) -> bool:
    """Makes a thread raise `CancelRequested` in its task, if it is in the task's code now.

    Args:
        runner: has the attribute `attempt`, which must be this one.
        thread: `threading.get_ident()` of the thread.
        base: the code object of the function that calls the task.
        wrappers: the code objects of the worker's functions between `base` and the task.
        folder: all other code below it is the worker's own.

    Returns:
        Whether it will raise. False: try again later.
    """
