"""The worker: puts its parts together, and runs the loop of its main thread."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING

from fluxqueue_core import Attempt, Consumer, Event, Settings, set_parent_death_signal
from fluxqueue_core.service.log import Logger

from . import log_context, running_tasks, suspects, telemetry
from .around_attempts import AroundAttempts
from .attempt_contexts import AttemptContexts
from .cancelling import TICK, Cancelling
from .declarations import start_declaring
from .events import ConsumerEvents, TaskEvents
from .eviction import EvictionCheck
from .failure_text import FailureText
from .health import HEARTBEAT, WorkerHealth, listen
from .identity import identity, start_fields
from .limits import INTERVAL as LIMIT_INTERVAL
from .limits import Limits, max_tasks
from .options import Options
from .outcomes import Outcomes
from .registered_task import Tasks, for_consumer
from .shutdown import Signals, Wakeup
from .supervised import SupervisorLink
from .task_loader import largest_message
from .threads import ThreadPool
from .timeouts import Timeouts

if TYPE_CHECKING:
    from .eventloop import EventLoop
    from .lifespans import Lifespans

# Seconds between two looks at what has no descriptor: children, the drain.
CHILD_INTERVAL = 0.5
LANE_INTERVAL = 0.2
DRAIN_INTERVAL = 0.02
# Seconds that cancelled coroutines, and then Redis, have at the end of a drain.
CANCEL_PATIENCE = 1.0
RELEASE_PATIENCE = 2.0
# A lane that is killed loses its task, which may be dead then: it has more time.
LANE_PATIENCE = 6.0
JOIN_PATIENCE = 1.0


class Worker:
    """One worker process.

    Args:
        tasks: what `task_loader.load` found.
        link: to the supervisor, if there is one.
        requests: of the program whose process runs this worker, in place of signals.

    Raises:
        ConfigurationError: a setting is not valid, or the health endpoint
            can't listen.

    Attributes:
        drain_timeout: seconds that running tasks may continue.
        stuck: after `run`: whether a thread is still in a task's code.
        error: of the lifespan that has failed to begin.
    """

    def __init__(
        self,
        options: Options,
        settings: Settings,
        tasks: Tasks,
        logger: Logger,
        link: SupervisorLink | None = None,
        requests: Wakeup | None = None,
    ) -> None:
        self.stuck = False
        self.error: BaseException | None = None
        self.drain_timeout = options.drain_timeout
        self._errors: dict[str, str] = {}
        # The modules of the tasks are loaded, and no thread has started yet.
        contexts = AttemptContexts()
        self._options = options
        self._settings = settings
        self._tasks = tasks
        self._logger = logger
        self._is_lane = options.parent is not None
        self._failed = self._consumer_ended = False
        self._draining = threading.Event()
        self._signals = Signals() if requests is None else requests
        wake = self._signals.wake
        self._ends: deque[int] = deque()
        # A lane gets a SIGTERM for every thread of a parent that is killed, so a lane
        # does not count it as a second signal.
        self._cutting = {signal.SIGINT} if self._is_lane else {signal.SIGINT, signal.SIGTERM}
        self._link = link
        if link is not None:
            self._cutting = set()
        self._consumer = consumer = Consumer(
            settings,
            options.queues,
            {queue: for_consumer(table) for queue, table in tasks.declared.items()},
            anywhere=for_consumer(tasks.anywhere),
            concurrency=options.concurrency,
            suspects=self._is_lane,
            save_dead=options.save_dead_tasks,
            lease=options.lease,
            unknown_task_grace=options.unknown_task_grace,
            max_tasks=max_tasks(options),
            max_message_bytes=largest_message(tasks, settings.max_message_bytes),
            who=identity(options, self._is_lane),
            caps=[(task, cap) for task in tasks if (cap := task.terms.max_per_worker)],
        )
        self._consumer_events = ConsumerEvents(logger, len(options.queues))
        self._eviction = EvictionCheck(settings, options.queues, logger)
        self._lanes = suspects.Lanes(options, logger)
        events = TaskEvents(logger)
        self._telemetry = telemetry.set_up(options, settings)
        self._telemetry.export_lines(logger)
        middleware = self._telemetry.middleware
        self._outcomes = Outcomes(consumer, events, middleware)
        self._health = WorkerHealth(consumer, options.lease)
        self._timeouts = Timeouts(
            consumer,
            events,
            options.timeout_grace,
            # A suspect runs alone.
            replaces_slots=not self._is_lane,
            noticed=wake,
            crashed=self._crashed,
        )
        self._cancelling = Cancelling(
            self._outcomes.cancelling, events, options.timeout_grace, self._timeouts.give_slot_away
        )
        self._telemetry.watch(consumer, lambda: len(self._timeouts.stuck()))
        kinds = {task.is_async for task in tasks}
        self._pool: ThreadPool | None = None
        self._loop: EventLoop | None = None
        if False in kinds:
            self._pool = ThreadPool(consumer, self._outcomes, events, self._crashed, wake, contexts)
            self._timeouts.pool = self._pool
            self._cancelling.runners.append(self._pool)
        if True in kinds or any(lifespan.is_async for lifespan in tasks.lifespans):
            # Imported here: a worker without async tasks needs no asyncio.
            from .eventloop import EventLoop

            self._loop = EventLoop(consumer, self._outcomes, events, self._crashed, contexts)
            self._timeouts.loop = self._loop
            self._cancelling.runners.append(self._loop)
        around = AroundAttempts(self._outcomes, self._loop)
        self._lifespans: Lifespans | None = None
        if tasks.shared is not None:
            from .lifespans import Lifespans  # most workers share nothing

            self._lifespans = Lifespans(tasks.lifespans, tasks.shared, self._loop, logger, wake)
        for task in tasks:
            task.prepare(self._timeouts, around.inside(middleware, task))
        install = log_context.install if requests is None else log_context.enrich
        install(logger, self._current_attempt, self._telemetry.records_attempts)
        self._limits = Limits(options, consumer, self._timeouts)
        self._health_server = listen(options, self._health, self._telemetry.metrics)

    def _current_attempt(self) -> Attempt | None:
        """The attempt that the calling thread runs; for log lines."""
        if self._pool is not None and (attempt := self._pool.current_attempt()) is not None:
            return attempt
        return self._loop.current_attempt() if self._loop is not None else None

    def run(self) -> int:
        """Serves until a signal arrives, drains, and returns the exit code."""
        with self._signals:
            self._poll = select.poll()
            self._poll.register(self._signals.fd, select.POLLIN)
            self._poll.register(self._consumer.event_fd, select.POLLIN)
            if self._link is not None:
                self._poll.register(self._link, select.POLLIN)
            try:
                if self._begin():
                    self._start()
                    reason = self._serve()
                    self._drain(reason)
            except BaseException:
                self._consumer.stop()
                self._timeouts.stop()
                raise
            self._stop()
        return 1 if self._failed or self._consumer_ended else 0

    def disconnected(self) -> dict[str, str]:
        """The queues that Redis does not serve at present, each with the last error or ''."""
        return {queue: self._errors.get(queue, "") for queue in self._consumer.disconnected}

    def _begin(self) -> bool:
        """Lets the lifespans begin. Returns False if the worker must end before it serves."""
        if self._loop is not None:
            self._loop.start()
        if (lifespans := self._lifespans) is None:
            return True
        lifespans.begin()
        while not (lifespans.begun or self._failed or self._ends):
            self._wait(None)
        self.error = lifespans.error
        self._failed |= self.error is not None
        return lifespans.begun and not self._failed

    def _start(self) -> None:
        fields = start_fields(self._options, self._settings, self._tasks)
        self._logger.info("worker.started", **fields)
        if self._is_lane:
            set_parent_death_signal(signal.SIGTERM)
        self._consumer.start()
        if self._pool is not None:
            self._pool.start_thread()
        if not self._is_lane:
            start_declaring(self._tasks, self._logger, self._draining)
        if self._health_server is not None:
            self._health_server.start()
        if self._link is not None:
            self._link.up()

    def _serve(self) -> str:
        """The main thread's loop. Returns why it ended."""
        if self._is_lane and os.getppid() != self._options.parent:
            return "parent ended"  # before the kernel watched it
        while True:
            timeout = HEARTBEAT if self._health_server is not None else None
            if self._limits.any:
                timeout = LIMIT_INTERVAL
            if self._lanes:
                timeout = CHILD_INTERVAL
            if self._is_lane:
                timeout = LANE_INTERVAL
            if self._pool is not None and (left := self._pool.retry_in()) is not None:
                timeout = left if timeout is None else min(timeout, left)
            if self._cancelling.busy:
                timeout = TICK if timeout is None else min(timeout, TICK)
            self._wait(timeout)
            if self._ends:
                return self._signals.reason(self._ends.popleft())
            if self._failed or self._consumer_ended:
                return "failure"
            if (limit := self._limits.reached()) is not None:
                return limit
            if self._link is not None and self._link.ended:
                return "supervisor ended"
            if self._is_lane:
                if suspects.is_idle(self._consumer):
                    return "no suspects"
                # On Linux the kernel sends a SIGTERM instead.
                if sys.platform != "linux" and os.getppid() != self._options.parent:
                    return "parent ended"
            self._lanes.reap()
            if self._pool is not None:
                self._pool.retry()

    def _wait(self, timeout: float | None) -> None:
        """Waits for a signal or an event of the consumer and handles the events. The
        signals that ask for the end go to `_ends`."""
        self._poll.poll(None if timeout is None else ceil(timeout * 1000))
        self._health.turn()
        for queue, event in self._consumer.events():
            self._consumer_events.write(queue, event)
            self._telemetry.happened(queue, event)
            if isinstance(event, Event.Suspects) and not self._is_lane:
                self._lanes.ensure(queue)
            elif isinstance(event, Event.Connected) and not self._is_lane:
                self._eviction.connected()
            elif isinstance(event, Event.Disconnected):
                self._errors[queue] = event.error
            elif isinstance(event, Event.CancelRequested):
                self._cancelling.request(queue, event.task_id)
            elif isinstance(event, Event.Failed):
                self._consumer_ended = True
        self._cancelling.turn()
        if self._link is not None and not self._link.ended and self._link.read():
            self._poll.unregister(self._link)
        for number in self._signals.take():
            if number == signal.SIGQUIT:
                running_tasks.report(self._logger, self.running(), self._loop)
            else:
                self._ends.append(number)

    def _crashed(self, error: BaseException) -> None:
        """A thread of the worker failed, not a task: the worker drains and exits with 1."""
        self._failed = True
        self._signals.wake()
        failure = FailureText.of(error)
        self._logger.error("worker.failed", error=failure.line, exception=failure.traceback)

    def running(self) -> list[tuple[Attempt, float]]:
        """The attempts that run now, each with the `perf_counter()` of its beginning."""
        return [
            *(self._pool.running() if self._pool is not None else ()),
            *(self._loop.running() if self._loop is not None else ()),
        ]

    def _drain(self, reason: str) -> None:
        """Lets running tasks end, up to the deadline or a second signal; then gives
        back those that still run. Rule 10: tasks that have not begun return to their
        queue at once, and running tasks keep their lease to the end."""
        timeout = self.drain_timeout
        # No task begins after this line of the log.
        self._consumer.drain()
        self._logger.info(
            "worker.draining", reason=reason, running=self._consumer.running, timeout=timeout
        )
        self._health.draining()
        self._draining.set()
        self._lanes.close()
        if self._consumer_ended:
            # Without the consumer nothing can be settled; the tasks are rescued.
            self._wait_until(self._lanes_have_ended, LANE_PATIENCE)
            self._lanes.kill()
            return
        ended = self._wait_until(self._only_stuck_are_left, timeout, signals_cut=True)
        # Stuck attempts are past their timeout, so they have failed. Otherwise a task
        # that hangs would move from worker to worker forever.
        for stuck in self._timeouts.stuck():
            self._outcomes.gave_up(stuck.attempt, stuck.error(), stuck.started)
        if ended and self._wait_until(self._is_drained, RELEASE_PATIENCE):
            return
        self._outcomes.releasing = True
        self._lanes.cut_short()
        if (loop := self._loop) is not None:
            loop.cancel_all()
            self._wait_until(lambda: not loop.running(), CANCEL_PATIENCE)
        running = self.running()
        self._consumer.release_running([attempt for attempt, _ in running])
        for attempt, started in running:
            self._outcomes.released(attempt, started)
        patience = LANE_PATIENCE if self._lanes else RELEASE_PATIENCE
        if not self._wait_until(self._is_drained, patience):
            # Those tasks return to the queue when the lease ends.
            self._logger.warning("worker.not_drained", running=self._consumer.running)
        self._lanes.kill()

    def _is_drained(self) -> bool:
        return self._lanes_have_ended() and self._consumer.drained

    def _only_stuck_are_left(self) -> bool:
        if self._is_drained():
            return True
        stuck = {id(stuck.attempt) for stuck in self._timeouts.stuck()}
        return (
            bool(stuck)
            and self._lanes_have_ended()
            and all(id(attempt) in stuck for attempt, _ in self.running())
        )

    def _lanes_have_ended(self) -> bool:
        self._lanes.reap()
        return not self._lanes

    def _wait_until(
        self, condition: Callable[[], bool], timeout: float, signals_cut: bool = False
    ) -> bool:
        """Serves events until the condition holds. Returns False after `timeout`
        seconds, or if a second signal cuts the drain short. Nothing cuts the giving
        back short: it takes a few seconds at most, and tasks that are not given back
        count as lost with their worker."""
        deadline = monotonic() + timeout
        while not condition():
            while self._ends:
                if self._ends.popleft() in self._cutting and signals_cut:
                    return False
            if signals_cut and self._link is not None and self._link.cut:
                return False
            left = deadline - monotonic()
            if left <= 0:
                return False
            self._wait(min(left, DRAIN_INTERVAL))
        return True

    def _stop(self) -> None:
        if self._options.embedded and self.running():
            self._timeouts.expire(JOIN_PATIENCE)
        self._timeouts.stop()
        self._consumer.stop()
        for queue, event in self._consumer.events():
            self._consumer_events.write(queue, event)
        # The tasks that still run have been given back, and may run forever.
        patience = 0.0 if self.running() else JOIN_PATIENCE
        ended = [
            self._timeouts.join(JOIN_PATIENCE),
            self._pool is None or self._pool.join(patience),
            self._lifespans is None or self._lifespans.end(),
            self._loop is None or self._loop.stop(JOIN_PATIENCE),
        ]
        self.stuck = not all(ended)
        if self._health_server is not None:
            self._health_server.close()
        self._logger.info("worker.stopped", stuck=self.stuck)
        # Last, because that line may be exported as well.
        self._telemetry.flush()
