"""Waits for the results of tasks."""

from collections.abc import Sequence
from typing import final

from .settings import Settings

@final
class ResultListener:
    """Waits for the results of tasks, with one thread and one connection for each master.
    Both end 10 s after the last wait.

    Attributes:
        waits: how many tasks are waited for.
        problem: why results may not arrive now. None: Redis is connected.
        forked: whether a fork has made this process after the object. Its waits are the
            parent's: make another one.
    """

    def __new__(cls, settings: Settings) -> ResultListener: ...
    @property
    def waits(self) -> int: ...
    @property
    def problem(self) -> str | None: ...
    @property
    def forked(self) -> bool: ...
    def mailbox(self, has_fd: bool = False) -> Mailbox:
        """Makes a mailbox. `has_fd`: an event loop polls it."""

@final
class Mailbox:
    """Where the results for one thread or event loop arrive. Its waits end with it.

    Attributes:
        fd: readable while results are here; None without `has_fd`.
        problem: that of its listener.
    """

    @property
    def fd(self) -> int | None: ...
    @property
    def problem(self) -> str | None: ...
    def watch(
        self,
        namespace: str,
        queue: str,
        task_ids: Sequence[str],
        first: int,
        until: str = "outcome",
    ) -> None:
        """Begins to wait for tasks. The first one's token is `first`, the next ones follow.
        `until` is 'outcome'; 'look': one look is enough, and finds an outcome, a report of
        progress or b''; 'reported': reports of progress arrive until the outcome does.

        Raises:
            ConfigurationError: the name of the queue or of the namespace is not valid.
            ValueError: an id is not a UUID in lower case, or `until` is something else.
            BrokerUnavailable: no thread could be started.
        """

    def collect(self) -> list[tuple[int, bytes | None, Exception | None]]:
        """Takes what has arrived: token, result as JSON, error. The wait has ended,
        unless the result is a report of progress and the wait is for reports."""

    def wait(self, timeout: float) -> bool:
        """Blocks up to `timeout` seconds, without the GIL, until a result is here."""

    def forget(self, token: int) -> None:
        """Ends a wait."""
