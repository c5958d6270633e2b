"""The scheduler's settings."""

from __future__ import annotations

from dataclasses import dataclass

from fluxqueue_core.periodic import GRACE
from fluxqueue_core.service import common_settings as common
from fluxqueue_core.service.setting import Setting, seconds, setting, whole_number, yes_or_no

DAY = 86_400.0
# A message counts its deliveries in 32 bits; numbers in Lua are exact to 2 ** 53.
MOST_DELIVERIES = 2**32 - 1
MOST_DEAD = 2**53


def days(value: str) -> float:
    """Reads a number of days above 0; returns seconds.

    Raises:
        ValueError: it is another text.
    """
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < 1_000_000:
        raise ValueError(f"{value!r} is not a number of days above 0")
    return number * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The values from the command line and the environment, in the order of `--help`,
    and a few that only tests change. All durations are in seconds.

    Attributes:
        redis_url, namespace: None if not given: see `fluxqueue_core.Settings`.
        trim_interval: time between two trims of the dead sets.
        search_delay: time from the start to the first search of the whole database.
        search_interval: the longest time between two such searches.
        unserved_interval: time between two looks for queues without a worker.
        tombstone_age: how long the scheduler remembers the id of an ended consumer.
        periodic_grace: how long a periodic task stays that no worker declares any longer.
    """

    redis_url: str | None = setting(common.REDIS_URL)
    namespace: str | None = setting(common.NAMESPACE)
    lease: float = setting(
        Setting(
            flags=("--lease",),
            env="FLUXQUEUE_LEASE",
            default=10.0,
            parse=seconds(1),
            metavar="SECONDS",
            help="how long a worker may be silent before it counts as lost; the same value"
            " as the workers have",
        )
    )
    max_deliveries: int = setting(
        Setting(
            flags=("--max-deliveries",),
            env="FLUXQUEUE_MAX_DELIVERIES",
            default=3,
            parse=whole_number(1, MOST_DELIVERIES),
            metavar="N",
            help="a task that has lost N workers is dead; below 3 this includes a task that"
            " they held and had not begun",
        )
    )
    dead_max_count: int = setting(
        Setting(
            flags=("--dead-max-count",),
            env="FLUXQUEUE_DEAD_MAX_COUNT",
            default=100_000,
            parse=whole_number(0, MOST_DEAD),
            metavar="N",
            help="how many dead tasks a queue keeps",
        )
    )
    dead_max_age: float = setting(
        Setting(
            flags=("--dead-max-age",),
            env="FLUXQUEUE_DEAD_MAX_AGE",
            default=90 * DAY,
            parse=days,
            write=lambda seconds: str(seconds / DAY),
            metavar="DAYS",
            help="how many days to keep a dead task",
        )
    )
    log_format: str = setting(common.LOG_FORMAT)
    log_level: str = setting(common.LOG_LEVEL)
    health_port: int = setting(common.HEALTH_PORT)
    health_host: str = setting(common.HEALTH_HOST)
    exporter: bool = setting(
        Setting(
            flags=("--exporter",),
            env="FLUXQUEUE_EXPORTER",
            default=False,
            parse=yes_or_no,
            help="serve the numbers of all queues at /metrics, and the backlog of some at /backlog;"
            " workers count waits and run times while /metrics is read",
        )
    )
    trim_interval: float = 60.0
    search_delay: float = 10.0
    search_interval: float = 3_600.0
    unserved_interval: float = 10.0
    tombstone_age: float = 86_400.0
    periodic_grace: float = GRACE

    @property
    def gap(self) -> float:
        """The longest time between two sweeps that counts as continuous."""
        return self.lease / 4

    @property
    def sweep_interval(self) -> float:
        """The time between two sweeps: far below the gap, so that one slow sweep
        does no harm."""
        return min(0.5, self.gap / 5)
