"""The record of a task in Redis: all of its `TaskResult` that the kept outcome does not have.

A record is written when the task is enqueued, when an attempt begins, and when one ends. How the
task has ended is in the outcome that the worker keeps; the record only says it sooner.

Why: docs/decisions/0231-a-record-beside-the-outcome-of-a-task.md
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from fluxqueue_core import Settings, json_codec, key

from fluxqueue.errors import BrokerError, BrokerUnavailable

if TYPE_CHECKING:
    from fluxqueue_control.queues import Lengths
    from fluxqueue_control.servers import Servers

    from fluxqueue.client import FluxQueue

T = TypeVar("T")

# Seconds that a record is kept for a task that waits or runs, from its last change or from
# the moment at which it is due.
WAITING_TTL = 30 * 86_400
# A reader raises these if another program has written the key.
_GARBAGE = (ValueError, TypeError, KeyError)


@dataclass(slots=True)
class ResultRecord:
    """A record. Times are in seconds since 1970.

    Attributes:
        path: the module and the name of the function.
        status: READY or RUNNING; FAILED or SUCCESSFUL just before the task ends so.
        changed: when it was written.
        errors: of each failed attempt, the path of the exception's class and the traceback.
        workers: of each attempt, the worker.
    """

    path: str
    queue: str
    backend: str
    args: list[Any]
    kwargs: dict[str, Any]
    priority: int = 0
    takes_context: bool = False
    run_after: float | None = None
    status: str = "READY"
    enqueued: float | None = None
    started: float | None = None
    attempted: float | None = None
    changed: float = 0.0
    errors: list[tuple[str, str]] = field(default_factory=list)
    workers: list[str] = field(default_factory=list)

    def encode(self) -> bytes:
        """Returns the record as JSON."""
        return json_codec.dumps({each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def decode(cls, raw: bytes) -> ResultRecord | None:
        """Reads a record; None if it is not one."""
        known = {each.name for each in fields(cls)}
        try:
            read = json_codec.loads(raw)
            record = cls(**{name: value for name, value in read.items() if name in known})
        except (*_GARBAGE, AttributeError):
            return None
        record.errors = [(path, trace) for path, trace in record.errors]
        return record


class Records:
    """The records of one Redis. Any thread and any forked process may use it.

    Args:
        client: says which Redis; a worker may move it.
    """

    def __init__(self, client: FluxQueue) -> None:
        self._client = client
        self._servers: Servers | None = None
        self._made_for: Settings | None = None
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        # Another thread of the parent may have held it.
        self._lock = threading.Lock()
        self._servers = None

    @property
    def servers(self) -> Servers:
        """Finds the server of a key."""
        from fluxqueue_control.servers import Servers

        settings = self._client.settings
        with self._lock:
            if self._servers is None or self._made_for is not settings:
                self._servers = Servers(settings, settings.timeout, "fluxqueue-django")
                self._made_for = settings
            return self._servers

    def key(self, task_id: str) -> str:
        """The key of a record."""
        return key("django", "", task_id, self._client.settings.namespace)

    def write(self, task_id: str, record: ResultRecord, ttl: float, only_new: bool = False) -> None:
        """Writes a record for `ttl` seconds.

        Args:
            only_new: whether a record that is there stays.

        Raises:
            BrokerError, BrokerUnavailable: Redis refused, or was not reachable in time.
        """
        more = ("NX",) if only_new else ()
        ms = max(1, int(ttl * 1000))
        self._command(task_id, "SET", self.key(task_id), record.encode(), "PX", ms, *more)

    def read(self, task_id: str) -> ResultRecord | None:
        """Reads a record; None if there is none. Raises as `write`."""
        raw = self._command(task_id, "GET", self.key(task_id))
        return None if raw is None else ResultRecord.decode(raw)

    def forget(self, task_id: str) -> None:
        """Removes a record. Raises as `write`."""
        self._command(task_id, "DEL", self.key(task_id))

    def outcome(self, queue: str, task_id: str) -> bytes:
        """Returns the outcome that is kept of a task, or b''. Raises as `write`."""
        from fluxqueue.progress import is_report

        kept = key("result", queue, task_id, self._client.settings.namespace)
        raw: bytes = self._asked(lambda: self.servers.of_queue(queue).command("GET", kept)) or b""
        return b"" if is_report(raw) else raw

    def find(self, queue: str, task_id: str) -> str | None:
        """Looks for a task in all keys of its queue; returns its state there, such as `claimed`,
        or None. Raises as `write`."""
        from fluxqueue_control.tasks import find

        found = self._asked(lambda: find(self.servers.of_queue(queue), queue, task_id))
        return None if found.task is None else found.task.state

    def lengths(self, queues: Sequence[str]) -> dict[str, Lengths]:
        """Returns the lengths of queues, and of all others that a worker has served. Raises as
        `write`."""
        from fluxqueue_control.queues import read_lengths
        from fluxqueue_control.registry import read_names

        def ask() -> dict[str, Lengths]:
            known = {*queues, *read_names(self.servers.of_registry()).names}
            found: dict[str, Lengths] = {}
            for client, names in self.servers.of_queues(sorted(known)):
                found |= read_lengths(client, names)
            return found

        return self._asked(ask)

    def close(self) -> None:
        """Closes the connections; a later call connects again."""
        with self._lock:
            servers, self._servers = self._servers, None
        if servers is not None:
            servers.close()

    def _command(self, task_id: str, *words: str | bytes | float) -> Any:
        return self._asked(lambda: self.servers.of_key(self.key(task_id)).command(*words))

    def _asked(self, ask: Callable[[], T]) -> T:
        """Asks Redis, and once more if it is not reachable: it may have closed an idle
        connection. To ask twice does no harm here."""
        from fluxqueue_control.errors import UNAVAILABLE, described
        from redis import RedisError

        try:
            try:
                return ask()
            except UNAVAILABLE:
                return ask()
        except UNAVAILABLE as error:
            raise BrokerUnavailable(
                f"the record of a task can't be read or written: {described(error)}"
            ) from error
        except RedisError as error:
            raise BrokerError(
                f"the record of a task can't be read or written: {described(error)}"
            ) from error
