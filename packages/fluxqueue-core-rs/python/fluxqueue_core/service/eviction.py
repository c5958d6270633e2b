"""The line that warns of a Redis that may delete tasks, because it evicts keys.

Why: docs/decisions/0073-an-evicting-redis-is-a-warning.md
"""

from __future__ import annotations

from .log import Logger

_LOSES_TASKS = (
    "when Redis reaches maxmemory, it deletes waiting and running tasks without an error: "
    "set maxmemory-policy to noeviction"
)
_KEEPS_TASKS = (
    "when Redis reaches maxmemory, it deletes keys with a time to live; tasks have none. "
    "maxmemory-policy noeviction deletes no key"
)


def warn(logger: Logger, policy: str, maxmemory: int, node: str | None = None) -> None:
    """Writes a line if the server can evict keys.

    Args:
        policy: its `maxmemory-policy`.
        maxmemory: in bytes; 0 means that it has no limit, so it never evicts.
        node: its `host:port`, if it is one of several.
    """
    if maxmemory == 0 or policy == "noeviction":
        return
    loses_tasks = not policy.startswith("volatile-")
    write = logger.warning if loses_tasks else logger.info
    write(
        "redis.evicts",
        **({} if node is None else {"node": node}),
        maxmemory_policy=policy,
        maxmemory=maxmemory,
        error=_LOSES_TASKS if loses_tasks else _KEEPS_TASKS,
    )
