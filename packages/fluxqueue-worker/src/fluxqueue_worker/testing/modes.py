"""The modes of a test that need no Redis.

`InlineMode` runs each call at once, `CapturedMode` when the test says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, TypeVar

from fluxqueue import FluxQueue
from fluxqueue.broker import Broker
from fluxqueue.explained_calls import errors_of_tasks
from fluxqueue.waiting import use_listener
from fluxqueue_core import Settings

from .call import Call
from .matching import Expected, TaskLike, shown
from .producer import SimulatedProducer
from .results import Listener
from .simulation import Simulation
from .takeover import Takeover, named
from .travelling import seconds_ahead

Self = TypeVar("Self", bound="SimulatedMode")
_numbers = itertools.count(1)


class SimulatedMode:
    """The common part of both modes. A mode is a context manager that can be entered once.

    Args:
        objects: the `FluxQueue` objects whose tasks it takes; none: all of the process, also those
            that are made while it lasts.
        raise_errors: the first value of the attribute.
    """

    # Whether calls run at once.
    _runs_calls = False

    def __init__(self, *objects: FluxQueue, raise_errors: bool = True) -> None:
        self._objects = named(objects)
        self._raise_errors = raise_errors
        self._stack = ExitStack()
        self._entered: Simulation | None = None
        # The addresses of the servers that the objects would use.
        self._urls: dict[str, str] = {}
        self._number = next(_numbers)
        self._forget_listeners: list[Callable[[], None]] = []

    @property
    def _simulation(self) -> Simulation:
        if self._entered is None:
            raise RuntimeError(f"{type(self).__name__} has not begun: write `with ... as tasks:`")
        return self._entered

    def __enter__(self: Self) -> Self:
        if self._entered is not None:
            raise RuntimeError(f"{type(self).__name__} was used before; make another one")
        simulation = self._entered = Simulation(self._runs_calls)
        simulation.raises = self._raise_errors
        with ExitStack() as stack:
            stack.callback(simulation.runner.close)
            stack.callback(self._forget)
            stack.callback(Takeover(self._objects, self._take).end)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _take(self, broker: Broker) -> None:
        before = broker.settings
        # One server stays one, and another one another. No such socket exists.
        place = self._urls.setdefault(
            before.url, f"/fluxqueue-test-{self._number}/{len(self._urls)}"
        )
        settings = Settings(
            f"unix://{place}",
            namespace=before.namespace,
            connect_timeout=before.connect_timeout,
            timeout=before.timeout,
            max_message_bytes=broker.producer.max_message_bytes,
        )
        simulation = self._simulation
        listener: Any = Listener(settings.url, simulation.results, simulation)
        self._forget_listeners.append(use_listener(settings, listener))
        simulation.brokers.append(broker)
        broker.send_by(SimulatedProducer(settings, broker, simulation), settings)

    def _forget(self) -> None:
        for forget in self._forget_listeners:
            forget()
        self._forget_errors()

    def _forget_errors(self) -> None:
        ours = [error for _, error in self._simulation.errors]
        errors_of_tasks[:] = [e for e in errors_of_tasks if not any(e is own for own in ours)]

    @property
    def calls(self) -> list[Call]:
        """The calls that were enqueued, in order: those of the application, of its tasks, of
        callbacks and of periodic tasks."""
        return list(self._simulation.calls)

    @property
    def errors(self) -> list[BaseException]:
        """The last exceptions of the tasks that are dead, in order."""
        return [error for _, error in self._simulation.errors]

    @property
    def raise_errors(self) -> bool:
        """Whether the error of a task that is dead is raised in the test, as it is by default. If
        not, it is in `errors` only."""
        return self._simulation.raises

    @raise_errors.setter
    def raise_errors(self, value: bool) -> None:
        self._simulation.raises = value

    @property
    def now(self) -> float:
        """The seconds that have passed on the test's clock."""
        return self._simulation.now

    def travel(self, seconds: float) -> None:
        """Lets time pass on the test's clock. Nothing runs by that.

        Raises:
            ValueError: the time would go back, or has no end.
        """
        self._simulation.now += seconds_ahead(seconds)

    def clear(self) -> None:
        """Forgets the calls and the errors up to now, and cancels all that waits."""
        self._simulation.clear()
        self._forget_errors()
        self._simulation.errors.clear()

    def assert_enqueued(
        self,
        task: TaskLike,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        delay: Any = None,
        queue: str | None = None,
        times: int | None = None,
    ) -> list[Call]:
        """Asserts that a task was enqueued, and returns its calls that fit.

        Args:
            task: the decorated function, or its name.
            args: the positional arguments of the call. A call fits however it passes its
                arguments, and what it leaves out has its default. Values may compare
                themselves, such as `unittest.mock.ANY`. None for both: any arguments.
            kwargs: the arguments by keyword.
            delay: seconds, or a timedelta, from the call until it is due.
            queue: the queue of the call.
            times: how many calls fit; None: one or more.

        Raises:
            AssertionError: it was not. The text has what was enqueued.
            TypeError: no call of the task can have these arguments.
        """
        __tracebackhide__ = True
        expected = Expected(task, args, kwargs, delay, queue)
        calls = self.calls
        fitting = [call for call in calls if not expected.differences(call)]
        if (times is None and not fitting) or (times is not None and len(fitting) != times):
            was = "not enqueued" if times is None else f"enqueued {_times(fitting)}, not {times}"
            raise AssertionError(f"{expected} was {was}\n{shown(calls, expected)}")
        return fitting

    def refute_enqueued(
        self,
        task: TaskLike,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        delay: Any = None,
        queue: str | None = None,
    ) -> None:
        """Asserts that no call fits. The arguments are those of `assert_enqueued`.

        Raises:
            AssertionError: one does.
        """
        __tracebackhide__ = True
        expected = Expected(task, args, kwargs, delay, queue)
        calls = self.calls
        fitting = [call for call in calls if not expected.differences(call)]
        if fitting:
            raise AssertionError(f"{expected} was enqueued {_times(fitting)}\n{shown(fitting)}")

    def run_periodic(self, periodic: str) -> None:
        """Enqueues a run of the periodic task with this id now, whatever its times.

        Raises:
            ConfigurationError: there is no such periodic task.
        """
        __tracebackhide__ = True
        self._simulation.called([self._simulation.periodic.enqueue(periodic)])

    async def run_periodic_async(self, periodic: str) -> None:
        """As `run_periodic`, on the running event loop."""
        import asyncio

        future = asyncio.get_running_loop().create_future()
        self._simulation.called_async([self._simulation.periodic.enqueue(periodic)], future, None)
        await future


