"""The plan of a task's dependencies: which functions an attempt calls, in which order, and with
what. It is made once for each task.

An attempt has a list of values. It begins with the sources that the plan asks for; each step
calls a function with some of the values, and appends what it gives.

Why: docs/decisions/0221-a-plan-for-each-task.md
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .context import Context, TaskMetadata
from .dependencies import Dependency, inner_function, is_of_fastapi, name_of
from .dependency_forms import Provider, key_of, provider
from .dependency_parameters import annotation_of, mark_of_parameter
from .signatures import signature_of

Overrides = Mapping[Any, Callable[..., Any]]

# Classes whose objects an HTTP request has, by their modules.
_OF_REQUESTS = (
    *("starlette.requests", "starlette.websockets", "starlette.responses"),
    *("starlette.background", "fastapi.background", "fastapi.security.oauth2"),
)


class Fact(Enum):
    """A fact about an attempt that the worker knows."""

    CONTEXT = "context"
    METADATA = "metadata"


@dataclass(frozen=True, slots=True)
class TaskArgument:
    """An argument of the task that a dependency takes.

    Attributes:
        position: its position in a call; None: it is passed by name only.
        default: of the task's parameter; `inspect.Parameter.empty` if it has none.
    """

    name: str
    position: int | None
    default: Any


@dataclass(frozen=True, slots=True)
class DependencyCall:
    """One call of a plan.

    Attributes:
        is_shared: whether the value is the process's.
        parameters: for each parameter of the function, its name and the index of its value.
    """

    provider: Provider
    is_shared: bool
    parameters: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class DependencyPlan:
    """See the module's text.

    Attributes:
        named: the dependencies that are passed by name, each with the index of its value.
        inserted: those that precede arguments of callers, each with its name, its position among
            the function's parameters (without a context) and the index of its value. Ascending.
        context_type: the class of the context that dependencies ask for; None if they don't.
    """

    sources: tuple[Fact | TaskArgument, ...]
    steps: tuple[DependencyCall, ...]
    named: tuple[tuple[str, int], ...]
    inserted: tuple[tuple[str, int, int], ...]
    context_type: type[Context] | None


class Planner:
    """Makes the plan of one task, or the providers of shared values.

    Args:
        task: names the task in messages.
        is_async: whether its function is an `async def`.
        arguments: the parameters that callers see.
        context_type: the class of the task's context, if it has one.
        local_names: the names visible to the decorator.
    """

    def __init__(
        self,
        task: str,
        is_async: bool,
        overrides: Overrides,
        arguments: Mapping[str, inspect.Parameter] | None = None,
        context_type: type[Context] | None = None,
        local_names: Mapping[str, Any] | None = None,
    ) -> None:
        self._task = task
        self._is_async = is_async
        self._overrides = overrides
        self._arguments = arguments or {}
        self._context_type = context_type
        self._local_names = local_names or {}
        self._asked: type[Context] | None = None
        self._sources: list[Fact | TaskArgument] = []
        self._steps: list[DependencyCall] = []
        # The steps whose value may be for several parameters, by the key of their function.
        self._cached: dict[Any, int] = {}
        self._above: list[Any] = []

    def plan(self, signature: inspect.Signature, marks: Mapping[str, Dependency]) -> DependencyPlan:
        """Returns the plan.

        Args:
            signature: of the task's function, with its dependencies, without its context.

        Raises:
            TypeError: a dependency can't be used in this task; the text says what to do.
        """
        found = {name: self._use(mark) for name, mark in marks.items()}
        # Now it is known how many sources precede the steps.
        count = len(self._sources)
        steps = tuple(
            DependencyCall(
                step.provider,
                step.is_shared,
                tuple((name, _index(slot, count)) for name, slot in step.parameters),
            )
            for step in self._steps
        )
        positional = [p.name for p in signature.parameters.values() if p.kind <= p.VAR_POSITIONAL]
        seen = [at for at, name in enumerate(positional) if name not in marks]
        named: list[tuple[str, int]] = []
        inserted: list[tuple[str, int, int]] = []
        for name in signature.parameters:
            if name not in found:
                continue
            slot = _index(found[name], count)
            at = positional.index(name) if name in positional else len(positional)
            if seen and at < seen[-1]:
                inserted.append((name, at, slot))
            else:
                named.append((name, slot))
        sources = tuple(self._sources)
        return DependencyPlan(sources, steps, tuple(named), tuple(inserted), self._asked)

    def shared(self, function: Callable[..., Any]) -> Provider:
        """Returns the provider of a shared value.

        Raises:
            TypeError: it can't be shared.
        """
        function = self._overrides.get(key_of(function), function)
        key = key_of(function)
        self._enter(key, function)
        values: dict[str, Provider] = {}
        for parameter, mark in self._parameters(function):
            if mark is None:
                raise TypeError(
                    f"{self._parameter(parameter, function)} has no value: a shared value lives "
                    f"longer than a task, so its function takes only Shared(...); give the "
                    f"parameter a default, or mark it"
                )
            if not mark.is_shared or mark.function is None:
                raise TypeError(
                    f"{self._parameter(parameter, function)} is {mark!r}, made for each attempt, "
                    f"and {name_of(function)}() is shared, so it lives longer; write Shared(...)"
                )
            values[parameter.name] = self.shared(mark.function)
        self._above.pop()
        # In a sync task it must be sync; elsewhere both are possible.
        made = provider(function, self._is_async, values)
        for name, one in values.items():
            if one.is_async and not made.is_async:
                raise TypeError(
                    f"the parameter {name!r} of {made.name}() is async, and {made.name}() is not; "
                    f"make it an `async def` or an async generator function"
                )
        self._check_loop(made)
        return made

    def _use(self, mark: Dependency) -> int:
        """Returns the index of the value of a mark, counted from the first step."""
        assert mark.function is not None
        function = self._overrides.get(key_of(mark.function), mark.function)
        key = (mark.is_shared, key_of(function))
        if key in self._cached and mark.use_cache:
            return self._cached[key]
        if mark.is_shared:
            step = DependencyCall(self.shared(mark.function), is_shared=True)
        else:
            self._enter(key, function)
            made = provider(function, self._is_async)
            parameters = tuple(
                (parameter.name, self._value(parameter, one, function))
                for parameter, one in self._parameters(function)
            )
            self._above.pop()
            self._check_loop(made)
            step = DependencyCall(made, is_shared=False, parameters=parameters)
        self._steps.append(step)
        index = len(self._steps) - 1
        if mark.use_cache:
            self._cached[key] = index
        return index

    def _enter(self, key: Any, function: Callable[..., Any]) -> None:
        if key in self._above:
            raise TypeError(f"the dependency {name_of(function)}() depends on itself")
        self._above.append(key)

    def _check_loop(self, made: Provider) -> None:
        if made.is_async and not self._is_async:
            raise TypeError(
                f"the dependency {made.name}() is async, and {self._task} is not; make the task "
                f"an `async def`, or {made.name}() a `def`"
            )

    def _parameters(
        self, function: Callable[..., Any]
    ) -> list[tuple[inspect.Parameter, Dependency | None]]:
        """Returns the parameters of a dependency's function that need a value."""
        found = []
        for parameter in _signature(function).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            mark = mark_of_parameter(parameter, function, self._local_names)
            annotation = annotation_of(parameter, inner_function(function), self._local_names)
            self._refuse_request(parameter, annotation, function)
            fact = self._fact(annotation)
            if mark is None and fact is None and parameter.default is not parameter.empty:
                continue
            if parameter.kind is parameter.POSITIONAL_ONLY:
                raise TypeError(
                    f"{self._parameter(parameter, function)} can't be passed by name; write it "
                    f"after the `/`"
                )
            found.append((parameter.replace(annotation=annotation), mark))
        return found

    def _value(
        self, parameter: inspect.Parameter, mark: Dependency | None, function: Callable[..., Any]
    ) -> int:
        """Returns the index of a parameter's value; a negative one is of a source."""
        if mark is not None:
            return self._use(mark)
        fact = self._fact(parameter.annotation)
        if fact is not None:
            self._ask(parameter, function)
            return self._source(fact)
        argument = self._arguments.get(parameter.name)
        if argument is None or argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            raise TypeError(
                f"{self._parameter(parameter, function)} has no value: it is not an argument of "
                f"{self._task}; mark it with Depends(...) or Shared(...), annotate it as Context "
                f"or TaskMetadata, or give it a default"
            )
        position = None
        if argument.kind is not argument.KEYWORD_ONLY:
            position = list(self._arguments).index(argument.name)
        return self._source(TaskArgument(argument.name, position, argument.default))

    def _source(self, source: Fact | TaskArgument) -> int:
        # Not by equality: a default may be of any class.
        for index, known in enumerate(self._sources):
            if known is source or _is_argument(known, source):
                return -1 - index
        self._sources.append(source)
        return -len(self._sources)

    def _fact(self, annotation: Any) -> Fact | None:
        if not isinstance(annotation, type):
            return None
        if issubclass(annotation, Context):
            return Fact.CONTEXT
        return Fact.METADATA if issubclass(annotation, TaskMetadata) else None

    def _ask(self, parameter: inspect.Parameter, function: Callable[..., Any]) -> None:
        """Notes that a dependency asks for the context, or for a part of it."""
        asked = parameter.annotation if issubclass(parameter.annotation, Context) else Context
        known = self._context_type or self._asked or Context
        if issubclass(asked, known) and self._context_type is None:
            self._asked = asked
        elif issubclass(known, asked):
            self._asked = known
        else:
            raise TypeError(
                f"{self._parameter(parameter, function)} is annotated {asked.__qualname__}, and "
                f"the context of {self._task} is {known.__qualname__}; use one class for both"
            )

    def _refuse_request(
        self, parameter: inspect.Parameter, annotation: Any, function: Callable[..., Any]
    ) -> None:
        marks = (parameter.default, *getattr(annotation, "__metadata__", ()))
        is_part = any(is_of_fastapi(mark) and not is_of_fastapi(mark, "Depends") for mark in marks)
        kinds = (annotation, *typing.get_args(annotation))  # of a union, or of Annotated
        bases = [base for kind in kinds if isinstance(kind, type) for base in kind.__mro__]
        if is_part or any(base.__module__ in _OF_REQUESTS for base in bases):
            raise TypeError(
                f"{self._parameter(parameter, function)} is of an HTTP request, which "
                f"{self._task} does not have; give the task what it needs as an argument, or "
                f"replace the dependency by one without a request"
            )

    def _parameter(self, parameter: inspect.Parameter, function: Callable[..., Any]) -> str:
        return f"the parameter {parameter.name!r} of the dependency {name_of(function)}()"


def _is_argument(known: Fact | TaskArgument, source: Fact | TaskArgument) -> bool:
    return (
        isinstance(known, TaskArgument)
        and isinstance(source, TaskArgument)
        and known.name == source.name
    )


def _index(slot: int, sources: int) -> int:
    """The index among all values, of a step (0, 1, ...) or of a source (-1, -2, ...)."""
    return slot + sources if slot >= 0 else -1 - slot


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """The parameters of a dependency's function: of what it wraps if it takes `*args, **kwargs`."""
    try:
        found = signature_of(function, follow_wrapped=False)
    except (TypeError, ValueError):  # a class in C, which tells no parameters
        return inspect.Signature()
    kinds = {parameter.kind for parameter in found.parameters.values()}
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is not None and kinds == {
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
    }:
        return _signature(wrapped)
    return found
