"""The log lines of a worker in the process of another program: they go to `logging`, whose
settings are the program's."""

from __future__ import annotations

import logging

from fluxqueue_core.service.log import LEVELS, Fields, Logger, escape, render_json

NAME = "fluxqueue.worker"


class HostLogger(Logger):
    """Passes each line to the logger `fluxqueue.worker` of `logging`.

    A record's message is the event and its fields, `task.done task_id='...' attempt=1`; its
    attribute `fluxqueue` is a dict of the fields.
    """

    __slots__ = ("_host",)

    def __init__(self) -> None:
        self._host = logging.getLogger(NAME)
        super().__init__(self._host.getEffectiveLevel(), render_json, lambda line: None)

    def write(self, fields: Fields) -> None:
        if self.enrich is not None:
            self.enrich(fields)
        event, level = fields["event"], LEVELS[fields["level"]]
        told = {
            name: value
            for name, value in fields.items()
            if name not in ("timestamp", "level", "event", "exception")
        }
        text = " ".join(
            [event, *(f"{escape(name)}={escape(repr(value))}" for name, value in told.items())]
        )
        if trace := fields.get("exception"):
            lines = str(trace).rstrip().split("\n")
            text = "\n".join([text, *("    " + escape(line) for line in lines)])
        self._host.log(level, "%s", text, extra={"fluxqueue": told})
