"""Begins the application's lifespans before the first attempt, and ends all shared values after
the drain.

Their sync code runs in one thread, so that the worker's main thread can obey signals meanwhile.

Why: docs/decisions/0222-shared-values-end-with-the-worker.md
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from fluxqueue.dependency_forms import Provider
from fluxqueue_core.service.log import Logger

from .error_text import own_frame
from .failure_text import FailureText
from .shared_values import Failures, SharedValues

# Seconds that the values have to end.
PATIENCE = 5.0


class AsyncRunner(Protocol):
    """Runs coroutines; the worker's is `EventLoop`."""

    def submit(self, coroutine: Coroutine[Any, Any, Any], /) -> Future[Any]: ...


class Lifespans:
    """The lifespans of one worker.

    Args:
        providers: in the order in which they begin.
        loop: runs the async ones; None if there are none and no task is async.
        noticed: the thread calls it when all have begun, or one has failed.

    Attributes:
        error: of the one that has failed to begin.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        shared: SharedValues,
        loop: AsyncRunner | None,
        logger: Logger,
        noticed: Callable[[], None],
    ) -> None:
        self.error: BaseException | None = None
        self._providers = providers
        self._shared = shared
        self._loop = loop
        self._logger = logger
        self._noticed = noticed
        self._begun = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fluxqueue-lifespan", daemon=True)

    def begin(self) -> None:
        """Lets the lifespans begin; returns at once."""
        if self._providers:
            self._thread.start()
        else:
            self._begun.set()

    @property
    def begun(self) -> bool:
        """Whether all have begun, or one has failed."""
        return self._begun.is_set()

    def end(self) -> bool:
        """Ends all shared values, the last one first. Returns False if that takes longer than
        5 s: then the rest is left behind."""
        self._shared.stop()
        self._ending.set()
        if self._thread.ident is None:  # there are no lifespans
            self._thread.start()
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self._logger.error("lifespan.not_ended", timeout=PATIENCE)
        return not self._thread.is_alive()

    def _run(self) -> None:
        for provider in self._providers:
            # The worker may drain while a slow one begins.
            if self._ending.is_set() or not self._begins(provider):
                break
        self._begun.set()
        self._noticed()
        self._ending.wait()
        if self._loop is not None:
            self._end_async(self._loop)
        self._report(self._shared.end())

    def _end_async(self, loop: AsyncRunner) -> None:
        try:
            # A task that blocks the loop must not keep the sync values from their end.
            self._report(loop.submit(self._shared.end_async()).result(PATIENCE / 2))
        except BaseException as error:  # noqa: BLE001 - of the loop
            self._report([("the event loop", error)])

    @own_frame
    def _begins(self, provider: Provider) -> bool:
        try:
            if self._loop is not None and provider.is_async:
                begun = self._loop.submit(self._shared.get_async(provider))
                # Not by `result`, whose frames would begin the traceback.
                if (failure := begun.exception()) is not None:
                    raise failure
            else:
                self._shared.get(provider)
        except BaseException as error:  # noqa: BLE001 - the worker ends
            self.error = error
            self._log("lifespan.failed", provider.name, error)
            return False
        return True

    def _report(self, failures: Failures) -> None:
        for name, error in failures:
            self._log("lifespan.end_failed", name, error)

    def _log(self, event: str, name: str, error: BaseException) -> None:
        text, trace = FailureText.of(error)
        self._logger.error(event, function=name, error=text, exception=trace)
