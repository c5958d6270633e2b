"""The tables that `scripts/chaos` prints, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from .fault import Fault
from .peers import PEERS, TASKS, Recovery
from .run import Result

HEADINGS = (
    "fault",
    "trials",
    "tasks",
    "lost",
    "run twice",
    "not in flight",
    "recovery p50 (s)",
    "max (s)",
)

PEER_HEADINGS = (
    "killed worker",
    "default settings: tasks ended",
    "the last, s",
    "safest settings: tasks ended",
    "the last, s",
)

MEANING = """\
Lost: the call returned, and the task did not come to its end. Not in flight: run twice although
no lost worker was running it or had just ended it. Recovery: from the death, stop or cut of a
worker until all that it ran has begun elsewhere; from the end of any other fault until a task that
was called after it has ended; from the death or stop of a scheduler until a retry has begun."""
PEERS_MEANING = """\
Other libraries: a worker with 200 tasks was killed and started again. The table shows how many of
the tasks had ended 120 s later, and when the last had; "-": not all had."""


def table(faults: Mapping[str, Fault], results: Sequence[Result]) -> str:
    """One row per fault that has been done, and the sum."""
    rows = []
    for name, fault in faults.items():
        own = [result for result in results if result.fault == name]
        if own:
            rows.append(_row(fault.title, own))
    rows.append(_row("all", results))
    return _markdown(HEADINGS, rows)


def _row(title: str, results: Iterable[Result]) -> list[str]:
    results = list(results)
    recoveries = [seconds for result in results for seconds in result.recoveries]
    verdicts = [result.verdict for result in results]
    lost = str(sum(len(verdict.lost) for verdict in verdicts))
    by_redis = sum(len(verdict.lost_by_redis) for verdict in verdicts)
    if by_redis:
        lost += f" (+{by_redis} by Redis)"
    return [
        title,
        str(sum(result.trials for result in results)),
        str(sum(verdict.tasks for verdict in verdicts)),
        lost,
        str(sum(len(verdict.run_twice) for verdict in verdicts)),
        str(sum(len(verdict.not_in_flight) for verdict in verdicts)),
        f"{median(recoveries):.1f}" if recoveries else "-",
        f"{max(recoveries):.1f}" if recoveries else "-",
    ]


def peers_table(killed: Sequence[Result]) -> str:
    """The figures of other libraries, and ours for the same fault."""
    rows = []
    for peer in PEERS:
        safest = _recovery(peer.safest) if peer.safest else ["none documented", "-"]
        rows.append([peer.name, *_recovery(peer.default), *safest])
    recoveries = [seconds for result in killed for seconds in result.recoveries]
    if recoveries:
        tasks = sum(result.verdict.tasks for result in killed)
        ended = tasks - sum(len(result.verdict.lost) for result in killed)
        own = [f"{ended} of {tasks} ({len(recoveries)} kills)", f"{max(recoveries):.0f}"]
        rows.append(["fluxqueue (this run)", *own, "the default is", "-"])
    return _markdown(PEER_HEADINGS, rows)


def _recovery(recovery: Recovery) -> list[str]:
    last = "-" if recovery.last is None else str(recovery.last)
    return [f"{recovery.ended} of {TASKS}", last]


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
