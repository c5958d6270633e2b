"""Lets the worker open as many descriptors as its queues need.

A worker has two connections for each queue. With too few descriptors it would serve some
queues and starve the others, so it does not start.

Why: docs/decisions/0076-descriptors-are-counted-at-the-start.md
"""

from __future__ import annotations

import os
import resource

from fluxqueue_core.errors import ConfigurationError

PER_QUEUE = 2
# For what is opened now and then: a connection that replaces another, a health request, a child.
MARGIN = 32


def allow(queues: int, concurrency: int) -> None:
    """Raises the soft limit of open files if the connections do not fit below it. The tasks then
    still have as many descriptors as they had before.

    Raises:
        ConfigurationError: the hard limit is too low.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = PER_QUEUE * queues
    needed = len(os.listdir("/dev/fd")) + connections + MARGIN + concurrency
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    wanted = max(soft + connections, needed)
    if hard != resource.RLIM_INFINITY:
        if needed > hard:
            raise ConfigurationError(
                f"{queues} queues need {needed} file descriptors, {PER_QUEUE} for each, but the"
                f" limit is {hard}; raise it (ulimit -n, LimitNOFILE= of systemd, --ulimit nofile="
                " of a container), or let several workers serve some of the queues each"
            )
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
