"""The command line of the chaos suite; `scripts/chaos --help` shows it."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path

from .driver import orders, perform
from .fault import Fault
from .faults import load, names
from .run import Result
from .table import MEANING, PEERS_MEANING, peers_table, table

QUICK_KILLS, QUICK_REPEATS = 20, 1
LONG_KILLS, LONG_REPEATS = 1000, 12
STACKS = 10


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Kills, stops, cuts and fills up real clients, workers, schedulers and "
        "Redis servers, and shows that no task is lost. Exits with 1 on any violation.",
    )
    parser.add_argument("--long", action="store_true", help="many trials of each; about an hour")
    parser.add_argument("--kills", type=int, metavar="N", help="SIGKILLs of processes, in total")
    parser.add_argument("--repeats", type=int, metavar="N", help="runs of each other fault")
    parser.add_argument(
        "--only", action="append", metavar="FAULT", choices=names(), help="may be repeated"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="of the first run of each fault")
    parser.add_argument("--stacks", type=int, default=STACKS, metavar="N", help="runs at a time")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for the files of the runs")
    parser.add_argument("--list", action="store_true", help="names the faults and ends")
    return parser.parse_args()


def main() -> int:
    options = _parse()
    # With it the runs end as well, and all that they have started.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    faults = {name: load(name) for name in options.only or names()}
    if options.list:
        for name, fault in faults.items():
            print(f"{name:28} {fault.title}")
        return 0
    violations: list[str] = []
    for name, fault in list(faults.items()):
        if (missing := fault.setup.missing()) is not None:
            del faults[name]
            print(f"skipped: {fault.title}: {missing}")
            if os.environ.get("CI") == "true":
                violations.append(f"{fault.title}: not done: {missing}")
    seed = int.from_bytes(os.urandom(3)) if options.seed is None else options.seed
    kills = options.kills or (LONG_KILLS if options.long else QUICK_KILLS)
    repeats = options.repeats or (LONG_REPEATS if options.long else QUICK_REPEATS)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="fluxqueue-chaos-"))
    started = time.monotonic()
    results = []
    todo = orders(faults, seed, kills, repeats)
    for result in perform(todo, folder, options.stacks):
        results.append(result)
        violations += _tell(result, faults[result.fault], len(results), len(todo), folder)
    _print_tables(faults, results)
    print(f"\n`{shlex.join(['scripts/chaos', *sys.argv[1:]])}`, seed {seed}, ", end="")
    print(f"{time.monotonic() - started:.0f} s, {len(violations)} violations")
    return 1 if violations else 0


def _tell(result: Result, fault: Fault, number: int, of: int, folder: Path) -> list[str]:
    """Prints how a run has ended; returns its violations."""
    state = "VIOLATION" if result.violations else "ok"
    print(f"{number}/{of} {state} {result.fault} {result.seed}: {fault.title}", file=sys.stderr)
    if result.violations:
        print(f"\n{fault.title}, seed {result.seed}:")
        for text in result.violations:
            print(f"  - {text}")
        place = folder / f"{result.fault}-{result.seed}"
        print(f"  again: scripts/chaos --only {result.fault} --seed {result.seed} --kills 1")
        print(f"  its files: {place}", flush=True)
    return result.violations


def _print_tables(faults: dict[str, Fault], results: list[Result]) -> None:
    print(f"\n{table(faults, results)}\n\n{MEANING}\n")
    print(f"{PEERS_MEANING}\n")
    print(peers_table([result for result in results if result.fault == "worker_killed"]))


if __name__ == "__main__":
    sys.exit(main())
