"""The lifespans of a `FluxQueue` object, and what its tests put in the place of dependencies."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .arguments_by_name import check_keys
from .dependency_parameters import find_marks
from .errors import ConfigurationError

if TYPE_CHECKING:
    from .dependency_forms import Provider
    from .task_dependencies import InjectedTask

    class ProvidedTask(InjectedTask, Protocol):
        """A task of a `FluxQueue`."""

        providers: Providers


Lifespan = TypeVar("Lifespan", bound=Callable[..., Iterator[Any] | AsyncIterator[Any]])


class Providers:
    """Shared by a `FluxQueue` object and its tasks.

    Attributes:
        lifespans: the functions, in the order of their declaration.
        overrides: for a dependency's function, the one that is called instead.
    """

    __slots__ = ("lifespans", "overrides")

    def __init__(self, *lifespans: Callable[..., Any]) -> None:
        self.lifespans = list(lifespans)
        self.overrides: dict[Callable[..., Any], Callable[..., Any]] = {}

    def of_lifespans(self) -> list[Provider]:
        """Returns what the worker makes before its first attempt, in order.

        Raises:
            TypeError: a lifespan has a parameter that has no value.
        """
        if not self.lifespans:
            return []
        from .dependency_plan import Planner  # most applications have no lifespan

        planner = Planner("a lifespan", True, self.overrides)
        return [planner.shared(function) for function in self.lifespans]


class DeclaresProviders:
    """The part of `FluxQueue` that is about dependencies."""

    def __init__(self) -> None:
        self._providers = Providers()

    @property
    def dependency_overrides(self) -> dict[Callable[..., Any], Callable[..., Any]]:
        """For tests: `dependency_overrides[function] = other` makes the tasks of this object call
        `other` for each `Depends(function)` and `Shared(function)`, from the next attempt on."""
        return self._providers.overrides

    @contextlib.contextmanager
    def override_dependency(
        self, function: Callable[..., Any], other: Callable[..., Any]
    ) -> Iterator[None]:
        """Sets `dependency_overrides[function]` in a `with` block, and restores it after."""
        overrides = self._providers.overrides
        before = overrides.get(function)
        overrides[function] = other
        try:
            yield
        finally:
            if before is None:
                overrides.pop(function, None)
            else:
                overrides[function] = before

    def lifespan(self, function: Lifespan) -> Lifespan:
        """Decorates a generator function, or an async one, that each worker process runs around
        its work: up to `yield` before the first attempt, the rest after the drain. An async one
        runs on the event loop of the async tasks.

        `Shared(function)` gives a dependency what it yields. The function itself stays as it is.

        Raises:
            TypeError: it is another kind of function, or has a parameter that has no value.
            ConfigurationError: it is a lifespan of this object already.
        """
        if not (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)):
            raise TypeError(
                f"@fluxqueue.lifespan can't decorate {function!r}; write a `def` or `async def` "
                f"with one `yield`, and no parentheses after `lifespan`"
            )
        if function in self._providers.lifespans:
            raise ConfigurationError(f"{function.__qualname__}() is a lifespan of this object")
        Providers(function).of_lifespans()
        self._providers.lifespans.append(function)
        return function

    def _read_parameters(self, task: ProvidedTask, local_names: Mapping[str, Any]) -> None:
        """Hides the dependencies of a task, and checks the options that name its parameters."""
        task.providers = self._providers
        if marks := find_marks(task.func, task.__signature__, local_names):
            from .task_dependencies import hide_dependencies  # most tasks have none

            hide_dependencies(task, marks, self._providers.overrides, local_names)
        check_keys(task.terms, task.__signature__, task.task_name)
