"""The scheduler as a whole: its work on each server, its health, its signals."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable

from fluxqueue_control.connect import Node
from fluxqueue_core import Settings, __version__
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.service.log import get_logger
from fluxqueue_core.service.process import adopt_standard_logging

from .error_log import ErrorLog
from .health import SchedulerHealth
from .options import Options
from .queues import Queues, RegisteredQueues
from .shard import Reader, Shard
from .shards import Shards
from .telemetry import Telemetry, set_up

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Scheduler:
    """Any number of schedulers may run at once, in one process or in many.

    Attributes:
        health: for the health endpoint.
    """

    def __init__(
        self,
        settings: Settings,
        options: Options | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        options = options or Options()
        error_log = ErrorLog()
        tracing = None if telemetry is None else telemetry.tracing

        def shard(
            queues: Queues, node: Node | None = None, moved: Callable[[], None] | None = None
        ) -> Shard:
            return Shard(settings, options, queues, error_log, tracing, node, moved)

        self._work: Shard | Shards
        if settings.kind == "cluster":
            self._work = Shards(settings, shard, error_log)
        else:
            self._work = shard(RegisteredQueues(error_log))
        self._stop = threading.Event()
        if telemetry is not None:
            telemetry.watch(self.readers)
        self.health = SchedulerHealth(self._work, self._stop, options.lease)

    def readers(self) -> Iterable[Reader]:
        """Returns a connection to each server, to read numbers."""
        return [shard.reader for shard in self._work.current()]

    def start(self) -> None:
        """Starts the threads; returns at once, even if Redis is unreachable."""
        self._work.start()

    def stop(self) -> None:
        """Ends each loop after its current call, and closes the connections."""
        self._stop.set()
        self._work.stop()


def _catch_signals() -> int:
    """Returns a descriptor from which the number of each signal can be read.

    The kernel gives a signal to any thread that does not block it, including one that
    `opentelemetry-instrument` has started. So the signals have handlers instead.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    return reader


def run(settings: Settings, options: Options) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code 0.

    Raises:
        ConfigurationError: the health endpoint can't listen, a variable for telemetry is not
            valid, or the exporter has no endpoint.
    """
    if options.exporter and not options.health_port:
        raise ConfigurationError("--exporter needs an endpoint: give --health-port as well")
    signals = _catch_signals()
    log = get_logger()
    telemetry = set_up(settings, serves_metrics=options.health_port != 0)
    if telemetry is not None:
        telemetry.export_lines(log)
    # The SDK and redis-py write to `logging`.
    adopt_standard_logging()
    scheduler = Scheduler(settings, options, telemetry)
    server = None
    if options.health_port:
        # Imported only if the endpoint is wanted.
        from fluxqueue_core.service.health import HealthServer

        health = scheduler.health
        server = HealthServer(options.health_host, options.health_port, health.live, health.ready)
        server.metrics = telemetry.metrics if telemetry is not None else None
        if options.exporter:
            from .exporter_pages import add_pages

            add_pages(server, scheduler.readers, settings.namespace)
    scheduler.start()
    if server is not None:
        server.start()
    log.info(
        "scheduler.started",
        version=__version__,
        pid=os.getpid(),
        redis=settings.display_url,
        **({"namespace": settings.namespace} if settings.namespace else {}),
        lease=options.lease,
    )
    while (received := os.read(signals, 1)[0]) not in SIGNALS:
        pass  # a signal that the environment handles
    # A second one does not cut the end short, not even while the interpreter shuts down
    # and gives its handlers up.
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    scheduler.stop()
    if server is not None:
        server.close()
    log.info("scheduler.stopped", signal=signal.Signals(received).name)
    # Last, because the line above may be exported as well.
    if telemetry is not None:
        telemetry.flush()
    return 0
