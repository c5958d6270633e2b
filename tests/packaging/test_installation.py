"""The packages and commands that each package installs in a clean environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.distributions import PACKAGES, version
from support.virtual_environment import EnvironmentWith

pytestmark = [pytest.mark.xdist_group("packaging"), pytest.mark.timeout(1800)]

# Dependencies of third-party distributions, on some interpreters.
INDIRECT = {
    *("async-timeout", "typing-extensions"),
    # Of Jinja2, Starlette and uvicorn.
    *("markupsafe", "anyio", "idna", "sniffio", "click", "h11"),
}

each_package = pytest.mark.parametrize("name", PACKAGES)


@each_package
def test_a_package_brings_its_siblings_and_its_dependencies_only(
    environment_with: EnvironmentWith, name: str
) -> None:
    package = PACKAGES[name]
    installed = environment_with(name).installed()
    ours = {n: found for n, found in installed.items() if n in PACKAGES}
    assert ours == dict.fromkeys({name, *package.siblings}, version())
    assert installed.keys() - ours.keys() - INDIRECT == package.brings


@each_package
def test_its_commands_are_there_and_no_others(environment_with: EnvironmentWith, name: str) -> None:
    package = PACKAGES[name]
    wanted = set(package.scripts)
    for sibling in package.siblings:
        wanted |= PACKAGES[sibling].scripts
    found = {file.name for file in environment_with(name).bin.glob("fluxqueue*")}
    assert found == wanted


@each_package
def test_each_package_can_be_imported_alone(
    environment_with: EnvironmentWith, name: str, tmp_path: Path
) -> None:
    module = PACKAGES[name].module
    code = f"import {module}; print({module}.__version__)"
    assert environment_with(name).run("python", "-c", code, cwd=tmp_path).strip() == version()


@pytest.mark.parametrize(
    ("name", "command", "text"),
    [
        ("fluxqueue", "fluxqueue", "--find-links wheels fluxqueue-control fluxqueue-"),
        ("fluxqueue-worker", "fluxqueue", "start"),
        ("fluxqueue-worker", "fluxqueue-worker", "--concurrency"),
        ("fluxqueue-scheduler", "fluxqueue-scheduler", "--lease"),
        ("fluxqueue-dashboard", "fluxqueue-dashboard", "--people"),
    ],
)
def test_the_commands_say_what_they_can_do(
    environment_with: EnvironmentWith, name: str, command: str, text: str, tmp_path: Path
) -> None:
    assert text in environment_with(name).run(command, "--help", cwd=tmp_path)


@pytest.mark.parametrize("subcommand", ["start", "scheduler", "dashboard", "dev", "cancel"])
def test_the_one_command_finds_the_subcommands_of_all_packages(
    environment_with: EnvironmentWith, subcommand: str, tmp_path: Path
) -> None:
    environment = environment_with(*PACKAGES)
    text = environment.run("fluxqueue", subcommand, "--help", cwd=tmp_path)
    assert f"fluxqueue {subcommand}" in text
