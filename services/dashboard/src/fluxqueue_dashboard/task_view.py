"""A task as its page shows it: its timeline, its facts, and the reasons why it does not run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fluxqueue_control import why, workers
from fluxqueue_control.dead import DeadTask
from fluxqueue_control.finished import FinishedTask
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.shown_json import read_arguments
from fluxqueue_control.tasks import LocatedTask
from fluxqueue_control.workers import Worker
from fluxqueue_core import parse_message
from fluxqueue_core.errors import MalformedMessage

from .formats import NOTHING, count, duration, moment, size
from .redaction import Redact
from .results import KeptResult

# Where the trace's id is in the header `traceparent`.
_TRACE = slice(3, 35)


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the timeline.

    Attributes:
        kind: past, now, next, bad or good.
        at: seconds since 1970; None if Redis does not say.
    """

    kind: str
    title: str
    at: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class TaskView:
    """The contents of the page of one task.

    Attributes:
        name: None if the message can't be read.
        entry: its name in the dead set, as hexadecimal digits; '' if it is not dead.
        trace: the id of its trace, or a link to it; '' without one.
    """

    queue: str
    id: str
    state: str
    name: str | None = None
    entry: str = ""
    trace: str = ""
    reasons: Sequence[str] = ()
    timeline: Sequence[Step] = ()
    facts: Sequence[tuple[str, str]] = ()
    error: str = ""
    traceback: str | None = None
    has_arguments: bool = False
    args: Any = None
    kwargs: Any = None
    has_result: bool = False
    result: Any = None
    progress: dict[str, Any] | None = None

    def redacted(self, redact: Redact) -> TaskView:
        """Returns what a visitor may see."""
        name = self.name or ""
        progress = self.progress
        if progress is not None:
            shown = redact("progress", name, progress)
            unknown = {"done": str(shown), "total": None, "note": ""}
            progress = shown if isinstance(shown, dict) and "done" in shown else unknown
        return replace(
            self,
            args=redact("args", name, self.args) if self.has_arguments else None,
            kwargs=None if self.kwargs is None else redact("kwargs", name, self.kwargs),
            result=redact("result", name, self.result) if self.has_result else None,
            error=str(redact("error", name, self.error)) if self.error else "",
            traceback=None
            if self.traceback is None
            else str(redact("traceback", name, self.traceback)),
            progress=progress,
        )


def view_of_located(
    client: RedisClient, queue: str, wanted: str, task: LocatedTask, result: KeptResult | None
) -> TaskView:
    """Returns the view of a task that waits or runs. Raises as `workers.show` does."""
    view, parts = _of_message(queue, wanted, task.state, task.message, result)
    worker = None
    if task.consumer is not None:
        worker = workers.show(client, queue, task.consumer)
    steps = [*_beginning(parts), _present(task, worker)]
    facts = list(view.facts)
    if worker is not None:
        host, pid = worker.identity.get("host", "unknown"), worker.identity.get("pid", NOTHING)
        facts = [
            ("Worker", f"{host}, process {pid}"),
            ("Lease left", f"{duration(worker.lease_left)} ({worker.state})"),
            *facts,
        ]
    reasons = () if task.state == "claimed" else _reasons(client, queue, task)
    return replace(view, timeline=steps, facts=facts, reasons=reasons)


def view_of_dead(
    client: RedisClient, queue: str, wanted: str, task: DeadTask, result: KeptResult | None
) -> TaskView:
    """Returns the view of a dead task."""
    view, parts = _of_message(queue, wanted, "dead", task.message or b"", result)
    died = Step("bad", f"Dead: {task.reason or 'unknown reason'}", task.died_at)
    return replace(
        view,
        entry=task.entry.hex(),
        timeline=[*_beginning(parts), died],
        facts=[("Reason", task.reason or "unknown"), ("Message", size(task.size)), *view.facts],
        error=task.error,
        traceback=task.traceback,
    )


def view_of_ended(
    queue: str, wanted: str, result: KeptResult, task: FinishedTask | None
) -> TaskView:
    """Returns the view of a task of which only the outcome is left. `task` is the same, as the
    index of outcomes has it."""
    is_good = result.state == "succeeded"
    steps, facts = [], []
    if task is not None:
        moments = (("Enqueued", task.enqueued), ("Last attempt began", task.started))
        steps = [Step("past", title, at) for title, at in moments if at is not None]
        known = (("Attempts", task.attempts), ("Worker", task.worker))
        facts = [(label, str(value)) for label, value in known if value is not None]
    steps.append(Step("good" if is_good else "bad", f"Ended: {result.state}", result.finished))
    return TaskView(
        queue,
        wanted,
        str(result.state),
        name=(task and task.name) or "A task that has ended",
        timeline=steps,
        facts=facts,
        error=result.error,
        has_result=is_good,
        result=result.value,
    )


