"""The changes of an operator that move tasks to another queue."""

from __future__ import annotations

from collections.abc import Mapping

from fluxqueue_control import dead, moving, tasks
from fluxqueue_control.servers import Servers
from fluxqueue_core.errors import ConfigurationError

from .change_parts import Change, Done, Operator, entries_of, id_of, queue_of
from .dead_pages import task_id
from .forms import Form

# Why a task stays; its page says so.
_STAYS = {
    "running": "running",
    "bound": "move-bound",
    "too_deep": "move-deep",
    "duplicate": "move-duplicate",
    "cancelled": "move-cancelled",
    "unreadable": "unreadable",
}


def _move_task(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, task, target = queue_of(form), id_of(form), form.text("target")
    here = {"queue": queue, "id": task}
    try:
        answer = tasks.move(servers.of_queue(queue), queue, task, target)
    except ConfigurationError:
        return Done("move-wrong", "/task", here)
    if answer == "absent":
        return Done("absent", "/queue", {"name": queue})
    if answer != "moved":
        return Done(_STAYS[answer], "/task", here)
    return Done("relocated", "/task", {"queue": target, "id": task})


def _move_dead(servers: Servers, operator: Operator, form: Form) -> Done:
    """Moves one entry of the dead set: a malformed message has no id to find it by."""
    queue, target = queue_of(form), form.text("target")
    client, [entry] = servers.of_queue(queue), entries_of(form, 1)
    found = dead.show(client, queue, entry)
    if found is None:
        return Done("absent", "/dead", {"queue": queue})
    here = {"queue": queue, "entry": entry.hex()}
    try:
        [answer] = moving.move_dead(client, queue, target, [found])
    except ConfigurationError:
        return Done("move-wrong", "/dead/task", here)
    if answer == "absent":
        return Done("absent", "/dead", {"queue": queue})
    if answer != "moved":
        return Done(_STAYS[answer], "/dead/task", here)
    return Done("relocated", "/task", {"queue": target, "id": task_id(entry)})


MOVE_CHANGES: Mapping[str, Change] = {"move-task": _move_task, "move-dead": _move_dead}
