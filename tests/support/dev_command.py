"""Runs `fluxqueue dev` in the network of a test, with stand-ins for worker and scheduler."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .network_namespace import in_network_of

# Says when it is ready and when it ends; `linger` wants a second SIGTERM.
STAND_IN = """
import os, signal, socket, sys, urllib.parse

telling = [word for word in sys.argv if word.startswith("--tell-redis=")]
if telling:
    if "exit" in sys.argv:
        sys.exit(3)
    if "usage" in sys.argv:
        print("fluxqueue-worker: wrong", file=sys.stderr)
        sys.exit(2)
    os.write(int(telling[0].partition("=")[2]), os.environ.get("URL_IN_CODE", "").encode())
    sys.exit(0)

def say(*words):
    # In one write: two processes share the pipe.
    os.write(1, (" ".join([__package__, *words]) + "\\n").encode())

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
say("ready", str(os.getpid()), os.environ["FLUXQUEUE_REDIS_URL"], *sys.argv[1:])
if "TELL_FORMAT" in os.environ:
    say("logs", os.environ["FLUXQUEUE_LOG_FORMAT"])
if "exit" in sys.argv:
    sys.exit(5)
signal.sigwait([signal.SIGTERM])
if "linger" in sys.argv:
    say("lingers")
    signal.sigwait([signal.SIGTERM])
url = urllib.parse.urlsplit(os.environ["FLUXQUEUE_REDIS_URL"])
with socket.create_connection((url.hostname, url.port)) as redis:
    redis.sendall(b"PING\\r\\n")
    say("ended", redis.recv(7).decode().strip())
"""


def put_stand_ins(folder: Path) -> None:
    """Makes a working directory from which Python imports the stand-ins first."""
    for name in ("fluxqueue_worker", "fluxqueue_scheduler", "fluxqueue_dashboard"):
        package = folder / "packages" / name
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(STAND_IN)


@contextlib.contextmanager
def dev(
    folder: Path, *options: str, network: int, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FLUXQUEUE_")}
    inherited = os.environ.get("PYTHONPATH", "")
    # Tests of the dashboard say so.
    environment["FLUXQUEUE_DEV_DASHBOARD"] = "no"
    environment["PYTHONPATH"] = os.pathsep.join([str(folder / "packages"), inherited])
    process = subprocess.Popen(
        in_network_of(network, [sys.executable, "-m", "fluxqueue", "dev", *options]),
        cwd=folder,
        env={**environment, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], *wanted: str) -> list[str]:
    """Reads lines until every wanted text has been in one."""
    missing = set(wanted)
    lines: list[str] = []
    assert process.stdout is not None
    while missing:
        line = process.stdout.readline()
        assert line, f"ended without {missing}; said {lines}"
        lines.append(line.rstrip())
        missing = {text for text in missing if text not in line}
    return lines


def ready(process: subprocess.Popen[str]) -> dict[str, list[str]]:
    """Returns the words of each stand-in's first line: pid, URL, arguments."""
    lines = lines_until(process, "fluxqueue_worker ready", "fluxqueue_scheduler ready")
    words = [line.split() for line in lines]
    found = {line[0]: line[2:] for line in words if line[1:2] == ["ready"]}
    found["said"] = lines
    return found


def rest(process: subprocess.Popen[str]) -> list[str]:
    output, _ = process.communicate(timeout=30)
    return output.splitlines()
