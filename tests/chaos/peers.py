"""The tasks of other libraries' killed workers.

SIGKILL of a worker with 200 tasks, on two cores, Redis 7.0.15, Python 3.11: how
many had ended within 120 s of its restart, and when the last did. `reliable` is
the safest setting that each documents. Measured once, in 2026; no figure of ours
is among them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    name: str
    default: str
    reliable: str


PEERS = (
    Peer("celery", "190 of 200, never in 120 s", "200, 96 s"),
    Peer("dramatiq", "170 of 200, never in 120 s", "200, 11 s"),
    Peer("rq", "199 of 200, never in 120 s", "200, 71 s"),
    Peer("arq", "190 of 200, never in 120 s", "200, 15 s"),
    Peer("taskiq (list)", "16 of 200, never in 120 s", "none documented"),
    Peer("taskiq (stream)", "0 of 200, never in 120 s", "0 of 200, never in 120 s"),
    Peer("huey", "199 of 200, never in 120 s", "none documented"),
    Peer("saq", "190 of 200, never in 120 s", "200, 55 s"),
    Peer("streaq", "200, 61 s", "200, 6 s"),
    Peer("docket", "190 of 200, never in 120 s", "200, 5 s"),
    Peer("bullmq", "200, 60 s", "200, 10 s"),
)
