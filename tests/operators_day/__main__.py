"""Measures the verbs of an operator on a queue with very many tasks."""

from __future__ import annotations

import argparse
import sys

from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_control.servers import Servers
from fluxqueue_core import Settings
from redis import Redis

from .bulk import changes
from .filling import QUEUE, Numbers, fill
from .measuring import measure, print_rows
from .pages import pages
from .replaying import replay
from .verbs import verbs

# Tasks per second of the replay.
RATE = 2_000
# Dead tasks that the measured changes take before the replay.
_CHANGED = 25_000


def main() -> int:
    """Runs the day; returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/operators-day", description=__doc__)
    parser.add_argument("--share", type=int, default=1, metavar="N", help="fill in 1/N of it")
    parser.add_argument("--repeats", type=int, default=20, metavar="N", help="of each verb")
    parser.add_argument("--only", default="", metavar="TEXT", help="verbs with this text")
    arguments = parser.parse_args()
    share = arguments.share
    numbers = Numbers(1_000_000 // share, 100_000 // share + _CHANGED, 200)
    # A rewrite of the file forks Redis, and would count as CPU time of a command.
    options = {"auto-aof-rewrite-percentage": "0"}
    with (
        EmbeddedRedis(appendfsync="no", options=options) as server,
        Redis.from_url(server.url) as redis,
    ):
        fill(redis, server.url, numbers)
        print(f"{numbers.waiting:,} wait, {numbers.dead:,} are dead, {numbers.workers} workers")
        servers = Servers(Settings(server.url))
        asked, dashboard = pages(server.url, numbers)
        measured = {**verbs(servers, numbers), **asked, **changes(servers.of_queue(QUEUE), numbers)}
        rows = [
            measure(redis, name, verb, arguments.repeats)
            for name, verb in measured.items()
            if arguments.only in name
        ]
        dashboard.close()
        servers.close()
        are_fast = print_rows(rows)
        is_exact = replay(redis, server.url, RATE)
    return 0 if are_fast and is_exact else 1


sys.exit(main())
