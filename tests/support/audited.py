"""Tasks inside of middleware that notes the outcomes of their attempts."""

from __future__ import annotations

import asyncio

import pytest
from fluxqueue import Middleware
from fluxqueue.middleware import AsyncAttemptSteps, Attempt, AttemptOutcome, AttemptSteps


def work(number: int = 1) -> int:
    return number


async def work_async(number: int = 1) -> int:
    await asyncio.sleep(0)
    return number


def fail() -> None:
    raise ValueError("bad")


async def fail_async() -> None:
    await asyncio.sleep(0)
    raise ValueError("bad")


BOTH = pytest.mark.parametrize("func", [work, work_async], ids=["sync", "async"])
BOTH_FAIL = pytest.mark.parametrize("func", [fail, fail_async], ids=["sync", "async"])


class Audit(Middleware):
    """Notes the outcomes that it sees."""

    def __init__(self) -> None:
        self.outcomes: list[AttemptOutcome] = []

    def attempt(self, attempt: Attempt) -> AttemptSteps:
        self.outcomes.append((yield))

    @property
    def statuses(self) -> list[str]:
        return [outcome.status for outcome in self.outcomes]


class AsyncAudit(Audit):
    """The same, around async tasks by an async generator."""

    async def attempt_async(self, attempt: Attempt) -> AsyncAttemptSteps:
        await asyncio.sleep(0)
        outcome = yield
        await asyncio.sleep(0)
        self.outcomes.append(outcome)


AUDITS = pytest.mark.parametrize("kind", [Audit, AsyncAudit])
