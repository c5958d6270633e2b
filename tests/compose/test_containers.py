"""The processes in the containers, and their users."""

from __future__ import annotations

import subprocess

import pytest
from support.stack import Stack, run
from support.waiting import wait_until

SERVICES = {"redis": 1, "scheduler": 2, "worker": 2, "dashboard": 1, "api": 1, "jaeger": 1}
OURS = ["scheduler", "worker", "dashboard", "api"]
BUILD_TOOLS = ["cc", "gcc", "cargo", "rustc", "maturin", "make"]


@pytest.mark.parametrize("service", SERVICES)
def test_all_are_healthy_unprivileged_and_write_nothing(stack: Stack, service: str) -> None:
    containers = stack.containers(service)
    assert len(containers) == SERVICES[service]
    for container in containers:
        found = stack.inspect(container)
        assert found["State"]["Health"]["Status"] == "healthy"
        assert found["HostConfig"]["ReadonlyRootfs"] is True
        assert found["HostConfig"]["CapDrop"] == ["ALL"]
        assert stack.execute(container, "sh", "-c", "grep ^Uid: /proc/1/status").split()[1] != "0"


@pytest.mark.parametrize("service", OURS)
def test_no_build_tools_are_in_the_image(stack: Stack, service: str) -> None:
    container = stack.containers(service)[0]
    script = f"for tool in {' '.join(BUILD_TOOLS)}; do command -v $tool; done; true"
    assert stack.execute(container, "sh", "-c", script) == ""


@pytest.mark.parametrize("service", OURS)
def test_a_signal_reaches_the_process(stack: Stack, service: str) -> None:
    found = stack.inspect(stack.containers(service)[0])["Config"]
    assert found["StopSignal"] == "SIGTERM"
    assert found["Entrypoint"][0] not in ("sh", "/bin/sh")


def probe(container: str, path: str) -> tuple[int, str]:
    """Exit code and output of the image's own probe."""
    command = ["python", "-m", "fluxqueue_core.service.probe", f"8080/{path}"]
    done = subprocess.run(
        ["docker", "exec", container, *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("service", ["scheduler", "worker"])
def test_without_redis_it_is_live_and_not_ready(stack: Stack, service: str) -> None:
    container = stack.containers(service)[0]
    assert probe(container, "readyz") == (0, '{"status":"ok"}\n')
    stack.compose("pause", "redis")
    try:
        wait_until(lambda: probe(container, "readyz")[0] == 1, what="not ready")
        assert "Redis" in probe(container, "readyz")[1]
        assert probe(container, "livez") == (0, '{"status":"ok"}\n')
    finally:
        stack.compose("unpause", "redis")
    wait_until(lambda: probe(container, "readyz")[0] == 0, what="ready again")


def test_the_probe_of_a_process_that_hangs_fails(stack: Stack) -> None:
    container = stack.containers("scheduler")[0]
    run("docker", "kill", "--signal", "STOP", container)
    try:
        code, text = probe(container, "livez")
        assert code == 1 and "no answer" in text
    finally:
        run("docker", "kill", "--signal", "CONT", container)
    assert probe(container, "livez")[0] == 0
