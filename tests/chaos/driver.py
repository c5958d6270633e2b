"""Many runs at the same time, each a process with its own Redis."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from .evidence import Verdict
from .fault import Fault
from .run import Result
from .stack import TESTS

# Seconds after which a run that has not ended is given up.
PATIENCE = 900.0


@dataclass(frozen=True)
class Order:
    """One run to be made."""

    fault: str
    seed: int
    trials: int


def orders(faults: dict[str, Fault], seed: int, kills: int, repeats: int) -> list[Order]:
    """The runs for all these faults, those that take longest first.

    Args:
        seed: of the first run of each fault; the others follow.
        kills: the least number of SIGKILLs in total.
        repeats: runs of each other fault.
    """
    killing = [name for name, fault in faults.items() if fault.kills]
    found = []
    for name, fault in faults.items():
        runs = repeats
        if fault.kills:
            runs = max(1, math.ceil(kills / len(killing) / fault.trials))
        found += [Order(name, seed + number, fault.trials) for number in range(runs)]
    return sorted(found, key=lambda order: -order.trials * faults[order.fault].seconds)


def perform(todo: Sequence[Order], folder: Path, stacks: int) -> Iterator[Result]:
    """Makes the runs, `stacks` at a time, and yields each as it ends. When the
    generator is left early, the runs under way are ended."""
    processes: set[subprocess.Popen[bytes]] = set()
    with ThreadPoolExecutor(stacks) as pool:
        running = [pool.submit(_perform, order, folder, processes) for order in todo]
        try:
            for future in as_completed(running):
                yield future.result()
        finally:
            for future in running:
                future.cancel()
            for process in list(processes):
                process.terminate()


def _perform(order: Order, folder: Path, processes: set[subprocess.Popen[bytes]]) -> Result:
    place = folder / f"{order.fault}-{order.seed}"
    command = [sys.executable, "-m", "chaos.run", order.fault, str(order.seed)]
    process = subprocess.Popen(
        [*command, str(order.trials), str(place)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": TESTS},
    )
    processes.add(process)
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.terminate()
        output, errors = process.communicate()
        errors += f"it did not end in {PATIENCE:g} s".encode()
    finally:
        processes.discard(process)
    try:
        fields = json.loads(output)
    except ValueError:
        text = errors.decode(errors="replace")[-2000:]
        return Result(order.fault, order.seed, violations=[f"the run died: {text}"])
    fields["verdict"] = Verdict(**fields["verdict"])
    return Result(**fields)
