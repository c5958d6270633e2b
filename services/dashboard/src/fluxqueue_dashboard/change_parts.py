"""The parts of all changes: the operator who makes it, the queue of its form, and its result."""

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
