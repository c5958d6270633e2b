"""The Redis and the namespace of a `FluxQueue` object, which the object shares with its
tasks.

A worker may move it: see `Broker.move`.

Why: docs/decisions/0059-a-worker-and-its-objects-use-one-redis.md
and docs/decisions/0119-objects-made-later-use-the-workers-redis.md
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from fluxqueue_core import DEFAULT_REDIS_URL, Producer, Settings

from . import greenlets


class _NotGiven(str):
    """The default of `redis_url`. It is equal to the default URL and looks like it, but a
    caller who writes that URL passes a plain str."""

    __slots__ = ()


NOT_GIVEN: str = _NotGiven(DEFAULT_REDIS_URL)


def named_url(redis_url: str | None) -> str | None:
    """Returns the URL that the caller named. None: the caller named none, so that
    FLUXQUEUE_REDIS_URL applies, or the default."""
    return None if isinstance(redis_url, _NotGiven) else redis_url


# Of all objects of this process, each with its number.
_brokers: weakref.WeakKeyDictionary[Broker, int] = weakref.WeakKeyDictionary()
_numbers = itertools.count()
# The last one moves new objects.
_adopters: list[Callable[[Broker], None]] = []


def adopt_all(adopt: Callable[[Broker], None]) -> Callable[[], None]:
    """Lets a worker move each object of its process, and from now on each that is made.

    Args:
        adopt: called with each of them; may call `Broker.move`.

    Returns:
        a function that leaves the objects that were made since, and later ones, to the `adopt`
        before this one. These functions may be called in any order.
    """
    _adopters.append(adopt)
    since = next(_numbers)
    for broker in all_brokers():
        adopt(broker)

    def end() -> None:
        was_last = _adopters[-1] is adopt
        _adopters.remove(adopt)
        if was_last and _adopters:
            for broker, number in list(_brokers.items()):
                if number > since:
                    _adopters[-1](broker)

    return end


def all_brokers() -> list[Broker]:
    """Returns those of all objects of this process, the oldest first."""
    return sorted(_brokers, key=_brokers.__getitem__)


class Sender(Protocol):
    """A task, as far as its broker knows it."""

    broker: Broker

    def send_by(self, producer: Producer) -> None:
        """Sends the later calls by this producer, in its namespace."""


class Broker:
    """Where the tasks of one `FluxQueue` object go.

    Args:
        redis_url: the argument of `FluxQueue`.
        keywords: its other arguments, for `Settings`.

    Attributes:
        url: the URL that the code names, with its password; None if it names none.
        keywords: the other arguments.
        settings: what `url` and the keywords mean.
        producer: sends the calls.

    Raises:
        ConfigurationError: the URL or a setting is not valid.
    """

    def __init__(self, redis_url: str | None, **keywords: Any) -> None:
        self.url = named_url(redis_url)
        self.keywords = keywords
        self.settings = Settings(self.url, **keywords)
        self._tasks: weakref.WeakSet[Sender] = weakref.WeakSet()
        self.make_producer()
        greenlets.when_patched(_make_producers)
        _brokers[self] = next(_numbers)
        if _adopters:
            _adopters[-1](self)

    def add(self, task: Sender) -> None:
        """Notes a task that sends its calls here."""
        self._tasks.add(task)
        task.broker = self

    def move(self, redis_url: str | None = None, namespace: str | None = None) -> None:
        """Sends the later calls of all tasks to another Redis, or to another namespace. A
        worker does this before it runs the first task.

        The new URL replaces the old one with its parameters (`?timeout=2`). The keyword
        arguments stay.

        Raises:
            ConfigurationError: the URL or the name is not valid.
        """
        url = self.url if redis_url is None else redis_url
        keywords = self.keywords if namespace is None else {**self.keywords, "namespace": namespace}
        self.settings = Settings(url, **keywords)
        self.url, self.keywords = url, keywords
        self.make_producer()

    def make_producer(self) -> None:
        """Sends the later calls of all tasks by a new producer."""
        self.send_by(greenlets.producer(self.settings), self.settings)

    def send_by(self, producer: Producer, settings: Settings) -> None:
        """Sends the later calls of all tasks by this producer, which has these settings."""
        self.settings, self.producer = settings, producer
        for task in self._tasks:
            task.send_by(producer)

    @property
    def tasks(self) -> list[Sender]:
        """The tasks that send their calls here."""
        return list(self._tasks)


def _make_producers() -> None:
    """Adapts all objects to a process that gevent has patched now."""
    for broker in all_brokers():
        broker.make_producer()
