"""Sends the calls of `FluxQueue` objects elsewhere while a test runs.

It exchanges the producer and the settings of each object, so no call asks whether it is in a
test. Why: docs/decisions/0227-a-test-exchanges-the-producer.md
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

from fluxqueue import FluxQueue
from fluxqueue.broker import Broker, adopt_all

# Exchanges the producer of one object.
Exchange = Callable[[Broker], None]


class Takeover:
    """The objects that a test has taken over, and how each was before.

    Args:
        objects: these; none: all that exist, and those that are made before the end.
        exchange: called with each of them.
    """

    def __init__(self, objects: Sequence[FluxQueue], exchange: Exchange) -> None:
        self._exchange = exchange
        self._undo: list[Callable[[], None]] = []
        self._known: weakref.WeakSet[Broker] = weakref.WeakSet()
        if objects:
            for each in objects:
                self._take(each.broker)
        else:
            self._undo.append(adopt_all(self._take))

    def _take(self, broker: Broker) -> None:
        if broker in self._known:
            return
        self._known.add(broker)
        url, keywords = broker.url, broker.keywords
        producer, settings = broker.producer, broker.settings
        reference = weakref.ref(broker)

        def give_back() -> None:
            if (found := reference()) is not None:
                found.url, found.keywords = url, keywords
                found.send_by(producer, settings)

        self._undo.append(give_back)
        self._exchange(broker)

    def end(self) -> None:
        """Gives the objects back."""
        while self._undo:
            self._undo.pop()()
