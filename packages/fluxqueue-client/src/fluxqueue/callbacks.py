"""The option `on_failure`: its check, and how messages carry it.

Why: docs/decisions/0115-a-message-names-its-callback.md
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from fluxqueue_core import Route

from .errors import ConfigurationError
from .option_checks import kind_of


class Callback(Protocol):
    """The part of a `Task` or an `AsyncTask` that a callback needs.

    Attributes:
        terms: its `Terms`, which need this module.
    """

    terms: Any

    @property
    def task_name(self) -> str: ...
    @property
    def queue(self) -> str: ...


OnFailure: TypeAlias = Callback | str


def check_on_failure(name: str, value: Any) -> None:
    """Refuses a value that is neither a task with one argument nor the name of a task."""
    if value is None:
        return
    if isinstance(value, str):
        try:
            Route("default", value, namespace="")
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}: {error}") from None
        return
    if not (hasattr(value, "task_name") and hasattr(value, "terms")):
        raise TypeError(f"{name} must be a task, the name of a task, or None, not {kind_of(value)}")
    if value.terms.is_limited:
        raise ConfigurationError(
            f"{name}: task {value.task_name!r} has a limit, in whose line no callback can wait; "
            f"give a task without one, which may call {value.task_name!r}"
        )
    try:
        value.__signature__.bind(object())
    except TypeError as error:
        raise TypeError(
            f"{name}: task {value.task_name!r} must take one argument, a fluxqueue.Failure: {error}"
        ) from None


def callback_json(value: OnFailure | None) -> str | None:
    """Returns the member `on_failure` of a message."""
    if value is None:
        return None
    from fluxqueue_core import json_codec

    return json_codec.dumps(_callback(value)).decode()


def _callback(value: OnFailure) -> dict[str, Any]:
    if isinstance(value, str):
        return {"name": value}
    terms = value.terms
    callback: dict[str, Any] = {
        "name": value.task_name,
        "queue": value.queue,
        "max_retries": terms.max_retries,
        "timeout": terms.timeout,
        "result_ttl": terms.result_ttl,
        "on_failure": None if terms.on_failure is None else _callback(terms.on_failure),
    }
    return {name: member for name, member in callback.items() if member is not None}
