"""The changes of an operator. Each is a verb, with the fields of its form.

`Guard` has refused all others before: a viewer, another site, and each GET.
"""

from __future__ import annotations

from collections.abc import Mapping

from fluxqueue_control import (
    cancelling,
    dead,
    deleting,
    limits,
    pausing,
    periodic,
    requeue,
    tasks,
)
from fluxqueue_control.actor import acting
from fluxqueue_control.servers import Servers
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.limits import MOST_AT_ONCE, LimitRules
from fluxqueue_core.rates import read_rate
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from .change_parts import Change, Done, Operator, entries_of, id_of, queue_of
from .context import context_of, visitor_of
from .forms import Form, read_form
from .job_changes import JOB_CHANGES
from .move_changes import MOVE_CHANGES
from .rendering import address
from .strike_changes import STRIKE_CHANGES


async def change(request: Request) -> Response:
    """Makes a change, and shows a page that says what it has done."""
    verb = CHANGES.get(request.path_params["verb"])
    if verb is None:
        raise HTTPException(404)
    form = await read_form(request)
    context = context_of(request)
    operator = Operator(visitor_of(request).name, context)
    done = await context.ask(_acting, operator, verb, form)
    context.hub.forget()
    context.job_hub.forget()
    back = address(done.back, **done.parameters, done=done.notice, count=done.count)
    return RedirectResponse(request.scope.get("root_path", "") + back, 303)


def _acting(servers: Servers, operator: Operator, verb: Change, form: Form) -> Done:
    """Makes a change in the name of the operator, which the audit then has."""
    with acting(operator.name):
        return verb(servers, operator, form)


def _pause(servers: Servers, operator: Operator, form: Form) -> Done:
    queue = queue_of(form)
    pausing.pause(servers.of_queue(queue), queue)
    return Done("paused", "/queue", {"name": queue})


def _resume(servers: Servers, operator: Operator, form: Form) -> Done:
    queue = queue_of(form)
    pausing.resume(servers.of_queue(queue), queue)
    return Done("resumed", "/queue", {"name": queue})


def _delete_task(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, task = queue_of(form), id_of(form)
    answer = tasks.delete(servers.of_queue(queue), queue, task)
    if answer == "running":
        return Done("running", "/task", {"queue": queue, "id": task})
    return Done(answer, "/queue", {"name": queue})


def _run_now(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, task = queue_of(form), id_of(form)
    answer = tasks.run_now(servers.of_queue(queue), queue, task)
    if answer == "absent":
        return Done(answer, "/queue", {"name": queue})
    return Done(answer, "/task", {"queue": queue, "id": task})


def _cancel(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, task = queue_of(form), id_of(form)
    answer = cancelling.cancel(servers.of_queue(queue), queue, task)
    return Done(answer, "/queue", {"name": queue})


def _requeue(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, entries = queue_of(form), entries_of(form)
    back = {"queue": queue}
    if not entries:
        return Done("none-chosen", "/dead", back)
    client = servers.of_queue(queue)
    answers = requeue.requeue(client, queue, dead.read_entries(client, queue, entries))
    count = sum(answer.verdict == "requeued" for answer in answers)
    # Of one task, why not. Of several, the page shows what is left.
    if len(entries) == 1 and not count:
        return Done(answers[0].verdict if answers else "absent", "/dead", back)
    return Done("requeued", "/dead", back, count)


def _delete_dead(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, entries = queue_of(form), entries_of(form)
    back = {"queue": queue}
    if not entries:
        return Done("none-chosen", "/dead", back)
    client = servers.of_queue(queue)
    scores = client.commands([("ZSCORE", client.key("dead", queue), entry) for entry in entries])
    deaths = [(entry, died) for entry, died in zip(entries, scores, strict=True) if died]
    count = sum(deleting.delete_dead(client, queue, deaths)) if deaths else 0
    return Done("deleted-dead", "/dead", back, count) if count else Done("absent", "/dead", back)


def _periodic_pause(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, periodic_id = queue_of(form), form.one("id")
    is_there = periodic.pause(servers.of_queue(queue), queue, periodic_id)
    return Done("periodic-paused" if is_there else "absent", "/periodic", {})


def _periodic_resume(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, periodic_id = queue_of(form), form.one("id")
    is_there = periodic.resume(servers.of_queue(queue), queue, periodic_id)
    return Done("periodic-resumed" if is_there else "absent", "/periodic", {})


def _periodic_run(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, periodic_id = queue_of(form), form.one("id")
    try:
        task = periodic.run_now(servers.of_queue(queue), queue, periodic_id)
    except periodic.RunInProgress:
        return Done("periodic-busy", "/periodic", {})
    except periodic.UnreadablePeriodicTask:
        return Done("unreadable", "/periodic", {})
    return Done("absent" if task is None else "periodic-run", "/periodic", {})


def _periodic_remove(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, periodic_id = queue_of(form), form.one("id")
    answer = periodic.remove(servers.of_queue(queue), queue, periodic_id)
    notices = {"removed": "periodic-removed", "declared": "periodic-declared", "absent": "absent"}
    return Done(notices[answer], "/periodic", {})


def _limit_set(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, name = queue_of(form), form.one("name")
    try:
        most = _number(form.text("concurrency") or "0", 0)
        burst = _number(form.text("burst"), 1) if form.text("burst") else None
        rate = form.text("rate")
        period, at_once = read_rate(rate, burst) if rate else (0, 1)
        rules = LimitRules(most, period, at_once)
        limits.override(servers.of_queue(queue), queue, name, rules)
    except ConfigurationError:
        return Done("limit-wrong", "/limits", {})
    return Done("limit-set", "/limits", {})


def _number(text: str, least: int) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_AT_ONCE))
    if not is_number or int(text) < least:
        raise ConfigurationError(f"{text[:20]!r} is not a number from {least} to {MOST_AT_ONCE}")
    return int(text)


def _limit_clear(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, name = queue_of(form), form.one("name")
    cleared = limits.clear(servers.of_queue(queue), queue, name)
    return Done("limit-cleared" if cleared else "absent", "/limits", {})


CHANGES: Mapping[str, Change] = {
    "pause": _pause,
    "resume": _resume,
    "delete-task": _delete_task,
    "run-now": _run_now,
    "cancel": _cancel,
    "requeue": _requeue,
    "delete-dead": _delete_dead,
    "periodic-pause": _periodic_pause,
    "periodic-resume": _periodic_resume,
    "periodic-run": _periodic_run,
    "periodic-remove": _periodic_remove,
    "limit-set": _limit_set,
    "limit-clear": _limit_clear,
    **JOB_CHANGES,
    **MOVE_CHANGES,
    **STRIKE_CHANGES,
}
