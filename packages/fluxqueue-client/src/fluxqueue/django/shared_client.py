"""The client of a backend: one for each process and setting.

Django makes a backend object for each thread and each asyncio task, so the connections are
outside of it. Why: docs/decisions/0230-the-client-of-a-backend-is-outside-of-it.md
"""

from __future__ import annotations

import threading
from typing import Any

from fluxqueue.client import FluxQueue

from .configuration import Configuration
from .connections import CloseConnections
from .definitions import Definitions
from .records import Records

_clients: dict[str, SharedClient] = {}
_lock = threading.Lock()


class SharedClient:
    """A client, with what it knows of the tasks of Django. Any thread, event loop and forked
    process may use it.

    Attributes:
        client: for the calls.
        records: for the results.
        definitions: the tasks of FluxQueue that stand for those of Django.
    """

    def __init__(self, configuration: Configuration) -> None:
        keywords: dict[str, Any] = {**configuration.client, "namespace": configuration.namespace}
        self.client = FluxQueue(
            configuration.redis_url, middleware=[CloseConnections()], **keywords
        )
        self.records = Records(self.client)
        self.definitions = Definitions(self.client, self.records, configuration)


def shared_client(configuration: Configuration) -> SharedClient:
    """Returns the one of this process for these settings."""
    key = configuration.key
    with _lock:
        found = _clients.get(key)
        if found is None:
            found = _clients[key] = SharedClient(configuration)
        return found
