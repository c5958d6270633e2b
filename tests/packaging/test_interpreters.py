"""The packages work on every CPython that they say they support."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.distributions import PACKAGES, ROOT, Built
from support.interpreters import abi_of, build_core, find
from support.virtual_environment import VirtualEnvironment, run
from support.worker_process import wait_until

pytestmark = [pytest.mark.xdist_group("packaging"), pytest.mark.timeout(1800)]

VERSIONS = ["3.11", "3.12", "3.13", "3.14", "3.15", "3.14t", "3.15t"]
# Tests that a client in the interpreter passes.
OF_CLIENTS = [
    "unit/client/test_newer_python.py",
    "unit/core/test_deadlines.py",
    "unit/core/test_free_threads.py",
    "unit/core/test_json_codec.py",
    "integration/test_core_enqueue.py",
    "integration/test_client_enqueue_async.py",
]
# Tests that a worker in the interpreter passes: how an exception reaches a thread, and what a fork
# leaves of a loop, differ from one interpreter to the next.
OF_WORKERS = [
    "crash/test_worker_killed.py",
    "integration/test_worker_cancel.py",
    "integration/test_worker_tasks.py",
    "integration/test_worker_timeouts.py",
]

APP = """
import pathlib
from fluxqueue import FluxQueue

fluxqueue = FluxQueue(None)

@fluxqueue.task()
def add(a: int, b: int) -> None:
    pathlib.Path("sum").write_text(str(a + b))

@fluxqueue.task()
async def multiply(a: int, b: int) -> None:
    pathlib.Path("product").write_text(str(a * b))
"""
ENQUEUE = "import asyncio, app; app.add(2, 3); asyncio.run(app.multiply(4, 5))"


@pytest.fixture(scope="session")
def core_for(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives, for an interpreter, a folder with a wheel of the core. Builds one for each ABI."""
    folders: dict[str, Path] = {}

    def get(python: str) -> Path:
        abi = python if python == sys.executable else abi_of(python)
        if abi not in folders:
            folder = folders[abi] = tmp_path_factory.mktemp("core")
            if python == sys.executable:
                shutil.copy(built.wheels["fluxqueue-core"], folder)
            else:
                build_core(python, folder)
        return folders[abi]

    return get


@pytest.mark.interpreters
@pytest.mark.parametrize("version", VERSIONS)
def test_a_worker_runs_what_a_client_enqueues(
    built: Built,
    dependencies: Callable[..., Path],
    core_for: Callable[[str], Path],
    redis_url: str,
    version: str,
    tmp_path: Path,
) -> None:
    python = find(version)
    if python is None:
        pytest.skip(f"there is no CPython {version} here")
    core = core_for(python)
    environment = VirtualEnvironment(tmp_path / "venv", python, installer=python)
    environment.install(PACKAGES, core, built.folder, dependencies(python))

    (tmp_path / "app.py").write_text(APP)
    variables = {"FLUXQUEUE_REDIS_URL": redis_url}
    environment.run("python", "-c", ENQUEUE, cwd=tmp_path, **variables)
    with subprocess.Popen(
        [environment.bin / "fluxqueue", "start", "-t", "app"],
        cwd=tmp_path,
        env=variables,
    ) as worker:
        try:
            wait_until(lambda: (tmp_path / "sum").exists(), what="the sync task")
            wait_until(lambda: (tmp_path / "product").exists(), what="the async task")
            worker.terminate()
            assert worker.wait(30) == 0
        finally:
            worker.kill()
    assert (tmp_path / "sum").read_text() == "5"
    assert (tmp_path / "product").read_text() == "20"

    wanted = ("pytest", "pytest-timeout", "hypothesis", "redis")
    environment.pip("install", "--constraint", ROOT / "requirements-dev.txt", *wanted)
    tests = [ROOT / "tests" / name for name in OF_CLIENTS]
    options = ("-q", "-p", "no:cacheprovider")
    environment.run("python", "-m", "pytest", *options, *tests, cwd=ROOT)
    if python != sys.executable:
        run_tests_with_workers_of(environment)


def run_tests_with_workers_of(environment: VirtualEnvironment) -> None:
    """Runs tests of workers here, with workers of that environment. It has no OpenTelemetry, which
    the metrics need."""
    said = run(
        *(sys.executable, "-m", "pytest", "-q", "-n", "4", "-p", "no:cacheprovider"),
        *("-k", "not metrics and (fork or not worker_tasks)"),
        *(ROOT / "tests" / name for name in OF_WORKERS),
        cwd=ROOT,
        FLUXQUEUE_TEST_PYTHON=str(environment.python),
    )
    assert " passed" in said.splitlines()[-1]
