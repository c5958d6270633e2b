"""Closes the database connections of Django around each attempt, as around a request."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from fluxqueue.middleware import AsyncAttemptSteps, Attempt, AttemptSteps, Middleware


class CloseConnections(Middleware):
    """Closes connections that are broken, or older than CONN_MAX_AGE, before and after each
    attempt: `FluxQueue(middleware=[CloseConnections()])`.

    Those of a sync task are in its thread. Those of an async task are in the thread in which
    Django's async methods use the database.
    """

    def attempt(self, attempt: Attempt) -> AttemptSteps:
        """Closes them in the thread of the task."""
        close_old_connections()
        try:
            yield
        finally:
            close_old_connections()

    async def attempt_async(self, attempt: Attempt) -> AsyncAttemptSteps:
        """Closes them in the thread of `sync_to_async`."""
        close = sync_to_async(close_old_connections)
        await close()
        try:
            yield
        finally:
            await close()
