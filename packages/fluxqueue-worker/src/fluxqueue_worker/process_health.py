"""The health of all worker processes at one endpoint, the supervisor's.

Each process answers on a port of its own, that only this machine reaches; the
supervisor asks them whenever it is asked itself.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from fluxqueue_core.service.probe import get

if TYPE_CHECKING:
    from .process import Process
    from .supervisor import Supervisor

# Seconds that processes have for their answers: less than a probe would wait.
PATIENCE = 3.0
# Seconds without a turn after which the supervisor itself counts as stuck.
STUCK = 10.0

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# Status and body; None: no answer.
Answer = tuple[int, str] | None


class ProcessHealth:
    """Answers for the supervisor."""

    def __init__(self, supervisor: Supervisor, clock: Callable[[], float] = monotonic) -> None:
        self._supervisor = supervisor
        self._clock = clock

    def live(self) -> list[str]:
        """Why only a restart helps. A process that has died is not among it: it is
        started again; nor one that is still loading the application."""
        reasons = []
        if (age := self._clock() - self._supervisor.turned_at) > STUCK:
            reasons.append(f"the supervisor has not gone round for {age:.1f} s")
        for process, answer in self._ask("/livez"):
            if answer is None or answer[0] != 200:
                reasons += self._reasons(process, answer)
        return reasons

    def ready(self) -> list[str]:
        """Why no process takes tasks; empty: at least one does."""
        if self._supervisor.draining:
            return ["the worker drains"]
        reasons = []
        for process, answer in self._ask("/readyz"):
            if answer is not None and answer[0] == 200:
                return []
            reasons += self._reasons(process, answer)
        return reasons or ["no process is up"]

    def metrics(self) -> tuple[str, bytes] | None:
        """What all processes tell, each with the label `process`; None where
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
        """The answers of all that are up, asked side by side."""
        asked = [p for p in self._supervisor.processes if p.runs and p.was_up]
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
            # One that has ended meanwhile says nothing, and is no reason for anything.
            if answer is not None or (process.runs and process.was_up)
        ]


def merged(texts: dict[str, str]) -> str:
    """Several texts in the Prometheus exposition format as one.

    The lines of one metric stand together, as the format wants it, and each
    sample gets the label `process`, whose value is the text's key.
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
    """The sample with the label `process` before its others."""
    name = _NAME.match(sample)
    if name is None:
        return sample
    rest = sample[name.end() :]
    if rest.startswith("{}"):
        return f'{name[0]}{{process="{process}"}}{rest[2:]}'
    if rest.startswith("{"):
        return f'{name[0]}{{process="{process}",{rest[1:]}'
    return f'{name[0]}{{process="{process}"}}{rest}'
