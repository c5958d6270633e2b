"""The backend works with Django 6, which needs a newer interpreter than these tests do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import django_source
from support.distributions import PACKAGES, ROOT, Built
from support.interpreters import build_core, find
from support.virtual_environment import VirtualEnvironment

pytestmark = [pytest.mark.xdist_group("packaging"), pytest.mark.timeout(1800)]

# Django 6 runs on these.
VERSIONS = ["3.14", "3.13", "3.12"]
TESTS = [f"tests/integration/test_django_{name}.py" for name in ("backend", "commit", "results")]
CONTRACT = "tests/integration/test_django_contract.py"
TOOLS = ("pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "psutil", "redis")


@pytest.fixture(scope="module")
def environment(
    built: Built, dependencies: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> VirtualEnvironment:
    """Our packages and the tools of the tests, on such an interpreter."""
    python = next(filter(None, map(find, VERSIONS)), None)
    if python is None:
        pytest.skip(f"there is no CPython {', '.join(VERSIONS)} here, which Django 6 needs")
    folder = tmp_path_factory.mktemp("django")
    core = folder / "core"
    if python == sys.executable:
        core = built.folder
    else:
        build_core(python, core)
    environment = VirtualEnvironment(folder / "venv", python)
    environment.install(PACKAGES, core, built.folder, dependencies(python))
    constraint = folder / "constraint.txt"
    pins = (ROOT / "requirements-dev.txt").read_text().splitlines()
    constraint.write_text("\n".join(pin for pin in pins if not pin.startswith("django==")))
    environment.pip("install", "--constraint", constraint, *TOOLS)
    return environment


@pytest.mark.interpreters
@pytest.mark.parametrize("version", ["6.0.10", django_source.VERSION])
def test_the_backend_works_with_django_6(
    environment: VirtualEnvironment, version: str, tmp_path: Path
) -> None:
    environment.pip("install", f"Django=={version}")
    said = environment.run(
        "python",
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, CONTRACT),
        cwd=ROOT,
        **{django_source.ARCHIVE: str(django_source.archive(tmp_path))},
    )
    last = said.splitlines()[-1]
    # The decorator of 6.0 takes no options.
    assert " passed" in last and ("1 skipped" in last) == version.startswith("6.0"), said
