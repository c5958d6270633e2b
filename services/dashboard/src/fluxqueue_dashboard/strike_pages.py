"""The strikes of all queues, which stop tasks before they begin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fluxqueue_control import strikes
from fluxqueue_control.registry import read_names
from fluxqueue_control.servers import Servers
from fluxqueue_control.strikes import Strike
from starlette.requests import Request
from starlette.responses import Response

from .context import context_of
from .redaction import Redact

# Rows of a page, and queues whose strikes are read.
_MOST = 500
_MOST_QUEUES = 1_000


@dataclass(frozen=True, slots=True)
class StrikeRow:
    """A strike of a queue.

    Attributes:
        value: what the argument must be, as the visitor may see it; '' without an argument.
    """

    queue: str
    strike: Strike
    value: str


async def strike_list(request: Request) -> Response:
    """The strikes, and a form for another one."""
    context = context_of(request)
    found = await context.ask(_read, context.redact)
    return context.renderer.page(request, "strikes.html", section="strikes", **found)


def _read(servers: Servers, redact: Redact) -> dict[str, Any]:
    names = read_names(servers.of_registry()).names
    rows: list[StrikeRow] = []
    for client, some in servers.of_queues(names[:_MOST_QUEUES]):
        for queue, found in strikes.read_of(client, some).items():
            rows += [StrikeRow(queue, each, _value(each, redact)) for each in found]
    rows.sort(key=lambda row: (row.queue, row.strike.task, row.strike.argument or ""))
    more = len(rows) > _MOST or len(names) > _MOST_QUEUES
    return {"rows": rows[:_MOST], "names": names, "more": more}


def _value(strike: Strike, redact: Redact) -> str:
    if strike.argument is None:
        return ""
    shown = redact("kwargs", strike.task, {strike.argument: strike.value})
    value = shown.get(strike.argument) if isinstance(shown, dict) else shown
    return json.dumps(value, default=str)
