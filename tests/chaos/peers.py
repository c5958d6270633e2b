"""The tasks of other libraries' killed workers.

SIGKILL of a worker with 200 tasks, on two cores, Redis 7.0.15, Python 3.11. Measured once,
in 2026; no figure of ours is among them.
"""

from __future__ import annotations

from typing import NamedTuple

TASKS = 200


class Recovery(NamedTuple):
    """The fate of the tasks of a killed worker.

    Attributes:
        ended: how many had ended within 120 s of the worker's restart.
        last: when the last of all had ended, in seconds; None if some had not.
    """

    ended: int
    last: int | None = None


class Peer(NamedTuple):
    """A library, with its default settings and with the safest ones that it documents.

    Attributes:
        safest: None if it documents none.
    """

    name: str
    default: Recovery
    safest: Recovery | None


PEERS = (
    Peer("celery", Recovery(190), Recovery(200, 96)),
    Peer("dramatiq", Recovery(170), Recovery(200, 11)),
    Peer("rq", Recovery(199), Recovery(200, 71)),
    Peer("arq", Recovery(190), Recovery(200, 15)),
    Peer("taskiq (list)", Recovery(16), None),
    Peer("taskiq (stream)", Recovery(0), Recovery(0)),
    Peer("huey", Recovery(199), None),
    Peer("saq", Recovery(190), Recovery(200, 55)),
    Peer("streaq", Recovery(200, 61), Recovery(200, 6)),
    Peer("docket", Recovery(190), Recovery(200, 5)),
    Peer("bullmq", Recovery(200, 60), Recovery(200, 10)),
)