def _of_message(
    queue: str, wanted: str, state: str, message: bytes, result: KeptResult | None
) -> tuple[TaskView, dict[str, Any]]:
    """Returns what the message alone says, and its parts; no parts if it can't be read."""
    view = TaskView(queue, wanted, state)
    if result is not None:
        is_success = result.state == "succeeded"
        view = replace(view, progress=result.report, has_result=is_success, result=result.value)
    try:
        parts = parse_message(message)
    except MalformedMessage:
        return view, {}
    facts, given = _facts(parts), read_arguments(parts)
    if given is None:
        facts.append(("Arguments", "too many levels or digits to show"))
    headers = parts["headers"] or {}
    trace = str(headers.get("traceparent", ""))[_TRACE]
    view = replace(
        view,
        name=str(parts["name"]),
        trace=trace if len(trace) == 32 and trace.isalnum() else "",
        facts=facts,
        has_arguments=given is not None,
        args=None if given is None else given[0],
        kwargs=given[1] if given is not None and parts["kwargs"] is not None else None,
    )
    return view, parts


def _facts(parts: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("Failed attempts", f"{parts['retries']} of {parts['max_retries'] + 1} at most"),
        ("Workers lost", count(parts["deliveries"])),
    ]
    if parts["snoozes"]:
        facts.append(("Snoozed", f"{parts['snoozes']} times"))
    if parts["releases"]:
        facts.append(("Released", f"{parts['releases']} times"))
    if parts["priority"]:
        facts.append(("Priority", str(parts["priority"])))
    if parts["expires"]:
        facts.append(("Expires", moment(parts["expires"] / 1_000)))
    if parts["timeout"]:
        facts.append(("Timeout", duration(parts["timeout"])))
    if parts["result_ttl"]:
        facts.append(("Result kept for", duration(parts["result_ttl"] / 1_000)))
    if parts["condemned"]:
        facts.append(("Will end as", str(parts["condemned"])))
    facts += [(f"Header {name}", str(value)) for name, value in (parts["headers"] or {}).items()]
    return facts


def _beginning(parts: dict[str, Any]) -> list[Step]:
    if not parts:
        return []
    steps = [Step("past", "Enqueued", parts["enqueued_at"] / 1_000)]
    if parts["retries"]:
        attempts = "attempt" if parts["retries"] == 1 else "attempts"
        steps.append(Step("bad", f"{parts['retries']} {attempts} failed"))
    if parts["deliveries"]:
        lost = "worker was" if parts["deliveries"] == 1 else "workers were"
        steps.append(Step("bad", f"{parts['deliveries']} {lost} lost while they held it"))
    if parts["snoozes"]:
        steps.append(Step("past", f"Put off {parts['snoozes']} times"))
    return steps


def _present(task: LocatedTask, worker: Worker | None) -> Step:
    if task.state == "delayed":
        return Step("next", "Due", task.due)
    if task.state == "claimed":
        late = worker is not None and worker.state != "alive"
        note = "Its lease has ended: a scheduler gives the task to another worker." if late else ""
        return Step("bad" if late else "now", "A worker has it", note=note)
    titles = {
        "suspects": "Waits to run alone",
        "limited": "Waits for its limit",
        "prioritized": "Waits for a worker, with a priority",
    }
    ahead = ""
    if task.ahead is not None:
        ahead = f"{_tasks(task.ahead)} ahead of it." if task.ahead else "It is the next one."
    return Step("now", titles.get(task.state, "Waits for a worker"), note=ahead)


def _reasons(client: RedisClient, queue: str, task: LocatedTask) -> list[str]:
    found = [each for each in why.explain(client, queue, task) if each.cause != "next"]
    reasons = [f"{each.text[0].upper()}{each.text[1:]}." for each in found]
    # These say it themselves.
    if task.ahead and not {"busy", "limited"} & {each.cause for each in found}:
        reasons.append(f"{_tasks(task.ahead)} ahead of it.")
    return reasons


def _tasks(number: int) -> str:
    return "1 task is" if number == 1 else f"{count(number)} tasks are"
