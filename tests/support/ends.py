"""The ends of a task, as the table in docs/protocol.md has them, and how to bring them about."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from .scripts import Scripts, message

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

@fluxqueue.task(queue="q")
def struck(*args):
    pass
"""
# The options that end a task before it begins.
OPTIONS = {"expired": '"x":1000000000000', "cancelled": '"e":2'}
NAMES = {"unknown_task": "elsewhere"}
ARGS = {"arguments": b"[1,2]", "malformed": b"7"}
MEMBERS = {"failed": b',"max_retries":0', "unknown_task": b',"unknown_since":1'}


class Row(NamedTuple):
    """The cells of an end."""

    when: str
    counted: str
    frees: set[str]
    stores: set[str]
    tells: set[str]
    calls_back: bool
    # Whether a worker that discards failures does not store it in the dead set.
    is_failure: bool


def rows() -> dict[str, list[str]]:
    """Returns the cells of each row of the table, by the name of the end."""
    section = PAGE.read_text().split("\n## Ends\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {row[0].strip("`"): row for row in cells}


def table() -> dict[str, Row]:
    """Returns what the table says of each end."""
    unless = ", unless the worker discards failures"
    read = {}
    for end, cells in rows().items():
        _, when, counted, frees, stores, tells, calls = (cell.replace("`", "") for cell in cells)
        read[end] = Row(
            when,
            counted,
            set(frees.split(", ")),
            set(stores.removesuffix(unless).split(", ")),
            set(tells.split(", ")),
            calls.startswith("yes"),
            stores.endswith(unless),
        )
    return read


def lose(scripts: Scripts, raw: bytes) -> None:
    """Leaves a message with a worker whose lease has ended. It is the third one that is lost
    with it, if the message has two deliveries."""
    scripts.claim("lost", raw)
    scripts.end_lease("lost")


def counter(end: str) -> str:
    """Returns the name under which Redis counts the end."""
    return end if end in ("succeeded", "expired", "cancelled") else "dead"


def of_end(
    end: str, *, options: str = "", args: bytes = b"[]", members: bytes = b"", number: int = 1
) -> bytes:
    """A message that ends in this way, with further options and members. Some ends have their
    own arguments."""
    both = ",".join(part for part in (OPTIONS.get(end, ""), options) if part)
    raw = message(
        number,
        name=NAMES.get(end, end if f"def {end}(" in APP else "n"),
        opts=f"{{{both}}}" if both else "",
        args=ARGS.get(end, args),
        deliveries=2 if end == "worker_lost" else 0,
    )
    raw = raw[:-1] + MEMBERS.get(end, b"") + members + b"}"
    if end == "unknown_version":
        raw = b'{"v":3' + raw[6:]
    return raw


def bring_about(scripts: Scripts, end: str, raw: bytes) -> None:
    """Puts a message of `of_end` where its end follows, with a worker and a scheduler."""
    if end == "struck":
        scripts.call("operate", ["strike", "an id", '{"task":"struck"}'])
    if end == "worker_lost":
        lose(scripts, raw)
    else:
        scripts.enqueue(raw)
