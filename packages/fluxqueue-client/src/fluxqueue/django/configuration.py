"""The OPTIONS of the backend: their names, types and checks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from fluxqueue_core import Settings

from fluxqueue.errors import ConfigurationError
from fluxqueue.option_checks import check_seconds
from fluxqueue.options import TaskOptions, read_terms

# Seconds for which results are kept, by default: a day.
RESULT_TTL = 86_400
# Django has these two by other names; the backend sets them.
_NOT_OPTIONS = {"priority": "priority=", "result_ttl": "OPTIONS['RESULT_TTL']"}
# The options of a task that it may have in Django.
TASK_OPTIONS = sorted({*TaskOptions.__optional_keys__, "max_retries"} - {*_NOT_OPTIONS})


@dataclass(frozen=True, slots=True)
class Configuration:
    """The checked OPTIONS of a backend. Each field is one, in lower case.

    Attributes:
        redis_url, namespace: as the arguments of `FluxQueue`.
        client: its other arguments, such as `timeout`.
        result_ttl: seconds for which results are kept after the end; None: there are none.
        task_options: options of tasks, by the path of their function; `*` stands for all tasks.
        enqueue_on_commit: the alias of the database whose commit an enqueue waits for, or None.
        dashboard_url: where the admin links to, or None.
    """

    redis_url: str | None = None
    namespace: str | None = None
    client: Mapping[str, Any] = field(default_factory=dict)
    result_ttl: float | None = RESULT_TTL
    task_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    enqueue_on_commit: str | None = None
    dashboard_url: str | None = None

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> Configuration:
        """Returns the configuration of these OPTIONS.

        Raises:
            TypeError: an option is unknown, or a value has the wrong type.
            ConfigurationError: a value is out of range.
        """
        _check_mapping("OPTIONS", options)
        known = [each.name.upper() for each in fields(cls)]
        for name in options:
            if name not in known:
                raise TypeError(f"OPTIONS has no {name!r}; it takes {', '.join(known)}")
        read = cls(**{name.lower(): value for name, value in options.items()})
        check_seconds("no results")("RESULT_TTL", read.result_ttl)
        _check_mapping("CLIENT", read.client)
        _check_mapping("TASK_OPTIONS", read.task_options)
        Settings(read.redis_url, namespace=read.namespace, **read.client)
        for name in ("enqueue_on_commit", "dashboard_url"):
            value = getattr(read, name)
            if not isinstance(value, str | None):
                raise TypeError(f"{name.upper()} must be a str, not {type(value).__name__}")
        if not (read.dashboard_url or "/").startswith(("http://", "https://", "/")):
            raise ConfigurationError(
                f"DASHBOARD_URL is {read.dashboard_url!r}; give a URL of http or https, or a path"
            )
        for path, given in read.task_options.items():
            _check_mapping(f"TASK_OPTIONS[{path!r}]", given)
            try:
                check_options(given)
            except (TypeError, ConfigurationError) as error:
                raise type(error)(f"TASK_OPTIONS[{path!r}]: {error}") from None
        return read

    @property
    def key(self) -> str:
        """The same text for the same options."""
        return json.dumps(
            {each.name: getattr(self, each.name) for each in fields(self)}, default=repr
        )


def _check_mapping(name: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, not {type(value).__name__}")


def check_options(options: Mapping[str, Any]) -> None:
    """Checks options of a task.

    Raises:
        TypeError: one is unknown here, or a value has the wrong type.
        ConfigurationError: a value is out of range, or contradicts another one.
    """
    for name in options:
        if name in _NOT_OPTIONS:
            raise TypeError(f"{name!r} is not an option here; use {_NOT_OPTIONS[name]}")
    others: Any = {name: value for name, value in options.items() if name != "max_retries"}
    read_terms("task", options.get("max_retries", 0), others)
