"""Sends the calls of `FluxQueue` objects elsewhere while a test runs.

It exchanges the producer and the settings of each object, so no call asks whether it is in a
test. Why: docs/decisions/0227-a-test-exchanges-the-producer.md
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fluxqueue import FluxQueue
from fluxqueue.broker import Broker, adopt_all
from fluxqueue_core import Settings

# Exchanges the producer of one object.
Exchange = Callable[[Broker], None]


# Those that last, the first one first.
_lasting: list[Takeover] = []


class Takeover:
    """The objects that a test has taken over, and how each was before.

    Takeovers may end in any order, as those of two threads do.

    Args:
        objects: these; none: all that exist, and those that are made before the end.
        exchange: called with each of them.
    """

    def __init__(self, objects: Sequence[FluxQueue], exchange: Exchange) -> None:
        self._exchange = exchange
        self._before: weakref.WeakKeyDictionary[Broker, _State] = weakref.WeakKeyDictionary()
        self._leave: Callable[[], None] | None = None
        _lasting.append(self)
        try:
            if objects:
                for each in objects:
                    self._take(each.broker)
            else:
                self._leave = adopt_all(self._take)
        except BaseException:
            self.end()
            raise

    def _take(self, broker: Broker) -> None:
        if broker not in self._before:
            self._before[broker] = _State.of(broker)
            self._exchange(broker)

    def end(self) -> None:
        """Gives the objects back, each to the takeover that has taken it since if there is one."""
        later = _lasting[_lasting.index(self) + 1 :]
        _lasting.remove(self)
        for broker, before in self._before.items():
            for each in later:
                if broker in each._before:
                    each._before[broker] = before
                    break
            else:
                before.give_back(broker)
        if self._leave is not None:
            self._leave()


class _State(NamedTuple):
    """The parts of an object that send its calls."""

    url: str | None
    keywords: dict[str, Any]
    producer: Any
    settings: Settings

    @classmethod
    def of(cls, broker: Broker) -> _State:
        return cls(broker.url, broker.keywords, broker.producer, broker.settings)

    def give_back(self, broker: Broker) -> None:
        broker.url, broker.keywords = self.url, self.keywords
        broker.send_by(self.producer, self.settings)


def named(objects: Sequence[FluxQueue]) -> Sequence[FluxQueue]:
    """Returns the objects that a mode shall take.

    Raises:
        TypeError: one is not a `FluxQueue` object, such as a task.
    """
    for each in objects:
        if not isinstance(each, FluxQueue):
            raise TypeError(
                f"{each!r} is not a FluxQueue object; name the objects whose calls the test takes, "
                "or none for all of them"
            )
    return objects
