"""Outcomes that a test stores and publishes, as the script of a worker does."""

from __future__ import annotations

from typing import Any

from fluxqueue_core import key

# In one call, as in the script: no caller can look between the two.
STORE = """
redis.call('SET', KEYS[1], ARGV[1], 'PX', 6000000)
return redis.call(ARGV[2], ARGV[3], #ARGV[1] <= 4096 and ARGV[1] or '')
"""


def outcome(value: str) -> bytes:
    """The outcome of a task that returned `value`, which is JSON."""
    return f'{{"state":"succeeded","value":{value},"attempts":1,"finished":7}}'.encode()


def channel(task_id: str, queue: str = "default", namespace: str = "") -> str:
    """The channel of a task."""
    return key("result", queue, task_id, namespace=namespace).replace(":result:", ":done:")


def store(
    redis: Any,
    task_id: str,
    value: str,
    queue: str = "default",
    *,
    publish: str = "PUBLISH",
    namespace: str = "",
) -> None:
    """Ends a task."""
    name = key("result", queue, task_id, namespace=namespace)
    redis.eval(STORE, 1, name, outcome(value), publish, channel(task_id, queue, namespace))
