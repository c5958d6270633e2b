"""Asks the retry rules of a worker what they decide about an error."""

from __future__ import annotations

from typing import Any

from fluxqueue.options import Terms
from fluxqueue_worker.retry_rules import Decision, RetryRules

from .fake_consumer import FakeAttempt

# In place of a delay.
DEAD = None


def decide(error: BaseException, *, retries: int = 0, most: int = 3, **options: Any) -> Decision:
    options.setdefault("jitter", False)
    rules = RetryRules(Terms(most, **options))
    attempt: Any = FakeAttempt(None, retries=retries, max_retries=most)
    return rules.decide(attempt, error)


def group(*errors: BaseException, kind: type[Any] = BaseExceptionGroup) -> BaseException:
    made: BaseException = kind("several", errors)
    return made
