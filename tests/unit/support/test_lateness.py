"""Deadlines move by exactly what the machine was late."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from support import waiting
from support.lateness import INTERVAL, STEPS, Demand, Lateness, demand
from support.waiting import Deadline, seconds_since, wait_until, wait_until_past


class Machine:
    """A clock and a demand that the test sets, with two processors."""

    def __init__(self) -> None:
        self.now = 100.0
        self.running = 0
        self.stolen = 7.0
        self.lateness = Lateness(lambda: self.now, self.demand, processors=2)

    def demand(self) -> Demand:
        return Demand(self.running, self.stolen)

    def pass_samples(self, count: int, *, delay: float = 0.0) -> None:
        for _ in range(count):
            began = self.now
            self.now += INTERVAL + delay
            self.lateness.sample(began)


@pytest.fixture
def quiet() -> Machine:
    return Machine()


def test_a_quiet_machine_allows_nothing(quiet: Machine) -> None:
    quiet.running = 2
    quiet.pass_samples(100)
    assert quiet.lateness.allowance(100.0) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("running", "share"), [(4, 1 / 2), (6, 1 / 3), (20, 1 / 10)])
def test_a_process_among_many_loses_what_the_others_take(
    quiet: Machine, running: int, share: float
) -> None:
    quiet.running = running
    quiet.pass_samples(100)
    assert quiet.lateness.lost(100.0) == pytest.approx(100 * INTERVAL * (1 - share))


def test_time_that_the_host_takes_is_lost(quiet: Machine) -> None:
    for _ in range(20):
        quiet.stolen += 2 * INTERVAL * 0.25
        quiet.pass_samples(1)
    assert quiet.lateness.lost(100.0) == pytest.approx(20 * INTERVAL * 0.25)


def test_only_samples_after_the_moment_count(quiet: Machine) -> None:
    quiet.running = 4
    quiet.pass_samples(10, delay=0.2)
    moment = quiet.now
    assert quiet.lateness.allowance(moment) == 0.0
    quiet.running = 0
    quiet.pass_samples(10)
    assert quiet.lateness.allowance(moment) == pytest.approx(0.0, abs=1e-9)
    assert quiet.lateness.allowance(100.0) > 2.0


def test_only_samples_before_the_second_moment_count(quiet: Machine) -> None:
    quiet.running = 4
    quiet.pass_samples(10)
    moment = quiet.now - INTERVAL / 2
    quiet.pass_samples(10, delay=1.0)
    assert quiet.lateness.lost(100.0, moment) == pytest.approx(10 * INTERVAL / 2)
    assert quiet.lateness.waking(100.0, moment) == pytest.approx(0.0, abs=1e-9)
    assert quiet.lateness.allowance(moment, moment - 1) == 0.0


def test_a_thread_that_is_woken_late_delays_each_step_of_a_chain(quiet: Machine) -> None:
    quiet.pass_samples(3)
    quiet.pass_samples(1, delay=0.3)
    quiet.pass_samples(1, delay=0.1)
    assert quiet.lateness.waking(100.0) == pytest.approx(STEPS * 0.3)
    assert quiet.lateness.lost(100.0) == pytest.approx(0.4)


def test_the_kernel_counts_the_processes_that_want_to_run() -> None:
    """Also those that run on no processor at the moment."""
    busy = 4 * (os.cpu_count() or 1)
    program = "import sys; print(flush=True)\nwhile True: pass"
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        for _ in range(busy)
    ]
    try:
        for process in processes:
            assert process.stdout is not None and process.stdout.readline()
        assert demand().running >= busy
        with Lateness() as lateness:
            began = time.monotonic()
            wait_until_past(began + 10 * INTERVAL)
            taken = time.monotonic() - began
        # A sample may be under way at either end.
        assert lateness.lost(began) > (taken - 3 * INTERVAL) * 0.7
    finally:
        for process in processes:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


class Late:
    """A machine that was late by a number of seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def allowance(self, since: float) -> float:
        return self.seconds


def test_a_deadline_moves_by_what_the_machine_was_late(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Late(3600.0)
    monkeypatch.setattr(waiting, "machine", lambda: late)
    deadline = Deadline(0.0)
    assert not deadline.over()
    late.seconds = 0.0
    assert deadline.over()


def test_a_wait_ends_with_a_message_that_says_how_late_the_machine_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "machine", lambda: Late(0.02))
    began = time.monotonic()
    said = r"in vain \(0\.05 s, and 0\.0 s that the machine was late\) for the moon"
    with pytest.raises(AssertionError, match=said):
        wait_until(lambda: False, 0.05, "the moon")
    assert time.monotonic() - began >= 0.07


def test_seconds_that_the_machine_was_late_are_not_the_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "machine", lambda: Late(5.0))
    assert 2.0 <= seconds_since(time.monotonic() - 7.0) < 7.0
