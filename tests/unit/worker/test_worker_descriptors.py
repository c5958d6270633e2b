"""How many descriptors a worker asks for."""

from __future__ import annotations

import resource

import pytest
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_worker import descriptors

INFINITY = resource.RLIM_INFINITY


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The limits of a process with 10 open descriptors: soft and hard."""
    held = [128, 1_000]

    def change(_: int, new: tuple[int, int]) -> None:
        held[:] = new

    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(held))
    monkeypatch.setattr(resource, "setrlimit", change)
    monkeypatch.setattr("os.listdir", lambda _: ["0"] * 10)
    return held


def test_a_few_queues_change_nothing(limits: list[int]) -> None:
    descriptors.allow(41, 4)  # 10 + 82 + 32 + 4
    assert limits == [128, 1_000]


def test_the_soft_limit_grows_by_the_connections(limits: list[int]) -> None:
    descriptors.allow(42, 4)
    assert limits == [128 + 84, 1_000]


def test_the_soft_limit_grows_to_the_hard_one_at_most(limits: list[int]) -> None:
    descriptors.allow(477, 4)  # 10 + 954 + 32 + 4
    assert limits == [1_000, 1_000]


def test_a_hard_limit_that_is_too_low_is_refused_with_a_remedy(limits: list[int]) -> None:
    with pytest.raises(ConfigurationError, match=r"478 queues need 1002 .* limit is 1000; raise"):
        descriptors.allow(478, 4)
    assert limits == [128, 1_000]


@pytest.mark.parametrize(
    ("soft", "hard", "after"), [(INFINITY, INFINITY, INFINITY), (128, INFINITY, 10_128)]
)
def test_a_limit_may_be_infinite(limits: list[int], soft: int, hard: int, after: int) -> None:
    limits[:] = [soft, hard]
    descriptors.allow(5_000, 4)
    assert limits == [after, hard]
