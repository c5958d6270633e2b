"""`TaskCall`: one call with its options; and the route that such a call takes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeAlias, TypeVar

from fluxqueue_core import Route, json_codec

from .lock_rule import terms_of_call
from .task_properties import TaskProperties
from .unique import RouteLock, route_lock

R = TypeVar("R")
# A task keeps this many routes, because most programs use few options.
MOST_ROUTES = 256
# The options that a route takes, by their names there.
ROUTE_TERMS = {
    "max_retries": "max_retries",
    "timeout": "timeout",
    "expires": "expires",
    "expires_at": "expires_at",
    "priority": "priority",
    "result_ttl": "result_ttl",
    "delay": "delay",
    "eta": "at",
}
# Few calls share a moment, so a route with one is not kept.
MOMENTS = {"at", "expires_at"}
# An option and those that it replaces.
RIVALS = {
    "delay": ("eta",),
    "eta": ("delay",),
    "expires": ("expires_at",),
    "expires_at": ("expires",),
}


class TaskCall(Generic[R]):
    """One call with its options, for `enqueue_many`; it never changes.

    Attributes:
        task: the task that it calls.
        args, kwargs: the arguments, as JSON has them.
        options: what `read_options` returned.
        keys: what the functions `unique` and `limit_key` have returned for it; None without
            one.
    """

    __slots__ = ("args", "keys", "kwargs", "options", "task")

    def __init__(
        self,
        task: TaskProperties[Any, R],
        options: Mapping[str, Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        keys: tuple[Any, Any] | None = None,
    ) -> None:
        self.task = task
        self.options = options
        self.args = args
        self.kwargs = kwargs
        self.keys = keys

    def __repr__(self) -> str:
        names = ", ".join(self.options) or "no options"
        return f"<TaskCall of {self.task!r}: {names}>"


# A call for `enqueue_many`.
Call: TypeAlias = tuple[Any, ...] | Mapping[str, Any] | TaskCall[Any]
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def merged(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of both; the later ones win over those of their name and their
    rivals."""
    replaced = {rival for name in later for rival in RIVALS.get(name, ())}
    return {**{name: earlier[name] for name in earlier if name not in replaced}, **later}


def route_of(
    task: TaskProperties[Any, Any],
    options: Mapping[str, Any],
    *,
    scripted: bool = False,
    lock: RouteLock | None = None,
    limit: tuple[int, int, int] | None = None,
) -> Route:
    """Returns the route of the task's calls with these options.

    Args:
        scripted: whether the script must write them, although they may be due at once.
        lock, limit: those of its calls, in place of the ones that the task declares.
    """
    queue = options.get("queue", task.queue)
    terms = {to: options[name] for name, to in ROUTE_TERMS.items() if name in options}
    own = task.terms
    if "unique" in options or "on_conflict" in options:
        own = terms_of_call(own, options)
        terms["lock"] = route_lock(own)
    if lock is not None:
        terms["lock"] = lock
    if limit is not None:
        terms["limit"] = limit
    if "timeout" in terms:
        terms["timeout_wins"] = True
    if scripted and "at" not in terms and own.unique is None:
        terms.setdefault("delay", 0)
    if not terms and queue == task.queue:
        return task._route
    namespace = task._producer.namespace
    key = (namespace, queue, *terms.items())
    routes = task._routes
    route = routes.get(key)
    if route is None:
        terms = own.of_route(task.task_name) | terms
        route = Route(queue, task.task_name, namespace=namespace, **terms)
        if not MOMENTS & terms.keys():
            if len(routes) >= MOST_ROUTES:
                routes.clear()
            routes[key] = route
    return route


def as_json(headers: dict[str, str] | None) -> bytes | None:
    """Returns the headers of a message."""
    if not headers:
        return None
    return json_codec.dumps(headers)
