"""The task of FluxQueue that stands for a task of Django: its name is the path of the function."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from fluxqueue.call_options import CallOptions
from fluxqueue.context import Context
from fluxqueue.signatures import signature_of
from fluxqueue.task import AnyTask

from . import declared
from .configuration import Configuration, check_options
from .flux_task import CALL_OPTIONS, options_of
from .framework import Task
from .running import Runs

if TYPE_CHECKING:
    from fluxqueue.client import FluxQueue

    from .records import Records

# The level of a task of priority 0, which is Django's default.
MIDDLE = 5
# Why: docs/decisions/0233-a-task-of-django-is-not-retried-by-itself.md
MAX_RETRIES = 0
# The name in TASK_OPTIONS that stands for all tasks.
ALL = "*"


def level(priority: int) -> int:
    """Returns the priority of FluxQueue, 0 to 9, for one of Django, -100 to 100. Those below 0 are
    0 to 4, 0 is 5, and those above are 6 to 9.

    Why: docs/decisions/0232-the-priorities-of-django.md
    """
    if priority < 0:
        return (priority + 100) // 20
    return MIDDLE + -(-priority // 25)


class Definitions:
    """Makes these tasks, each once."""

    def __init__(self, client: FluxQueue, records: Records, configuration: Configuration) -> None:
        self._client = client
        self._configuration = configuration
        self._runs = Runs(records, configuration.result_ttl)
        self._made: dict[tuple[str, str], AnyTask] = {}
        self._lock = threading.Lock()

    def of(self, task: Task, queue: str | None = None) -> AnyTask:
        """Returns the task of FluxQueue for a task of Django, and for its queue or another one.

        Raises:
            TypeError, ConfigurationError: an option of the task is not valid.
        """
        key = task.module_path, queue or task.queue_name
        made = self._made.get(key)
        if made is None:
            with self._lock:
                made = self._made.get(key) or self._make(*key, task)
                self._made[key] = made
        return made

    def call_options(self, task: Task, made: AnyTask) -> CallOptions:
        """Returns what `using` has changed for the calls of a task."""
        given = self.options(task)
        declared_ones = self._declared_options(task)
        changed = {
            name: given[name]
            for name in CALL_OPTIONS
            if name in given and given[name] != declared_ones.get(name)
        }
        options = cast("CallOptions", changed)
        if level(task.priority) != made.terms.priority:
            options["priority"] = level(task.priority)
        return options

    def check(self, task: Task) -> None:
        """Checks the options of a task.

        Raises:
            TypeError, ConfigurationError: one is not valid.
        """
        if options := options_of(task):
            check_options({**self._configured(task), **options})

    def options(self, task: Task) -> dict[str, Any]:
        """Returns the options of a task: those of the settings, as its code changes them."""
        return {**self._configured(task), **options_of(task)}

    def _configured(self, task: Task) -> dict[str, Any]:
        options = self._configuration.task_options
        return {**options.get(ALL, {}), **options.get(task.module_path, {})}

    def _declared_options(self, task: Task) -> dict[str, Any]:
        return self.options(declared.find(task.module_path) or task)

    def _make(self, path: str, queue: str, task: Task) -> AnyTask:
        of_code = declared.find(path) or task
        options = self.options(of_code)
        max_retries = options.pop("max_retries", MAX_RETRIES)
        # Outermost, so that it hears of what the others have done to the outcome.
        middleware = [self._runs, *options.pop("middleware", ())]
        decorate = self._client.task_with_context(
            path,
            queue,
            max_retries,
            priority=level(of_code.priority),
            result_ttl=self._configuration.result_ttl,
            middleware=middleware,
            **options,
        )
        made: AnyTask = decorate(_function(of_code, self._runs))
        return made


def _function(task: Task, runs: Runs) -> Callable[..., Any]:
    """Returns the function that a worker calls, with the parameters of the task's own, but for the
    context. They have no annotations: Django's arguments stay what JSON makes of them."""
    function: Any
    if inspect.iscoroutinefunction(task.func):

        async def function(ctx: Context, *args: Any, **kwargs: Any) -> Any:
            return runs.returned(ctx, await task.func(*runs.context(ctx), *args, **kwargs))

    else:

        def function(ctx: Context, *args: Any, **kwargs: Any) -> Any:
            return runs.returned(ctx, task.func(*runs.context(ctx), *args, **kwargs))

    own = [each.replace(annotation=each.empty) for each in _parameters(task)]
    kind = inspect.Parameter.POSITIONAL_ONLY
    first = inspect.Parameter("fluxqueue_context", kind, annotation=Context)
    signature = inspect.Signature([first, *own])
    function.__signature__ = signature
    function.__module__, function.__qualname__ = task.func.__module__, task.func.__qualname__
    function.__name__ = task.func.__name__
    function.__doc__ = task.func.__doc__
    return cast("Callable[..., Any]", function)


def is_wrapper(function: Callable[..., Any]) -> bool:
    """Whether `Definitions` has made this function of a task."""
    return function.__code__.co_filename == __file__


def _parameters(task: Task) -> list[inspect.Parameter]:
    """The parameters that callers pass."""
    found = list(signature_of(task.func).parameters.values())
    return found[1:] if task.takes_context else found
