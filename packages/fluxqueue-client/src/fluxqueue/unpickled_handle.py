"""Handles that come from a pickle, which has no password: they use the Redis of this process.

Why: docs/decisions/0172-a-pickled-handle-finds-its-redis.md
"""

from __future__ import annotations

from typing import Any

from .broker import NOT_GIVEN, Broker, all_brokers
from .errors import ConfigurationError
from .return_value import ReturnValue

# By namespace, for processes without a `FluxQueue` object.
_defaults: dict[str, Broker] = {}


def unpickled(
    kind: Any,
    task_id: str,
    queue: str,
    returned: ReturnValue | None,
    keeps: bool | None,
    address: str,
    namespace: str,
) -> Any:
    """Returns the handle. Pickles name this function: keep its module, its name and its arguments.

    Args:
        kind: the class of the handle.
        address: the URL of its Redis, without user, password and parameters.

    Raises:
        ConfigurationError: it is not clear which Redis has the task.
    """
    return kind(task_id, queue, _broker(address, namespace), returned, keeps)


def _broker(address: str, namespace: str) -> Broker:
    own = [broker for broker in all_brokers() if broker.settings.namespace == namespace]
    for broker in own:
        if broker.settings.display_url == address:
            return broker
    # Its host may have another name here.
    if len({broker.settings.url for broker in own}) == 1:
        return own[0]
    if not own:
        default = _defaults.get(namespace) or Broker(NOT_GIVEN, namespace=namespace)
        if default.settings.display_url == address:
            return _defaults.setdefault(namespace, default)
    where = f"{address}, namespace {namespace!r}" if namespace else address
    raise ConfigurationError(
        f"this process has no FluxQueue object for the Redis of the handle ({where}); create one "
        f"before you unpickle it, or set FLUXQUEUE_REDIS_URL"
    )
