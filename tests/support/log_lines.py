"""The lines of a logger, for tests that run the product in their own process."""

from __future__ import annotations

from fluxqueue_core.service.log import LEVELS, Fields, Logger


class Lines(list[Fields]):
    """A logger's lines as the fields that they were made of."""

    def logger(self, level: str = "info") -> Logger:
        def keep(fields: Fields) -> bytes:
            self.append(fields)
            return b""

        return Logger(LEVELS[level], keep, lambda line: None)

    def named(self, event: str) -> list[Fields]:
        return [fields for fields in self if fields["event"] == event]
