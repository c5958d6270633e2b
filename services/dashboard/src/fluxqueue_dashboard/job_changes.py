"""The changes of an operator that are jobs: start, stop and resume them, and purge a queue."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from fluxqueue_control import job_record, jobs, purge
from fluxqueue_control.candidates import Part
from fluxqueue_control.job_record import Verb
from fluxqueue_control.jobs import Job, JobIsRunning, Selection
from fluxqueue_control.servers import Servers
from fluxqueue_control.shown_json import read_json
from fluxqueue_core.errors import ConfigurationError
from starlette.exceptions import HTTPException

from .change_parts import Change, Done, Operator, queue_of
from .conditions import identity
from .forms import Form
from .job_threads import TooManyJobs

# Tasks that a purge removes within a request. More of them are a job.
_AT_ONCE = 2_000
_TEXTS = ("task", "reason", "exception", "error", "group")


def _start(servers: Servers, operator: Operator, form: Form) -> Done:
    queue = queue_of(form)
    verb, part = _verb_and_part(form)
    try:
        options: dict[str, Any] = {
            "target": form.text("target"),
            "rate": _number(form, "rate"),
            "limit": _limit(form),
            "dry_run": form.text("run") != "real",
        }
        selection = _selection(form)
    except ConfigurationError:
        return Done("job-wrong", "/jobs", {})
    return _begin(servers, operator, queue, (verb, part), selection, options)


def _repeat(servers: Servers, operator: Operator, form: Form) -> Done:
    """Starts a job again that was a dry run, for real."""
    queue, found = _found(servers, form)
    if found is None:
        return Done("no-job", "/jobs", {})
    options: dict[str, Any] = {
        "target": found.target,
        "rate": found.rate,
        "limit": found.limit,
        "keep_expiry": found.keep_expiry,
        "dry_run": False,
    }
    return _begin(servers, operator, queue, (found.verb, found.part), found.selection, options)


def _stop(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, job_id = queue_of(form), form.one("id")
    did_run = jobs.stop(servers.of_queue(queue), queue, job_id)
    return Done("job-stops" if did_run else "job-ended", *_page(queue, job_id))


def _resume(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, job_id = queue_of(form), form.one("id")
    try:
        operator.context.jobs.resume(queue, job_id, operator.name)
    except LookupError:
        return Done("no-job", "/jobs", {})
    except JobIsRunning:
        return Done("job-runs", *_page(queue, job_id))
    except TooManyJobs:
        return Done("job-waits", *_page(queue, job_id))
    return Done("job-resumed", *_page(queue, job_id))


def _purge(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, wanted = queue_of(form), form.one("part")
    part = next((each for each in purge.PARTS if each == wanted), None)
    if part is None:
        raise HTTPException(400, "there is no such part")
    try:
        rate = _number(form, "rate")
    except ConfigurationError:
        return Done("job-wrong", "/queue", {"name": queue})
    client = servers.of_queue(queue)
    if rate is not None or purge.count(client, queue, part) > _AT_ONCE:
        return _begin(servers, operator, queue, ("delete", part), Selection(), {"rate": rate})
    removed = 0
    for so_far in purge.purge(client, queue, part):
        removed = so_far
    return Done("purged", "/queue", {"name": queue}, removed)


def _begin(
    servers: Servers,
    operator: Operator,
    queue: str,
    what: tuple[Any, Any],
    selection: Selection,
    options: Mapping[str, Any],
) -> Done:
    try:
        job = jobs.start(servers.of_queue(queue), queue, *what, selection, **options)
    except ConfigurationError:
        return Done("job-wrong", "/jobs", {})
    try:
        operator.context.jobs.run(queue, job, operator.name)
    except TooManyJobs:
        # It has no process that would see a request to stop.
        job_record.save(servers.of_queue(queue), queue, job.id, {"state": "stopped"})
        return Done("job-waits", *_page(queue, job.id))
    return Done("job-started", *_page(queue, job.id))


def _page(queue: str, job_id: str) -> tuple[str, Mapping[str, str]]:
    return "/job", {"name": queue, "id": job_id}


def _found(servers: Servers, form: Form) -> tuple[str, Job | None]:
    queue, job_id = queue_of(form), form.one("id")
    return queue, jobs.show(servers.of_queue(queue), queue, job_id)


def _verb_and_part(form: Form) -> tuple[Verb, Part]:
    verb, _, part = form.one("what").partition(" ")
    if part not in jobs.VERBS.get(cast(Verb, verb), ()):
        raise HTTPException(400, "there is no such job")
    return cast(Verb, verb), part


def _selection(form: Form) -> Selection:
    argument, equals, text = form.text("argument").partition("=")
    if bool(argument) != bool(equals):
        raise ConfigurationError("the argument is not PATH=VALUE")
    wanted: dict[str, Any] = {name: form.text(name) or None for name in _TEXTS}
    return Selection(
        **wanted,
        **identity(form.text("id"), form.text("header")),
        older=_number(form, "older"),
        argument=argument.strip() or None,
        value=value_of(text) if argument else None,
    )


def _number(form: Form, name: str) -> float | None:
    text = form.text(name)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise ConfigurationError(f"{text[:20]!r} is not a number above 0")
    return number


def _limit(form: Form) -> int | None:
    number = _number(form, "limit")
    if number is None:
        return None
    if number < 1 or number != int(number):
        raise ConfigurationError(f"{number} is not a number of tasks")
    return int(number)


def value_of(text: str) -> Any:
    """Reads the value of an argument: JSON if it can be read so, otherwise text."""
    try:
        return read_json(text)
    except ValueError:
        return text.strip()


JOB_CHANGES: Mapping[str, Change] = {
    "purge": _purge,
    "job-start": _start,
    "job-repeat": _repeat,
    "job-stop": _stop,
    "job-resume": _resume,
}
