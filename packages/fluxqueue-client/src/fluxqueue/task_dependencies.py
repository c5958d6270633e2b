"""The dependencies of one task: callers do not see them, and the worker passes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from .dependency_parameters import check_not_named
from .dependency_plan import DependencyPlan, Overrides, Planner
from .signature import call_check

if TYPE_CHECKING:
    from .context import Context
    from .dependencies import Dependency
    from .options import Terms


class InjectedTask(Protocol):
    """The part of a task that this module reads and changes."""

    __signature__: inspect.Signature
    _check: Callable[..., None]
    dependencies: TaskDependencies | None

    @property
    def task_name(self) -> str: ...
    @property
    def func(self) -> Callable[..., Any]: ...
    @property
    def is_async(self) -> bool: ...
    @property
    def context_type(self) -> type[Context] | None: ...
    @property
    def terms(self) -> Terms: ...


class TaskDependencies:
    """See the module's text.

    Args:
        signature: of the task's function, with its dependencies, without its context.
        marks: the parameters that are dependencies.
        local_names: the names visible to the decorator.

    Attributes:
        marks: as given.
        plan: of the functions that the code names.
        overrides: those of tests. While there are none, `plan` holds.

    Raises:
        TypeError: a dependency can't be used in this task.
    """

    def __init__(
        self,
        task: InjectedTask,
        signature: inspect.Signature,
        marks: Mapping[str, Dependency],
        overrides: Overrides,
        local_names: Mapping[str, Any],
    ) -> None:
        self.marks = marks
        self.overrides = overrides
        self._task = task
        self._signature = signature
        self._local_names = dict(local_names)
        self.plan = self._plan({})

    def current_plan(self) -> DependencyPlan:
        """Returns the plan with the overrides of now.

        Raises:
            TypeError: a replacement can't be used in this task.
        """
        return self._plan(self.overrides)

    def _plan(self, overrides: Overrides) -> DependencyPlan:
        task = self._task
        planner = Planner(
            f"the task {task.task_name!r}",
            task.is_async,
            overrides,
            task.__signature__.parameters,
            task.context_type,
            self._local_names,
        )
        return planner.plan(self._signature, self.marks)


def hide_dependencies(
    task: InjectedTask,
    marks: Mapping[str, Dependency],
    overrides: Overrides,
    local_names: Mapping[str, Any],
) -> None:
    """Hides the dependencies of a task from its callers.

    Args:
        marks: the parameters that are dependencies.
        local_names: the names visible to the decorator.

    Raises:
        TypeError: a dependency can't be used in this task.
        ConfigurationError: an option names one as an argument of the call.
    """
    signature = task.__signature__
    seen = [each for name, each in signature.parameters.items() if name not in marks]
    task.__signature__ = signature.replace(parameters=seen)
    task._check = _check(call_check(task.__signature__, task.func), marks)
    check_not_named("unique", task.terms.unique, marks, task.task_name)
    check_not_named("limit_key", task.terms.limit_key, marks, task.task_name)
    task.dependencies = TaskDependencies(task, signature, marks, overrides, local_names)


def _check(check: Callable[..., None], marks: Mapping[str, Dependency]) -> Callable[..., None]:
    """The check of a call, which also refuses a dependency."""
    hidden = frozenset(marks)

    def checked(*args: Any, **kwargs: Any) -> None:
        if not hidden.isdisjoint(kwargs):
            name = min(hidden.intersection(kwargs))
            raise TypeError(
                f"{check.__qualname__}() got {name!r}, which is {marks[name]!r}: the worker passes "
                f"it; leave it out of the call, or call the function itself by `.func`"
            )
        check(*args, **kwargs)

    return checked
