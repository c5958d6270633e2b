"""Middleware for Sentry: an error for each task that dies, and a transaction for each attempt.

Needs the extra `[sentry]`. Call `sentry_sdk.init` in your application; without it, this does
nothing.
"""

from __future__ import annotations

from typing import Any

import sentry_sdk

from .middleware import (
    Attempt,
    AttemptOutcome,
    AttemptSteps,
    EnqueueCall,
    EnqueueSteps,
    Middleware,
)

ORIGIN = "auto.queue.fluxqueue"
_STATUS = {
    "succeeded": "ok",
    "retried": "internal_error",
    "dead": "internal_error",
    "cancelled": "cancelled",
    "snoozed": "ok",
    "released": "aborted",
}


class SentryMiddleware(Middleware):
    """Reports to the Sentry client of the process, by the public interface of its SDK.

    Each attempt has its own isolation scope, with the tags `fluxqueue.task` and
    `fluxqueue.queue`, and a transaction that continues the trace of the call.

    Args:
        retried: whether a failure that is retried is an error for Sentry too, not only the
            last one.
        cancelled: whether the error of a task that was cancelled is one.
        traces: whether attempts are transactions, and calls are spans with the headers that
            continue the trace.
        arguments: whether events have the arguments of the task. They may be confidential.
    """

    def __init__(
        self,
        *,
        retried: bool = False,
        cancelled: bool = False,
        traces: bool = True,
        arguments: bool = False,
    ) -> None:
        self._captured = {"dead"}
        if retried:
            self._captured.add("retried")
        if cancelled:
            self._captured.add("cancelled")
        self._traces = traces
        self._arguments = arguments

    def attempt(self, attempt: Attempt) -> AttemptSteps:
        if not sentry_sdk.is_initialized():
            yield
            return
        with sentry_sdk.isolation_scope() as scope:
            scope.clear_breadcrumbs()
            scope.set_tag("fluxqueue.task", attempt.task_name)
            scope.set_tag("fluxqueue.queue", attempt.queue)
            scope.set_context("fluxqueue", self._facts(attempt))
            if not self._traces:
                self._capture((yield))
                return
            transaction = sentry_sdk.continue_trace(
                dict(attempt.metadata.headers),
                op="queue.process",
                name=attempt.task_name,
                source="task",
                origin=ORIGIN,
            )
            with sentry_sdk.start_transaction(
                transaction, custom_sampling_context={"fluxqueue_attempt": attempt}
            ) as span:
                span.set_data("messaging.system", "fluxqueue")
                span.set_data("messaging.destination.name", attempt.queue)
                span.set_data("messaging.message.id", attempt.metadata.task_id)
                span.set_data("messaging.message.retry.count", attempt.metadata.retries)
                outcome = yield
                span.set_status(_STATUS[outcome.status])
                self._capture(outcome)

    def enqueue(self, call: EnqueueCall) -> EnqueueSteps:
        if not (self._traces and sentry_sdk.is_initialized()):
            yield
            return
        parent = sentry_sdk.get_current_span()
        if parent is None:
            trace, baggage = sentry_sdk.get_traceparent(), sentry_sdk.get_baggage()
            span = None
        else:
            # Not entered: calls on an event loop overlap, and do not end in reverse order.
            span = parent.start_child(op="queue.publish", name=call.task_name, origin=ORIGIN)
            span.set_data("messaging.system", "fluxqueue")
            span.set_data("messaging.destination.name", call.queue)
            span.set_data("messaging.message.id", call.task_id)
            found = span.to_baggage()
            trace, baggage = span.to_traceparent(), found.serialize() if found else None
        for name, value in (("sentry-trace", trace), ("baggage", baggage)):
            if value:
                call.headers.setdefault(name, value)
        outcome = yield
        if span is not None:
            span.set_status("ok" if outcome.error is None else "internal_error")
            span.finish()

    def _facts(self, attempt: Attempt) -> dict[str, Any]:
        metadata = attempt.metadata
        facts: dict[str, Any] = {
            "task_id": metadata.task_id,
            "task": attempt.task_name,
            "queue": attempt.queue,
            "attempt": metadata.retries + 1,
            "max_retries": metadata.max_retries,
            "lost_workers": metadata.lost_workers,
            "enqueued_at": metadata.enqueued_at.isoformat(),
        }
        if self._arguments:
            facts |= {"args": attempt.args, "kwargs": attempt.kwargs}
        return facts

    def _capture(self, outcome: AttemptOutcome) -> None:
        if outcome.error is not None and outcome.status in self._captured:
            sentry_sdk.capture_exception(outcome.error)
