"""The health of all worker processes at the supervisor's endpoint.

Each process answers on its own port, which only this machine can reach. The
supervisor asks them for each request that it gets.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Sequence
from time import monotonic

from fluxqueue_core.service.probe import get

from .process import Process

# Seconds that the processes have for their answers: less than a probe waits.
PATIENCE = 3.0
# Seconds without a turn of its loop after which the supervisor counts as stuck.
STUCK = 10.0

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# Status and body; None: no answer.
Answer = tuple[int, str] | None


class ProcessHealth:
    """Answers for the supervisor.

    Args:
        turned_at: tells when the supervisor's loop last went round, by the clock.
        draining: tells whether the supervisor drains.
    """

    def __init__(
        self,
        processes: Sequence[Process],
        turned_at: Callable[[], float],
        draining: Callable[[], bool],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._processes = processes
        self._turned_at = turned_at
        self._draining = draining
        self._clock = clock

    def live(self) -> list[str]:
        """The reasons why only a restart helps. A dead process is no reason, because the
        supervisor replaces it; neither is a process that still loads the application."""
        reasons = []
        if (age := self._clock() - self._turned_at()) > STUCK:
            reasons.append(f"the supervisor has not gone round for {age:.1f} s")
        for process, answer in self._ask("/livez"):
            if answer is None or answer[0] != 200:
                reasons += self._reasons(process, answer)
        return reasons

    def ready(self) -> list[str]:
        """The reasons why no process takes tasks; empty if one does."""
        if self._draining():
            return ["the worker drains"]
        reasons = []
        for process, answer in self._ask("/readyz"):
            if answer is not None and answer[0] == 200:
                return []
            reasons += self._reasons(process, answer)
        return reasons or ["no process is up"]

    def metrics(self) -> tuple[str, bytes] | None:
        """The metrics of all processes, each with the label `process`; None if
        telemetry is off."""
        texts = {
            str(process.index): answer[1]
            for process, answer in self._ask("/metrics")
            if answer is not None and answer[0] == 200
        }
        return (CONTENT_TYPE, merged(texts).encode()) if texts else None

    def _reasons(self, process: Process, answer: Answer) -> list[str]:
        who = f"process {process.index} (pid {process.pid})"
        if answer is None:
            return [f"{who} does not answer"]
        try:
            return [f"{who}: {reason}" for reason in json.loads(answer[1])["reasons"]]
        except (ValueError, KeyError, TypeError):
            return [f"{who} answers {answer[0]}"]

    def _ask(self, path: str) -> list[tuple[Process, Answer]]:
        """Asks all processes that are up, at the same time."""
        asked = [p for p in self._processes if p.runs and p.was_up]
        answers: list[Answer] = [None] * len(asked)

        def ask(number: int, port: int) -> None:
            try:
                answers[number] = get(port, path, PATIENCE)
            except OSError:
                answers[number] = None

        threads = [
            threading.Thread(target=ask, args=(number, process.health_port), daemon=True)
            for number, process in enumerate(asked)
        ]
        for thread in threads:
            thread.start()
        deadline = self._clock() + PATIENCE
        for thread in threads:
            thread.join(max(0.0, deadline - self._clock()))
        return [
            (process, answer)
            for process, answer in zip(asked, list(answers), strict=True)
            # A process that has ended meanwhile may give no answer.
            if answer is not None or (process.runs and process.was_up)
        ]


def merged(texts: dict[str, str]) -> str:
    """Joins several texts in the Prometheus exposition format.

    The format wants the lines of one metric together. Each sample gets the label
    `process`; its value is the text's key.
    """
    headers: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for process, text in texts.items():
        family = ""
        fresh: set[str] = set()
        for line in text.splitlines():
            if line.startswith(("# HELP ", "# TYPE ")):
                family = line.split(" ", 3)[2]
                if family not in headers:
                    headers[family] = []
                    fresh.add(family)
                if family in fresh:
                    headers[family].append(line)
            elif line and not line.startswith("#"):
                samples.setdefault(family, []).append(labelled(line, process))
    lines = []
    for family in headers | dict.fromkeys(samples):
        lines += headers.get(family, []) + samples.get(family, [])
    return "\n".join(lines) + "\n"


def labelled(sample: str, process: str) -> str:
    """Puts the label `process` before the sample's other labels."""
    name = _NAME.match(sample)
    if name is None:
        return sample
    rest = sample[name.end() :]
    if rest.startswith("{}"):
        return f'{name[0]}{{process="{process}"}}{rest[2:]}'
    if rest.startswith("{"):
        return f'{name[0]}{{process="{process}",{rest[1:]}'
    return f'{name[0]}{{process="{process}"}}{rest}'
