"""One library: its application, its worker's settings, its environment.

`benchmarks/libraries/NAME/` has `app.py` and `library.toml`:

    environment = "rq"              # its requirements: benchmarks/requirements/rq.txt
    python = "python3.14"           # the command of its interpreter, by default the one that runs
    packages = ["rq", "redis"]      # whose versions the report names
    [[workers]]
    name = "fork worker (default)"
    commands = [["rq", "worker", "-u", "$BENCH_URL"]]   # the processes
    tasks = 2000                    # of a no-op run
    idle = true                     # memory and latency are measured too
    variables = { BENCH_CONC = "4" }
    needs = "BENCH_RQ_WORKER"       # left out where this environment variable is not set
    [results]                       # the worker of results_app.py, of the same form

A command's words may name environment variables, "$BENCH_URL" and that of `needs`
among them: so a program that no package has is found.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

from fluxqueue_bench.harness import FOLDER

LIBRARIES = FOLDER / "libraries"
# Virtual environments of the peers; FluxQueue itself is in that of the project.
ENVIRONMENTS = FOLDER.parent / ".cache" / "benchmark-peers"
OWN = "project"


@dataclass(frozen=True)
class WorkerSettings:
    """How a library's worker is started; see the module's text."""

    name: str
    commands: list[list[str]]
    tasks: int = 10_000
    idle: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    needs: str | None = None

    @property
    def available(self) -> bool:
        """Whether what it needs is there."""
        return self.needs is None or bool(os.environ.get(self.needs))

    def words(self, environment: dict[str, str]) -> list[list[str]]:
        """The commands, with the values of this environment."""
        return [[Template(w).safe_substitute(environment) for w in ws] for ws in self.commands]


@dataclass(frozen=True)
class Library:
    """A folder of benchmarks/libraries.

    Attributes:
        python: the command of its interpreter; None: the one that runs.
        enqueued: the calls of a measure of enqueueing.
        results: its worker for tasks whose results are kept; None if these are not measured.
    """

    name: str
    environment: str
    packages: list[str]
    workers: list[WorkerSettings]
    python: str | None = None
    enqueued: int = 5_000
    results: WorkerSettings | None = None

    @classmethod
    def load(cls, folder: Path) -> Library:
        data: dict[str, Any] = tomllib.loads((folder / "library.toml").read_text())
        workers = [WorkerSettings(**worker) for worker in data.pop("workers", [])]
        results = WorkerSettings(**found) if (found := data.pop("results", None)) else None
        return cls(name=folder.name, workers=workers, results=results, **data)

    @property
    def interpreter(self) -> str | None:
        """The file of its interpreter; None: there is none on PATH."""
        return sys.executable if self.python is None else shutil.which(self.python)

    @property
    def folder(self) -> Path:
        return LIBRARIES / self.name

    @property
    def binaries(self) -> Path:
        """The folder of its environment's commands."""
        if self.environment == OWN:
            return Path(sys.executable).parent
        return ENVIRONMENTS / self.environment / "bin"

    def variables(self, url: str, records: Path, more: dict[str, str]) -> dict[str, str]:
        """The environment of its processes."""
        inherited = {
            name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
        }
        return {
            **inherited,
            "PATH": f"{self.binaries}:{os.environ['PATH']}",
            "PYTHONPATH": f"{self.folder}:{LIBRARIES / 'common'}",
            "BENCH_URL": url,
            "BENCH_RECORDS": str(records),
            **more,
        }

    def versions(self) -> dict[str, str]:
        """Of its packages."""
        code = (
            "import json, sys; from importlib.metadata import version;"
            "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
        )
        command = [str(self.binaries / "python"), "-c", code, *self.packages]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        found: dict[str, str] = json.loads(run.stdout)
        return found


def all_libraries() -> list[Library]:
    """FluxQueue first, then by name."""
    folders = sorted(path.parent for path in LIBRARIES.glob("*/library.toml"))
    libraries = [Library.load(folder) for folder in folders]
    return sorted(libraries, key=lambda library: (library.environment != OWN, library.name))
