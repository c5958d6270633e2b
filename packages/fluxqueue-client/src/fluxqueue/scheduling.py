"""Declares periodic tasks, and adds, changes and removes them at run time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

from fluxqueue_core import check_queue_name

from . import blocking
from .errors import ConfigurationError
from .task import AsyncTask, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from .broker import Broker
    from .periodic import PeriodicOptions, PeriodicTask
    from .task_call import TaskCall

ScheduleVerdict: TypeAlias = Literal["added", "changed", "unchanged"]
AnyTaskType = TypeVar("AnyTaskType", bound="Task[..., Any] | AsyncTask[..., Any]")


class Scheduling:
    """The periodic tasks of one `FluxQueue` object."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._declared: dict[tuple[str, str], PeriodicTask] = {}

    def decorator(
        self,
        cron: str | None,
        periodic: str | None,
        args: Any,
        kwargs: Any,
        call_options: Mapping[str, Any] | None,
        options: PeriodicOptions,
    ) -> Callable[[AnyTaskType], AnyTaskType]:
        """Returns the decorator of `FluxQueue.periodic`."""
        if callable(cron):
            raise TypeError('write @fluxqueue.periodic("*/5 * * * *") with a cron expression')

        def declare(task: AnyTaskType) -> AnyTaskType:
            from .periodic import call_of, read

            if not isinstance(task, Task | AsyncTask):
                raise TypeError(
                    "@fluxqueue.periodic(...) decorates a task; write it above @fluxqueue.task()"
                )
            call = call_of(task, args, kwargs, call_options)
            declared = read(task.task_name if periodic is None else periodic, call, cron, options)
            declared.scheduled(declared=True)  # raises what its runs would raise
            if any(other.id == declared.id for other in task.periodic):
                raise ConfigurationError(
                    f"task {task.task_name!r} has two periodic tasks with the id {declared.id!r}; "
                    f"give one of them another id=..., and keep it when its times change"
                )
            self._note(declared)
            task.periodic = (*task.periodic, declared)
            return task

        return declare

    def _note(self, declared: PeriodicTask) -> None:
        key = (declared.queue, declared.id)
        earlier = self._declared.get(key)
        # A module that is loaded twice declares a task again.
        if earlier is not None and earlier.call.task.task_name != declared.call.task.task_name:
            raise ConfigurationError(
                f"queue {declared.queue!r} has a periodic task {declared.id!r} already, of the task"
                f" {earlier.call.task.task_name!r}; give one of them another id=..."
            )
        self._declared[key] = declared

    def schedule(
        self, periodic: str, call: TaskCall[Any], cron: str | None, options: PeriodicOptions
    ) -> ScheduleVerdict:
        """See `FluxQueue.schedule`."""
        from .periodic import read
        from .task_call import TaskCall

        if not isinstance(call, TaskCall):
            raise TypeError(
                f"schedule() takes a call, not {type(call).__name__}; write task.call(...)"
            )
        made = read(periodic, call, cron, options)
        if call.task.broker is not self._broker:
            raise ConfigurationError(
                f"{call.task!r} belongs to another FluxQueue object; call its schedule()"
            )
        _warn_if_blocked(made.queue, "schedule_async")
        producer = self._broker.producer
        [word] = producer.schedule(made.queue, [b"set", *made.scheduled(declared=False)])
        if word == "declared":
            raise _declared_by_code(made.id, made.queue)
        return cast("ScheduleVerdict", word)

    def unschedule(self, periodic: str, queue: str) -> bool:
        """See `FluxQueue.unschedule`."""
        from .periodic import read_id

        name = read_id(periodic)
        check_queue_name(queue)
        _warn_if_blocked(queue, "unschedule_async")
        [word] = self._broker.producer.schedule(queue, [b"remove", name.encode()])
        if word == "declared":
            raise _declared_by_code(name, queue)
        return word == "removed"


def _warn_if_blocked(queue: str, method: str) -> None:
    if blocking.running_loop() is not None:
        blocking.warn_of_blocked_loop(f"queue {queue!r}", f"fluxqueue.{method}(...)")


def _declared_by_code(periodic: str, queue: str) -> ConfigurationError:
    return ConfigurationError(
        f"the code of a worker declares the periodic task {periodic!r} of queue {queue!r}; change "
        f"it there, or give this one another id"
    )
