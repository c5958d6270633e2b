"""`scripts/bench report`: docs/benchmarks.md, from the results of a full run.

Edit the text around the tables in docs/benchmarks.md itself. This module writes the
parts between the marks `<!-- begin: NAME -->` and `<!-- end: NAME -->`.

The comparison with the peers is always from `full.json`. Goals and FluxQueue's own
measures are from a later run of FluxQueue alone (`alone.json`), if there is one. A run
that began before the full run measured older code, and is ignored.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from .distribution import only_plotted
from .goals import GOALS, Peer, Spreads
from .harness import FOLDER
from .results import RESULTS, Results, spreads

PAGE = FOLDER.parent / "docs" / "benchmarks.md"
IMAGES = FOLDER.parent / "docs" / "images" / "benchmarks"
ALONE = "alone.json"
# The values of the measure of awaited results.
AWAITED = ("one at a time, tasks/s", "one at a time, p50 ms", "1,000 in flight, tasks/s")


def main(path: Path | None) -> int:
    """Writes the page and its plots. Returns 1 if there are no results."""
    path = path or RESULTS / "full.json"
    if not path.exists():
        print(f"{path} does not exist; make it: scripts/bench --full", file=sys.stderr)
        return 1
    full = Results.load(path)
    alone = later_alone(path.with_name(ALONE), full)
    found = together(full, alone)
    page = PAGE.read_text()
    for name, text in sections(full, alone, found).items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(page):
            print(f"{PAGE} has no marks for {name}", file=sys.stderr)
            return 1
        section = f"{begin}\n\n{text}\n\n{end}"
        page = pattern.sub(lambda _, section=section: section, page)  # type: ignore[misc]
    PAGE.write_text(page)

    from . import plots  # its library is large

    for image in plots.draw(found, IMAGES):
        print(f"written: {image}")
    print(f"written: {PAGE}")
    return 0


def later_alone(path: Path, full: Results) -> Results | None:
    """The run alone, if there is one that was started after the full run."""
    if not path.exists():
        return None
    alone = Results.load(path)
    return alone if alone.started > full.started else None


def together(full: Results, alone: Results | None) -> Spreads:
    """Returns the rows to show: comparisons from the run with the peers, the rest from the
    later run without them if there is one. No row mixes both."""
    if alone is None:
        return spreads(full.rows)
    compared = [row for row in full.rows if row.group.endswith(", compared")]
    return spreads([*alone.rows, *compared])


def sections(full: Results, alone: Results | None, found: Spreads) -> dict[str, str]:
    """The parts of the page that the runs decide."""
    groups = dict.fromkeys(group for _, group, _, _ in found)
    own = [group for group in groups if not group.endswith(", compared")]
    return {
        "run": about(full)
        if alone is None
        else f"**With the peers.** {about(full)}\n\n**FluxQueue alone, later.** {about(alone)}",
        "goals": goals(found),
        "peers": peers(found),
        "own": "\n\n".join(f"### {group}\n\n{own_table(found, group)}" for group in own),
    }


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def about(results: Results) -> str:
    """Machine, versions and command."""
    repeats = 1 + max(row.repeat for row in results.rows)
    day = time.strftime("%Y-%m-%d", time.gmtime(results.started))
    machine = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    versions = "; ".join(
        f"{library}: {', '.join(f'{name} {version}' for name, version in packages.items())}"
        for library, packages in results.versions.items()
    )
    failed = [f"- {row.library}, {row.name}: {row.error}" for row in results.rows if row.error]
    text = (
        f"Made on {day} by `{results.command}`, each figure the median of {repeats} repeats"
        f" (least to most in brackets).\n\nMachine: {machine}."
    )
    text += f"\n\nVersions: {versions}." if versions else ""
    return text + ("\n\nFailed:\n\n" + "\n".join(failed) if failed else "")


def goals(found: Spreads) -> str:
    """Goal, measured, reached; then the peers of the goal, with their figures on the
    machine where it was set and on this one."""
    rows = []
    for goal in GOALS:
        try:
            value = goal.value(found)
        except KeyError:
            verdict = ["not measured", ""]
        else:
            verdict = [_number(value), "yes" if goal.reached(value) else "**no**"]
        then = [f"{peer.name} {peer.then:,}{peer.unit}" for peer in goal.peers]
        here = [_peer_here(peer, found) for peer in goal.peers]
        rows.append([goal.measure, goal.text, *verdict, "; ".join(then), "; ".join(here)])
    head = ["measure", "goal", "measured", "reached"]
    return _table([*head, "best others where the goals were set", "the same ones here"], rows)


def _peer_here(peer: Peer, found: Spreads) -> str:
    value = peer.here(found)
    return f"{peer.name} -" if value is None else f"{peer.name} {_number(value)}{peer.unit}"


def _number(value: float) -> str:
    digits = 0 if value >= 100 or not value else 4 if value < 0.1 else 3 if value < 2 else 2
    return f"{value:,.{digits}f}"


def peers(found: Spreads) -> str:
    """One row per library: enqueueing, worker at its first and best settings, idle; and results, if
    the run has measured them."""
    has_results = any(group == "Results, compared" for _, group, _, _ in found)
    libraries = dict.fromkeys(lib for lib, group, _, _ in found if group.endswith(", compared"))
    head = [
        *("library", "enqueue one at a time, /s", "100 gathered, /s", "bulk, /s"),
        *("worker, first settings, /s", "CPU s/1k", "worker, best settings, /s", "CPU s/1k"),
        *("idle PSS MiB", "idle p50 ms", "idle p99 ms"),
        *(f"result, {what}" for what in AWAITED if has_results),
    ]
    rows = []
    for library in libraries:

        def value(group: str, name: str, what: str, library: str = library) -> str:
            spread = found.get((library, f"{group}, compared", name, what))
            return "-" if spread is None else str(spread)

        settings = list(
            dict.fromkeys(n for lib, g, n, _ in found if (lib, g) == (library, "Worker, compared"))
        )
        first, best = (settings[0], settings[-1]) if settings else ("", "")
        rows.append(
            [
                library,
                *(value("Enqueue", mode, "tasks/s") for mode in ("seq", "gather", "bulk")),
                *(value("Worker", first, what) for what in ("tasks/s", "worker CPU s/1k")),
                *(value("Worker", best, what) for what in ("tasks/s", "worker CPU s/1k")),
                *(value("Idle", first, what) for what in ("PSS MiB", "p50 ms", "p99 ms")),
                *(value("Results", "results", what) for what in AWAITED if has_results),
            ]
        )
    return _table(head, rows)


def own_table(found: Spreads, group: str) -> str:
    """Returns a table of all values of a group, except those for the plots only."""
    rows = [
        [name, what, str(spread)]
        for (library, where, name, what), spread in found.items()
        if library == "fluxqueue" and where == group and not only_plotted(what)
    ]
    return _table(["measure", "unit", "median (least to most)"], rows)