def _times(calls: Sequence[Call]) -> str:
    return f"{len(calls)} time" + "s" * (len(calls) != 1)


class InlineMode(SimulatedMode):
    """Each call runs its task before it returns, with all retries and with the tasks that it
    enqueues, and raises the error of the first that is dead.

    The arguments and the result are JSON on their way. Delays pass on the test's clock, in no time.
    """

    _runs_calls = True


class CapturedMode(SimulatedMode):
    """Calls are enqueued, and nothing runs before `drain`."""

    def drain(self, *, limit: int | None = None) -> int:
        """Runs what waits, and what it enqueues, in the order of its times, until nothing is left.

        Args:
            limit: how many attempts may begin; None: all.

        Returns:
            how many attempts have begun.

        Raises:
            BaseException: the error of the first task that is dead, when all have run.
        """
        __tracebackhide__ = True
        before, errors = self._simulation.begun, len(self._simulation.errors)
        self._simulation.run(lambda: self._is_over(before, limit))
        return self._drained(before, errors)

    async def drain_async(self, *, limit: int | None = None) -> int:
        """As `drain`: async tasks run on the running event loop."""
        __tracebackhide__ = True
        before, errors = self._simulation.begun, len(self._simulation.errors)
        await self._simulation.run_async(lambda: self._is_over(before, limit))
        return self._drained(before, errors)

    def _is_over(self, before: int, limit: int | None) -> bool:
        return limit is not None and self._simulation.begun - before >= limit

    def _drained(self, before: int, errors: int) -> int:
        __tracebackhide__ = True
        new = self._simulation.errors[errors:]
        if new and self.raise_errors:
            raise new[0][1]
        return self._simulation.begun - before
