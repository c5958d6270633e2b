"""The parts of all changes: the operator who makes it, the fields of its form, and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from fluxqueue_control.servers import Servers
from fluxqueue_core import check_queue_name
from fluxqueue_core.errors import ConfigurationError
from starlette.exceptions import HTTPException

from .context import Dashboard
from .forms import Form
from .task_pages import is_id


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a change.

    Attributes:
        notice: a key of `NOTICES`.
        back: the page to show, with its parameters.
    """

    notice: str
    back: str
    parameters: Mapping[str, str]
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """The operator who makes a change.

    Attributes:
        name: the name for the audit.
    """

    name: str
    context: Dashboard


Change: TypeAlias = Callable[[Servers, Operator, Form], Done]


def entries_of(form: Form, count: int | None = None) -> list[bytes]:
    """Returns the entries of a dead set that a form names.

    Args:
        count: how many it must name; None: any number.

    Raises:
        HTTPException: it names another number of them, or one is not an entry.
    """
    try:
        found = [bytes.fromhex(text) for text in form.all("entry")]
    except ValueError:
        raise HTTPException(400, "this is not an entry of a dead set") from None
    if count is not None and len(found) != count:
        raise HTTPException(400, f"the form names {len(found)} entries of a dead set, not {count}")
    return found


def id_of(form: Form) -> str:
    """Returns the id of a task. Other text could have a meaning in a pattern of Redis.

    Raises:
        HTTPException: the form has none, or it is not an id.
    """
    found = form.one("id").lower()
    if not is_id(found):
        raise HTTPException(400, "this is not a task's id")
    return found


def queue_of(form: Form) -> str:
    """Returns the queue of a form.

    Raises:
        HTTPException: it has none, or it is not a queue's name.
    """
    queue = form.one("queue")
    try:
        check_queue_name(queue)
    except ConfigurationError as error:
        raise HTTPException(400, str(error)) from None
    return queue
