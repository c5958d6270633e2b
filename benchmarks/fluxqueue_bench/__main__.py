"""`scripts/bench`: measures FluxQueue, alone or alongside its peers.

scripts/bench --quick      under three minutes; prints a table
scripts/bench --full       every measure and every peer, three times; keeps the results
scripts/bench --against FOLDER    this build and that of another checkout, in alternation
scripts/bench telemetry    what telemetry costs per task
scripts/bench report       tables and plots of the results, into docs/benchmarks.md
scripts/bench periodic     how late ten thousand periodic tasks are
scripts/bench limits       what a claim costs beside a million tasks that wait for their limits
scripts/bench middleware   what middleware and a dependency cost for each task
scripts/bench free-threads  a worker on a Python without the GIL, and on one with it
scripts/bench shares       where the processor time of a task goes
scripts/bench flame        flame graphs of the worker and of enqueueing, into docs/images
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from . import (
    against,
    flame,
    free_threads,
    limits,
    machine,
    middleware,
    periodic,
    report,
    shares,
    telemetry,
)
from .peers.environments import install
from .peers.library import all_libraries
from .results import RESULTS
from .run import Runner


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=(
            "run",
            "telemetry",
            "report",
            "shares",
            "flame",
            "periodic",
            "limits",
            "middleware",
            "free-threads",
        ),
        default="run",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="fewer measures and tasks, one repeat")
    how.add_argument("--full", action="store_true", help="with the peers")
    parser.add_argument(
        "--against", type=Path, help="another checkout, set up: measure both in alternation"
    )
    parser.add_argument("--repeats", type=int, help="how often each is measured (3; quick: 1)")
    parser.add_argument("--only", default="", help="only measures or libraries with this in them")
    parser.add_argument("--peers", help="only these, by name, with commas between them")
    parser.add_argument(
        "--instructions", action="store_true", help="telemetry: count instructions (by valgrind)"
    )
    parser.add_argument("--output", type=Path, help="the file of the results (full: a new one)")
    parser.add_argument("--results", type=Path, help="report: the file to read (that of --full)")
    options = parser.parse_args()
    repeats = options.repeats or (1 if options.quick else 3)
    if options.against is not None:
        return against.main(options.against, options.quick, repeats, options.only)
    match options.what:
        case "telemetry":
            print(", ".join(f"{name} {value}" for name, value in machine.describe().items()))
            telemetry.main(options.quick, repeats, options.instructions)
            return 0
        case "report":
            return report.main(options.results)
        case "shares":
            return shares.main()
        case "flame":
            return flame.main()
        case "periodic":
            return periodic.main(options.quick)
        case "limits":
            return limits.main(options.quick)
        case "middleware":
            return middleware.main(options.quick)
        case "free-threads":
            return free_threads.main(options.quick, repeats)
    peers: list[str] = []
    if options.full or options.peers:
        libraries = {library.name: library for library in all_libraries()}
        peers = options.peers.split(",") if options.peers else list(libraries)
        if unknown := set(peers) - set(libraries):
            parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {[*libraries]}")
        for name in [name for name in peers if libraries[name].interpreter is None]:
            print(f"# {name}: left out, as {libraries[name].python} is not on PATH", flush=True)
            peers.remove(name)
        install(peers)
    output = options.output
    if options.full and output is None:
        output = RESULTS / "full.json"
    command = shlex.join(["scripts/bench", *sys.argv[1:]])
    failures = Runner(command, repeats, output, options.only).run(options.quick, peers)
    if failures:
        print(f"scripts/bench: {failures} measurements failed; see above", file=sys.stderr)
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
