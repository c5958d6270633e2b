"""`scripts/bench free-threads`: a worker on a build of Python without the GIL, and on one with it.

The interpreters are those on PATH, or in the folder FLUXQUEUE_PYTHONS. Each gets an environment
with the packages of this checkout.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from . import machine
from .harness import FOLDER, Bench
from .measures.working import no_op
from .peers import library

# With the GIL first.
VERSIONS = ("3.14", "3.14t")
PACKAGES = ("packages/fluxqueue-core-rs", "packages/fluxqueue-client", "packages/fluxqueue-worker")
GOALS = {"cores": 1.8, "no-op": 1.0}


def interpreter(version: str) -> Path:
    """The interpreter of a version.

    Raises:
        RuntimeError: there is none.
    """
    provided = Path(os.environ.get("FLUXQUEUE_PYTHONS", os.devnull), f"venv-{version}/bin/python")
    found = shutil.which(f"python{version}") or (str(provided) if provided.exists() else None)
    if found is None:
        raise RuntimeError(
            f"there is no python{version} on PATH; install it, or set FLUXQUEUE_PYTHONS to a "
            f"folder with venv-{version}"
        )
    return Path(found)


def install(version: str) -> Path:
    """Installs the packages for an interpreter, and returns that of the environment."""
    folder = library.ENVIRONMENTS / f"python-{version}"
    base, python = interpreter(version), folder / "bin" / "python"
    print(f"# installing for {version}", file=sys.stderr, flush=True)
    if not python.exists():
        subprocess.run([base, "-m", "venv", "--without-pip", folder], check=True)
    # Cargo would compile everything again at each change of interpreter.
    variables = {**os.environ, "CARGO_TARGET_DIR": str(folder / "target")}
    pip = [str(base), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    pip += ["--python", str(python), "install"]
    packages = [str(FOLDER.parent / package) for package in PACKAGES]
    subprocess.run([*pip, "redis", *packages], check=True, env=variables)
    # pip takes a package of the same version as installed, but its code may have changed.
    subprocess.run([*pip, "--no-deps", "--force-reinstall", *packages[1:]], check=True)
    return python


def computing(bench: Bench, n: int, cores: set[int]) -> float:
    """Tasks per second that compute, in a worker with two slots on these cores."""
    bench.reset()
    bench.enqueue("fill-compute", n)
    bench.cores = cores
    try:
        with bench.worker("-c", "2"):
            bench.wait_for(n)
    finally:
        bench.cores = None
    ends = [end for _, end, _ in bench.records()]
    return (n - 1) / ((max(ends) - min(ends)) / 1e9)


def main(quick: bool, repeats: int) -> int:
    """Prints a table. Returns 1 if a goal is missed."""
    print(", ".join(f"{name} {value}" for name, value in machine.describe().items()))
    first, second, *_ = sorted(os.sched_getaffinity(0))
    n_noop, n_compute = (60_000, 200) if quick else (400_000, 600)
    measures: dict[str, Callable[[Bench], float]] = {
        "no-op tasks/s": lambda bench: no_op(bench, "fill", n_noop)["tasks/s"],
        "computing tasks/s, one core": lambda bench: computing(bench, n_compute, {second}),
        "computing tasks/s, two cores": lambda bench: computing(bench, n_compute, {first, second}),
    }
    pythons = {version: install(version) for version in VERSIONS}
    found: dict[tuple[str, str], list[float]] = {}
    with Bench() as bench:
        # In turns, so that what else the machine does falls on all alike.
        for _ in range(repeats):
            for name, measure in measures.items():
                for version, python in pythons.items():
                    bench.worker_python = str(python)
                    found.setdefault((name, version), []).append(measure(bench))
    medians = {key: statistics.median(values) for key, values in found.items()}
    print(f"\n| measure | {' | '.join(VERSIONS)} |\n|---|---|---|")
    for name in measures:
        print(f"| {name} | {' | '.join(f'{medians[name, v]:,.0f}' for v in VERSIONS)} |")
    one, two = (f"computing tasks/s, {cores}" for cores in ("one core", "two cores"))
    gains = {version: medians[two, version] / medians[one, version] for version in VERSIONS}
    share = medians["no-op tasks/s", VERSIONS[1]] / medians["no-op tasks/s", VERSIONS[0]]
    print(f"| two cores over one | {' | '.join(f'{gains[v]:.2f}' for v in VERSIONS)} |")
    print(f"| no-op, over {VERSIONS[0]} | 1.00 | {share:.2f} |")
    reached = gains[VERSIONS[1]] >= GOALS["cores"], share >= GOALS["no-op"]
    print(f"\ngoals: two cores over one {GOALS['cores']}, no-op {GOALS['no-op']}:", *reached)
    return int(not all(reached))
