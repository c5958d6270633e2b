"""A worker's parts in the test's own process, on a real Redis, with telemetry:
the consumer, threads and event loop that `Worker` would put together."""

from __future__ import annotations

from typing import Any, Self

from fluxqueue import FluxQueue
from fluxqueue_core import Consumer, Event, Settings
from fluxqueue_core.service.log import LEVELS, Fields, Logger
from fluxqueue_worker import options, telemetry
from fluxqueue_worker.eventloop import EventLoop
from fluxqueue_worker.events import TaskEvents
from fluxqueue_worker.outcomes import Outcomes
from fluxqueue_worker.registered_task import RegisteredTask
from fluxqueue_worker.threads import ThreadPool
from fluxqueue_worker.timeouts import Timeouts

from .waiting import wait_until


class TracedWorker:
    """Serves the queues of a client's tasks while it is entered.

    Attributes:
        consumer: the real one.
        lines: what the worker logged.
        events: the consumer's events, each with its queue.
    """

    def __init__(self, client: FluxQueue, url: str, *flags: str, **arguments: Any) -> None:
        queues = sorted({queue for queue, _ in client.tasks})
        self._options = options.parse(
            ["-t", "unused", "-r", url, "-q", ",".join(queues), *flags], "worker"
        )
        settings = Settings(url)
        self.lines: list[Fields] = []
        self.events: list[tuple[str, Event]] = []
        table: dict[str, dict[str, tuple[bool, RegisteredTask]]] = {queue: {} for queue in queues}
        for (queue, name), task in client.tasks.items():
            table[queue][name] = (task.is_async, RegisteredTask(task))
        self.consumer = Consumer(settings, queues, table, concurrency=4, **arguments)

        def keep(fields: Fields) -> bytes:
            self.lines.append(fields)
            return b""

        events = TaskEvents(Logger(LEVELS["info"], keep, lambda line: None))
        self.telemetry = telemetry.set_up(self._options, settings)
        assert self.telemetry.records_attempts
        middleware = self.telemetry.middleware
        self.outcomes = Outcomes(self.consumer, events, middleware)
        self.crashes: list[BaseException] = []
        self.pool = ThreadPool(self.consumer, self.outcomes, events, self.crashes.append)
        self.loop = EventLoop(self.consumer, self.outcomes, events, self.crashes.append)
        timeouts = Timeouts(
            self.consumer,
            events,
            self._options.timeout_grace,
            replaces_slots=True,
            noticed=lambda: None,
            crashed=self.crashes.append,
        )
        self.telemetry.watch(self.consumer, lambda: len(timeouts.stuck()))
        for tasks in table.values():
            for _, record in tasks.values():
                record.prepare(timeouts, middleware)

    def __enter__(self) -> Self:
        self.consumer.start()
        self.pool.start_thread()
        self.loop.start()
        return self

    def look(self) -> list[tuple[str, Event]]:
        """Handles the consumer's events as the main loop does; returns all so far."""
        for queue, event in self.consumer.events():
            self.events.append((queue, event))
            self.telemetry.happened(queue, event)
        return self.events

    def wait_for_event(self, kind: type[Event]) -> None:
        """Waits until the consumer has reported an event of this kind."""
        wait_until(
            lambda: any(isinstance(event, kind) for _, event in self.look()),
            what=f"event {kind.__name__}",
        )

    def wait_for_lines(self, event: str, count: int = 1) -> None:
        wait_until(
            lambda: len([line for line in list(self.lines) if line["event"] == event]) >= count,
            what=lambda: f"{count} lines {event}: {self.lines}",
        )

    def __exit__(self, *exception: object) -> None:
        self.consumer.drain()
        wait_until(lambda: self.consumer.drained, what="the drain")
        self.consumer.stop()
        assert self.pool.join(10) and self.loop.stop(10)
        assert not self.crashes, self.crashes
