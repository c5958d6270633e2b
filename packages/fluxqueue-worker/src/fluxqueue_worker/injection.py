"""Calls a task's function with its dependencies, in place of the function itself.

Why: docs/decisions/0221-a-plan-for-each-task.md
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fluxqueue.dependency_forms import DependencyForm
from fluxqueue.dependency_plan import DependencyCall, DependencyPlan, Fact, TaskArgument
from fluxqueue.middleware_checks import steps as methods_of

from .error_text import own_frame
from .forked import LEFT_OPEN
from .opened import UNUSED, Open, Opened, close_all, close_all_async, opener, unused

if TYPE_CHECKING:
    from fluxqueue.context import Context
    from fluxqueue.task import AnyTask

    from .shared_values import SharedValues

# Returns a source of a plan. Takes the arguments of the call: after a context, if there is one.
Source = Callable[[Sequence[Any], Mapping[str, Any]], Any]
NOTHING: dict[str, Any] = {}


class _Compiled(NamedTuple):
    """A plan as calls.

    Attributes:
        steps: for each, what makes the value; whether that is async; the names of its parameters
            and the indexes of their values.
        named, inserted: as those of the plan; positions count a context that the task takes.
    """

    sources: tuple[Source, ...]
    steps: tuple[tuple[Open, bool, tuple[tuple[str, int], ...]], ...]
    named: tuple[tuple[str, int], ...]
    inserted: tuple[tuple[str, int, int], ...]


class Injection:
    """The dependencies of one task.

    Args:
        shared: has the values that its attempts share with others.

    Attributes:
        context_type: the class of the context that the worker must pass to `function()`, for the
            task or for a dependency; None: it passes no context.
    """

    def __init__(self, task: AnyTask, shared: SharedValues) -> None:
        assert task.dependencies is not None
        self._task = task
        self._dependencies = task.dependencies
        self._shared = shared
        plans = [task.dependencies.plan]
        if task.dependencies.overrides:
            plans.append(task.dependencies.current_plan())
        asked = (plan.context_type for plan in plans)
        self.context_type: type[Context] | None = task.context_type or next(
            filter(None, asked), None
        )

    def function(self) -> Callable[..., Any]:
        """Returns a function that takes a context, if there is one, and the arguments of a call.
        It makes the dependencies, calls the task's function, and closes what it has opened."""
        func = self._task.func
        overrides = self._dependencies.overrides
        fork = self._shared.fork
        fixed, changed = self._compiled(self._dependencies.plan), self._changed
        # The context that only dependencies ask for.
        skipped = int(self.context_type is not None and self._task.context_type is None)

        @own_frame
        def injected(*args: Any, **kwargs: Any) -> Any:
            sources, steps, named, inserted = changed() if overrides else fixed
            opened: list[Opened] = []
            try:
                values = [source(args, kwargs) for source in sources] if sources else []
                for make, _, parameters in steps:
                    # Comprehensions would be twice as slow.
                    given = {} if parameters else NOTHING
                    for name, at in parameters:
                        given[name] = values[at]
                    values.append(make(opened, given))
                if inserted or skipped:
                    args = _placed(args[skipped:], inserted, values, kwargs)
                for name, at in named:
                    if name in kwargs:
                        raise _refused(name)
                    kwargs[name] = values[at]
                result = func(*args, **kwargs)
            except BaseException as error:
                if opened:
                    LEFT_OPEN.extend(opened) if fork.in_child else close_all(opened, error)
                raise
            if opened:
                LEFT_OPEN.extend(opened) if fork.in_child else close_all(opened, None)
            return result

        @own_frame
        async def injected_async(*args: Any, **kwargs: Any) -> Any:
            sources, steps, named, inserted = changed() if overrides else fixed
            opened: list[Opened] = []
            try:
                values = [source(args, kwargs) for source in sources] if sources else []
                for make, is_async, parameters in steps:
                    given = {} if parameters else NOTHING
                    for name, at in parameters:
                        given[name] = values[at]
                    value = make(opened, given)
                    values.append(await value if is_async else value)
                if inserted or skipped:
                    args = _placed(args[skipped:], inserted, values, kwargs)
                for name, at in named:
                    if name in kwargs:
                        raise _refused(name)
                    kwargs[name] = values[at]
                result = await func(*args, **kwargs)
            except BaseException as error:
                if opened and fork.in_child:
                    LEFT_OPEN.extend(opened)
                elif opened:
                    await close_all_async(opened, error)
                raise
            if opened and fork.in_child:
                LEFT_OPEN.extend(opened)
            elif opened:
                await close_all_async(opened, None)
            return result

        general = injected_async if self._task.is_async else injected
        calls = self._calls(self._dependencies.plan)
        if not calls or skipped:
            return general

        @own_frame
        def injected_calls(*args: Any, **kwargs: Any) -> Any:
            if overrides:
                return general(*args, **kwargs)
            for name, call in calls:
                if name in kwargs:
                    raise _refused(name)
                value = call()
                if type(value) in UNUSED:
                    raise unused(value, f"the dependency {name}")
                kwargs[name] = value
            return func(*args, **kwargs)

        @own_frame
        async def injected_calls_async(*args: Any, **kwargs: Any) -> Any:
            # A context variable that a dependency sets belongs to the attempt.
            return await injected_calls(*args, **kwargs)

        if not self._task.is_async:
            return injected_calls
        # A middleware calls it in the attempt's asyncio task: one more coroutine has no use there.
        has_middleware = methods_of(self._task.terms.middleware, "attempt", on_loop=True)
        return injected_calls if has_middleware else injected_calls_async

    def _calls(self, plan: DependencyPlan) -> list[tuple[str, Callable[[], Any]]]:
        """The plan as one call for each dependency, if it is as simple as that; this is twice as
        fast. Otherwise none."""
        steps = plan.steps
        if plan.sources or plan.inserted or len(steps) != len(plan.named):
            return []
        if any(step.parameters or not _is_value(step) for step in steps):
            return []
        return [
            (
                name,
                self._shared.getter(steps[at].provider)
                if steps[at].is_shared
                else steps[at].provider.call,
            )
            for name, at in plan.named
        ]

    @own_frame
    def _changed(self) -> _Compiled:
        """The plan with the overrides of now. Only tests have some, so it is not kept."""
        plan = self._dependencies.current_plan()
        if plan.context_type is not None and self.context_type is None:
            raise TypeError(
                "a function in dependency_overrides asks for the context, and what it replaces "
                "does not; set it before the worker loads the task"
            )
        return self._compiled(plan)

    def _compiled(self, plan: DependencyPlan) -> _Compiled:
        first = int(self.context_type is not None)
        skipped = int(self._task.context_type is not None)
        return _Compiled(
            tuple(_source(source, first) for source in plan.sources),
            tuple((*self._call(step), step.parameters) for step in plan.steps),
            plan.named,
            tuple((name, at + skipped, index) for name, at, index in plan.inserted),
        )

    def _call(self, step: DependencyCall) -> tuple[Open, bool]:
        provider = step.provider
        if not step.is_shared:
            return opener(provider), provider.is_async
        if not provider.is_async:
            return self._shared.getter(provider), False
        get = self._shared.get_async
        return lambda opened, given: get(provider), True


