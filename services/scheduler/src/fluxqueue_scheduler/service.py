"""The scheduler as a whole: three loops, each with a thread and a connection."""

from __future__ import annotations

import os
import signal
import threading

from fluxqueue_core import Settings, __version__
from fluxqueue_core.service.health_settings import DEFAULT_HOST
from fluxqueue_core.service.log import adopt_standard_logging, get_logger

from .health import SchedulerHealth
from .housekeeping import Housekeeper
from .loop import Loop
from .options import Options
from .outages import Complaints, Outages
from .promote import Promoter
from .queues import Queues
from .redis_client import RedisClient
from .sweep import Sweeper
from .telemetry import Telemetry, set_up

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Scheduler:
    """Any number may run at once, in one process or in many.

    Attributes:
        health: what it says of itself.
    """

    def __init__(
        self,
        settings: Settings,
        options: Options | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        options = options or Options()
        complaints = Complaints()
        outages = Outages()
        queues = Queues(complaints)
        self._stop = threading.Event()
        # Three connections: a slow search must not delay a sweep, nor a rescue
        # a retry. An answer slower than the gap is as good as none.
        self._clients = [RedisClient(settings, options.gap) for _ in range(3)]
        promoting, rescuing, keeping = self._clients
        tracing = None
        if telemetry is not None:
            tracing = telemetry.tracing
            # Read by those who export, each in a thread of its own.
            self._clients.append(telemetry.watch(settings, queues))
        steps = {
            "promote": Promoter(promoting, queues, complaints, tracing).step,
            "rescue": Sweeper(rescuing, queues, options, complaints, tracing).step,
            "housekeeping": Housekeeper(keeping, queues, options, complaints).step,
        }
        self._loops = [
            Loop(name, step, self._stop, outages, complaints) for name, step in steps.items()
        ]
        self.health = SchedulerHealth(self._loops, queues, self._stop, options.lease)

    def start(self) -> None:
        """Starts the threads; returns at once, also when Redis is away."""
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """Lets each loop finish the call it is in, and closes the connections."""
        self._stop.set()
        for loop in self._loops:
            loop.join()
        for client in self._clients:
            client.close()


def run(
    settings: Settings, options: Options, health_host: str = DEFAULT_HOST, health_port: int = 0
) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code 0.

    Raises:
        ConfigurationError: the health endpoint can't listen, or a variable of
            telemetry is not valid.
    """
    # Blocked before the threads start, so that all inherit it and the signal
    # waits for `sigwait`, whenever it comes.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    log = get_logger()
    telemetry = set_up(settings, serves_metrics=health_port != 0)
    if telemetry is not None:
        telemetry.export_lines(log)
    # The SDK and redis-py say by `logging` what they have to say.
    adopt_standard_logging()
    scheduler = Scheduler(settings, options, telemetry)
    server = None
    if health_port:
        # Imported only where it is wanted.
        from fluxqueue_core.service.health import HealthServer

        health = scheduler.health
        server = HealthServer(health_host, health_port, health.live, health.ready)
        server.metrics = telemetry.metrics if telemetry is not None else None
    scheduler.start()
    if server is not None:
        server.start()
    log.info(
        "scheduler.started",
        version=__version__,
        pid=os.getpid(),
        redis=settings.display_url,
        lease=options.lease,
    )
    received = signal.sigwait(SIGNALS)
    scheduler.stop()
    if server is not None:
        server.close()
    log.info("scheduler.stopped", signal=signal.Signals(received).name)
    # Last, for that line may be exported as well.
    if telemetry is not None and not telemetry.flush():
        log.warning("telemetry.not_flushed", error="the collector does not answer")
    return 0
