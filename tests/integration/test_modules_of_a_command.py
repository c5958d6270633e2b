"""A command of an operator loads redis-py, what the command needs, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

# redis-py itself loads asyncio, and the SDK of OpenTelemetry if it is installed.
_OF_REDIS = "import redis, redis.sentinel"
_COMMAND = "from fluxqueue.cli import main; main({argv!r})"
_ENDS = "\nimport sys; print('loaded', *sorted(sys.modules))"
NOT_NEEDED = {
    "fluxqueue.client",
    "fluxqueue.exports",
    "fluxqueue_dashboard",
    "fluxqueue_scheduler",
    "fluxqueue_worker",
    "jinja2",
    "msgspec",
    "opentelemetry.sdk",
    "rich",
    "starlette",
    "structlog",
    "textual",
}


def _loaded(statement: str) -> set[str]:
    """The modules that are loaded after a statement, in a new interpreter."""
    # -S: what site-packages' .pth files import is not ours.
    path = "import sys; sys.path[:0] = " + repr(sys.path) + "\n"
    done = subprocess.run(
        [sys.executable, "-S", "-c", path + statement + _ENDS],
        capture_output=True,
        text=True,
        check=True,
    )
    first, *names = done.stdout.splitlines()[-1].split()
    assert first == "loaded"
    return set(names)


@pytest.mark.parametrize("command", ["queues", "workers", "dead list", "search x"])
def test_a_command_loads_little_besides_redis_py(command: str, redis_url: str) -> None:
    of_redis = _loaded(_OF_REDIS)
    more = _loaded(_COMMAND.format(argv=[*command.split(), "-r", redis_url])) - of_redis
    assert "fluxqueue_control.servers" in more
    assert more & NOT_NEEDED == set()
    # Our own, and argparse, ssl and the like.
    own = {name for name in more if name.startswith("fluxqueue")}
    assert len(own) < 55
    assert len(more - own) < 30