def _is_value(step: DependencyCall) -> bool:
    """Whether a call gives the value, and nothing must be closed after the attempt."""
    if step.provider.is_async:
        return False
    return step.is_shared or step.provider.form is DependencyForm.VALUE


def _source(source: Fact | TaskArgument, first: int) -> Source:
    if source is Fact.CONTEXT:
        return lambda args, kwargs: args[0]
    if source is Fact.METADATA:
        return lambda args, kwargs: args[0].metadata
    assert isinstance(source, TaskArgument)
    name, position, default = source.name, source.position, source.default
    at = None if position is None else position + first

    @own_frame
    def argument(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if name in kwargs:
            return kwargs[name]
        if at is not None and at < len(args):
            return args[at]
        if default is inspect.Parameter.empty:
            raise TypeError(f"missing argument: {name!r}")
        return default

    return argument


def _placed(
    args: Sequence[Any],
    inserted: Sequence[tuple[str, int, int]],
    values: Sequence[Any],
    kwargs: dict[str, Any],
) -> tuple[Any, ...]:
    """Returns the positional arguments with the dependencies that precede some of them. Adds the
    others to `kwargs`: a call has passed the arguments after them by name."""
    placed = list(args)
    for name, at, index in inserted:
        if name in kwargs:
            raise _refused(name)
        if at <= len(placed):
            placed.insert(at, values[index])
        else:
            kwargs[name] = values[index]
    return tuple(placed)


def _refused(name: str) -> TypeError:
    """The error of a message that has a value of a dependency: its arguments do not fit."""
    return TypeError(f"the message has an argument {name!r}, which is a dependency")
