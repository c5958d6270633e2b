"""The ends of a task, as the table in docs/protocol.md has them, and how to bring them about."""

from __future__ import annotations

from pathlib import Path

from .scripts import Scripts

PAGE = Path(__file__).parents[2] / "docs/protocol.md"
# The id of the first message of `scripts.message`.
TASK_ID = "019aa0c2-7b1f-7c3e-8d2a-000000000001"
# The tasks of a worker of queue `q`, each named after its end; `n` succeeds.
APP = """
from fluxqueue import Reject, Snooze

@fluxqueue.task(queue="q")
def n(*args):
    return "value"

@fluxqueue.task(queue="q", max_retries=0)
def failed(*args, **kwargs):
    raise KeyError("a")

@fluxqueue.task(queue="q")
def rejected():
    raise Reject("why")

@fluxqueue.task(queue="q", no_retry_on=KeyError)
def no_retry_on():
    raise KeyError("a")

@fluxqueue.task(queue="q", retry_on=OSError)
def not_in_retry_on():
    raise KeyError("a")

@fluxqueue.task(queue="q", max_snoozes=0)
def snoozed_too_often():
    raise Snooze("not ready", delay=0)

@fluxqueue.task(queue="q", retry=lambda attempt, error: None)
def retry_refused():
    raise KeyError("a")

@fluxqueue.task(queue="q")
def arguments(first: int):
    pass
"""


def rows() -> dict[str, list[str]]:
    """Returns the cells of each row of the table, by the name of the end."""
    section = PAGE.read_text().split("\n## Ends\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {row[0].strip("`"): row for row in cells}


def lose(scripts: Scripts, message: bytes) -> None:
    """Leaves a message with a worker whose lease has ended. It is the third one that is lost
    with it, if the message has two deliveries."""
    scripts.claim("lost", message)
    scripts.end_lease("lost")


def counter(end: str) -> str:
    """Returns the name under which Redis counts the end."""
    return end if end in ("succeeded", "expired", "cancelled") else "dead"
