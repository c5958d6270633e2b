"""`FluxTask`: a task of Django with the options of FluxQueue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, make_dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .configuration import TASK_OPTIONS
from .framework import Task

# Those that a call may change. The worker's code decides the others.
CALL_OPTIONS = ("expires", "max_retries", "on_conflict", "timeout", "unique")


def _using(
    self: Any,
    *,
    priority: int | None = None,
    queue_name: str | None = None,
    run_after: datetime | None = None,
    backend: str | None = None,
    **options: Any,
) -> Any:
    """Returns a task with other defaults: those of Django, and `expires`, `max_retries`,
    `on_conflict`, `timeout` or `unique` for its calls.

    Raises:
        TypeError: an option is unknown, or the code of the worker decides it.
        InvalidTask: the backend refuses a value.
    """
    for name in options:
        if name not in CALL_OPTIONS:
            raise TypeError(
                f"using() has no option {name!r}; it takes priority, queue_name, run_after, "
                f"backend, {', '.join(CALL_OPTIONS)}"
            )
    changed = Task.using(
        self, priority=priority, queue_name=queue_name, run_after=run_after, backend=backend
    )
    return replace(changed, **options) if options else changed


def options_of(task: Task) -> Mapping[str, Any]:
    """Returns the options that the code gives a task; none for a plain `Task`."""
    if not isinstance(task, FluxTask):
        return {}
    given = {name: getattr(task, name) for name in TASK_OPTIONS}
    return {name: value for name, value in given.items() if value is not None}


if TYPE_CHECKING:

    class FluxTask(Task):
        """See below."""
else:
    # Each option is a field: `@task(max_retries=5)` passes it by keyword.
    FluxTask = make_dataclass(
        "FluxTask",
        [(name, Any, field(default=None, repr=False)) for name in TASK_OPTIONS],
        bases=(Task,),
        namespace={
            "__doc__": "A task with options, such as `@task(max_retries=5, timeout=30)`: those of "
            "`fluxqueue.options.TaskOptions`, except for `priority` and `result_ttl`. None: not "
            "given.",
            "__module__": __name__,
            "using": _using,
        },
        frozen=True,
        slots=True,
        kw_only=True,
    )
