"""The limits of all queues, and the keys for which tasks run or wait."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fluxqueue_control.limits import LimitedKey, NamedLimit, read_keys, read_limits
from fluxqueue_control.registry import read_names
from fluxqueue_control.servers import Servers
from starlette.requests import Request
from starlette.responses import Response

from .context import context_of
from .redaction import Redact

# Rows of each table, at most.
_MOST = 300


async def limits(request: Request) -> Response:
    """The limits with their rules, and who waits for them."""
    context = context_of(request)
    found = await context.ask(_read, context.redact)
    return context.renderer.page(request, "limits.html", section="limits", **found)


def _read(servers: Servers, redact: Redact) -> dict[str, Any]:
    named: dict[tuple[str, str], NamedLimit] = {}
    keys: dict[tuple[str, str], LimitedKey] = {}
    more = False
    for queue in read_names(servers.of_registry()).names:
        client = servers.of_queue(queue)
        rules = read_limits(client, queue, limit=_MOST)
        named |= {(queue, each.name): each for each in rules.limits}
        found = read_keys(client, queue, limit=_MOST)
        keys |= {(queue, each.digest): each for each in found.keys}
        more = more or rules.cursor is not None or found.cursor is not None
        if len(named) > _MOST or len(keys) > _MOST:
            more = True
            break
    # The longest lines first.
    sorted_keys = sorted(keys.items(), key=lambda item: (-item[1].waiting, item[0]))
    return {
        "limits": [(queue, named[queue, name]) for queue, name in sorted(named)][:_MOST],
        "keys": [(queue, _hidden(each, redact)) for (queue, _), each in sorted_keys[:_MOST]],
        "more": more,
    }


def _hidden(key: LimitedKey, redact: Redact) -> LimitedKey:
    """A key as the visitor may see it: it is made of arguments."""
    if not key.key:
        return key
    return replace(key, key=str(redact("args", key.name or "", key.key)))
