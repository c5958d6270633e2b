"""The periodic tasks of a test: each run begins when the test asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from fluxqueue.broker import Broker
from fluxqueue.errors import ConfigurationError
from fluxqueue.periodic import PeriodicTask
from fluxqueue.task import AnyTask
from fluxqueue_core import new_task_id

from .record import Place, TaskRecord
from .world import World

# A message begins with its version and the 36 characters of its id.
_ID = slice(13, 49)


class PeriodicRuns:
    """The periodic tasks that code declares, and those that calls of `schedule` have added."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._scheduled: dict[tuple[Place, str], tuple[Broker, bytes, bytes]] = {}

    def schedule(self, broker: Broker, place: Place, arguments: Sequence[bytes]) -> list[str]:
        """Does what `lua/schedule.lua` does for the calls `set` and `remove`."""
        operation, *values = arguments
        task = values[0].decode()
        if any(found.id == task and found.queue == place.queue for found in self._declared()):
            return ["declared"]
        if operation == b"remove":
            found = self._scheduled.pop((place, task), None)
            return ["absent" if found is None else "removed"]
        _, record, message = values
        before = self._scheduled.get((place, task))
        self._scheduled[place, task] = broker, record, message
        if before is None:
            return ["added"]
        return ["unchanged" if before == (broker, record, message) else "changed"]

    def enqueue(self, periodic: str) -> TaskRecord:
        """Enqueues a run of the periodic task with this id.

        Raises:
            ConfigurationError: there is none, or more than one.
        """
        runs = [
            (found.call.task.broker, found.queue, found.scheduled(declared=True).message)
            for found in self._declared()
            if found.id == periodic
        ]
        runs += [
            (broker, place.queue, message)
            for (place, task), (broker, _, message) in self._scheduled.items()
            if task == periodic
        ]
        if len(runs) != 1:
            known = sorted({found.id for found in self._declared()})
            known += sorted(task for _, task in self._scheduled)
            raise ConfigurationError(
                f"{len(runs)} periodic tasks have the id {periodic!r}; there are "
                f"{', '.join(known) or 'none'}"
            )
        broker, queue, message = runs[0]
        # As lua/tick.lua: each run has an id.
        message = message[: _ID.start] + new_task_id().encode() + message[_ID.stop :]
        return self._world.add_message(broker, queue, message, None)

    def _declared(self) -> list[PeriodicTask]:
        tasks = (cast("AnyTask", task) for each in self._world.brokers for task in each.tasks)
        return [periodic for task in tasks for periodic in task.periodic]
