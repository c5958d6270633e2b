"""Enqueues one call of a task of Django, with its record and its signal.

The record and the signal come first, so that a worker of another process that begins at once
finds the one, and so that no receiver hears of the start before it hears of the call. Only the
call of a unique task asks Redis before: there may be another task in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from django.utils import timezone

from fluxqueue.call_options import CallOptions
from fluxqueue.errors import BrokerError, BrokerUnavailable, EnqueueUncertain
from fluxqueue.handle import TaskHandle

from . import declared
from .framework import TaskResult, task_enqueued
from .records import WAITING_TTL
from .results import change, new_record
from .running import BACKEND
from .shared_client import SharedClient


class PreparedCall:
    """One call, ready to be sent.

    Args:
        sender: the class of the backend, for the signal.
        result: what the caller gets.
        keeps: whether there are records.

    Raises:
        TypeError, ConfigurationError: an option of the task is not valid.
    """

    def __init__(
        self, sender: type[Any], shared: SharedClient, result: TaskResult, keeps: bool
    ) -> None:
        self._sender, self._result, self._keeps = sender, result, keeps
        self._records = shared.records
        task = result.task
        definition = shared.definitions.of(task)
        options: CallOptions = shared.definitions.call_options(task, definition)
        self._is_unique = bool(options.get("unique", definition.terms.unique))
        of_code = declared.find(task.module_path)
        if result.backend != (of_code or task).backend:
            options["headers"] = {BACKEND: result.backend}
        if (at := task.run_after) is not None:
            options["eta"] = timezone.make_aware(at) if timezone.is_naive(at) else at
        if not self._is_unique:
            options["task_id"] = result.id
        self._view: Any = definition.options(**options)

    def send(self) -> None:
        """Enqueues the call.

        Raises:
            TypeError: the call does not fit the function.
            ArgumentTypeError, ArgumentValueError, MessageTooLarge: it can't be sent.
            BrokerError, BrokerUnavailable: nothing was enqueued.
            EnqueueUncertain: the connection broke after the task had been written.
        """
        result = self._result
        change(result, enqueued_at=timezone.now())
        if not self._is_unique:
            self._write()
            task_enqueued.send(self._sender, task_result=result)
        try:
            handle = self._view.enqueue(*result.args, **result.kwargs)
        except BaseException as error:
            self._take_back(error)
            raise
        if self._is_unique and self._adopt(handle):
            task_enqueued.send(self._sender, task_result=result)

    async def send_async(self) -> None:
        """As `send`, on the running event loop. Records are written in a thread."""
        result = self._result
        change(result, enqueued_at=timezone.now())
        if not self._is_unique:
            await self._off_loop(self._write)
            await task_enqueued.asend(self._sender, task_result=result)
        try:
            handle = await self._view.enqueue_async(*result.args, **result.kwargs)
        except BaseException as error:
            await self._off_loop(partial(self._take_back, error))
            raise
        if self._is_unique and await self._off_loop(partial(self._adopt, handle)):
            await task_enqueued.asend(self._sender, task_result=result)

    async def _off_loop(self, function: Callable[[], Any]) -> Any:
        if not self._keeps:  # nothing in it waits
            return function()
        from fluxqueue_control.aio.twins import in_thread

        return await in_thread(function)

    def _write(self, only_new: bool = False) -> None:
        if self._keeps:
            record = new_record(self._result)
            wait = max(0.0, (record.run_after or 0) - record.changed)
            self._records.write(self._result.id, record, wait + WAITING_TTL, only_new)

    def _take_back(self, error: BaseException) -> None:
        """Removes the record of a call that was not enqueued. One that stays expires."""
        if self._keeps and not isinstance(error, EnqueueUncertain):
            with suppress(BrokerError, BrokerUnavailable):
                self._records.forget(self._result.id)

    def _adopt(self, handle: TaskHandle[Any]) -> bool:
        """Gives the result the id of the task: that of this call, or the one in its place. Returns
        whether the call was enqueued."""
        change(self._result, id=handle.id)
        if handle.created:
            # A worker may have written it already.
            self._write(only_new=True)
        return handle.created
