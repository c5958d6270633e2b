"""Several worker processes under one supervisor, all of them real."""

from __future__ import annotations

import os
import re
import signal
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from fluxqueue_core.service.probe import get
from redis import Redis
from support.ports import free_port
from support.raw_messages import delayed, pending, push
from support.worker_process import WorkerProcess, wait_until

APP = """
@fluxqueue.task()
def where(text):
    note(f"{text} {os.getpid()}")

@fluxqueue.task()
def hold(text):
    note(f"begin {text} {os.getpid()}")
    while not os.path.exists("open"):
        time.sleep(0.01)
    note(f"end {text}")

kept = []

@fluxqueue.task()
def leak():
    note(f"leak {os.getpid()}")
    kept.append(bytearray(os.urandom(1 << 20)) * 32)
"""


def pids(worker: WorkerProcess, count: int) -> list[int]:
    """Of the first `count` worker processes, when they are connected."""
    worker.wait_for("worker.connected", count=count)
    return [line["pid"] for line in worker.named("worker.started")]


def resident(pid: int) -> int:
    """Pages."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])


def threads(pid: int) -> int:
    (count,) = re.findall(r"^Threads:\s+(\d+)$", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(count)


def sockets(pid: int) -> set[str]:
    """The inodes of those that it has open."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
    return found


def listeners(port: int) -> set[str]:
    """The inodes of the sockets that listen on the port."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"}


def gone(pid: int) -> bool:
    return (
        not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    )


def test_the_processes_share_the_work_and_drain_by_one_signal(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, processes=3, concurrency=1) as worker:
        found = pids(worker, 3)
        assert len(set(found) | {worker.pid}) == 4
        assert sorted(line["process"] for line in worker.named("worker.started")) == [0, 1, 2]
        for text in "abc":
            push(redis, "hold", text)
        wait_until(lambda: len(worker.notes()) == 3)
        assert {int(note.split()[2]) for note in worker.notes()} == set(found)
        push(redis, "hold", "waits")
        worker.signal(signal.SIGTERM)
        worker.wait_for("worker.draining", count=3)
        (tmp_path / "open").touch()
        assert worker.wait() == 0
        assert all(map(gone, found))
    assert {note for note in worker.notes() if note.startswith("end")} == {
        "end a",
        "end b",
        "end c",
    }
    ((waiting),) = pending(redis)
    assert (waiting["retries"], waiting["deliveries"]) == (0, 0)
    assert worker.named("process.died") == []


def test_the_supervisor_without_an_endpoint_has_one_thread_even_when_it_replaces_a_process(
    tmp_path: Path, redis_url: str
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, processes=2, concurrency=1) as worker:
        first, _ = pids(worker, 2)
        assert threads(worker.pid) == 1
        os.kill(first, signal.SIGKILL)
        pids(worker, 3)
        assert threads(worker.pid) == 1
        assert worker.stop() == 0


def test_a_process_is_replaced_while_threads_of_the_health_endpoint_are_at_work(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    port = free_port()
    options: dict[str, Any] = {"processes": 2, "concurrency": 1, "health_port": port}
    with WorkerProcess(tmp_path, redis_url, APP, **options) as worker, ExitStack() as stack:
        pids(worker, 2)
        ended, answers = Event(), list[int]()

        def ask() -> None:
            while not ended.is_set():
                answers.append(get(port, "/livez")[0])

        for _ in range(4):
            asking = Thread(target=ask)
            asking.start()
            stack.callback(asking.join)
        stack.callback(ended.set)
        # One after the other, each while requests are under way.
        for count in range(3, 7):
            begun, pid = len(answers), pids(worker, 2)[-1]
            os.kill(pid, signal.SIGKILL)
            pids(worker, count)
            assert threads(worker.pid) > 1
            wait_until(lambda begun=begun: len(answers) > begun)  # type: ignore[misc]
        ended.set()
        wait_until(lambda: get(port, "/livez")[0] == 200)
        # The last one works, not only runs; its descriptors are its own.
        last = pids(worker, 6)[-1]
        wait_until(lambda: push(redis, "where", "x") and str(last) in "".join(worker.notes()))
        listening = listeners(port)
        assert len(listening) == 1
        assert not listening & sockets(last)
        assert listening <= sockets(worker.pid)
        assert worker.stop() == 0


@pytest.mark.parametrize("to", ["supervisor", "all"])
def test_only_a_second_signal_to_the_supervisor_cuts_the_drain_short(
    tmp_path: Path, redis_url: str, redis: Redis, to: str
) -> None:
    options: dict[str, Any] = {"processes": 2, "concurrency": 1, "drain_timeout": 600}
    with WorkerProcess(tmp_path, redis_url, APP, **options) as worker:
        found = pids(worker, 2)
        for text in "ab":
            push(redis, "hold", text)
        wait_until(lambda: len(worker.notes()) == 2)
        # As a service manager does, which signals every process of a service.
        for pid in found if to == "all" else []:
            os.kill(pid, signal.SIGTERM)
        worker.signal(signal.SIGTERM)
        worker.wait_for("worker.draining", count=2)
        worker.wait_for("supervisor.draining")
        if to == "all":
            (tmp_path / "open").touch()
        else:
            worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    if to == "all":
        assert {note.split()[0] for note in worker.notes()} == {"begin", "end"}
        assert pending(redis) == []
    else:
        assert len(worker.named("task.released")) == 2
        assert [(m["retries"], m["deliveries"]) for m in pending(redis)] == [(0, 0)] * 2


def test_ctrl_c_in_a_terminal_is_one_signal(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    """The terminal signals the whole process group of its foreground job."""
    with WorkerProcess(tmp_path, redis_url, APP, processes=2, concurrency=1) as worker:
        found = pids(worker, 2)
        groups = {os.getpgid(pid) for pid in found}
        assert os.getpgid(worker.pid) not in groups
        for text in "ab":
            push(redis, "hold", text)
        wait_until(lambda: len(worker.notes()) == 2)
        worker.signal(signal.SIGINT)
        worker.wait_for("worker.draining", count=2)
        assert worker.named("task.released") == []
        (tmp_path / "open").touch()
        assert worker.wait() == 0
    assert len([note for note in worker.notes() if note.startswith("end")]) == 2


def test_sigquit_shows_what_all_processes_run(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, processes=2, concurrency=1) as worker:
        pids(worker, 2)
        ids = {push(redis, "hold", text) for text in "ab"}
        wait_until(lambda: len(worker.notes()) == 2)
        worker.signal(signal.SIGQUIT)

        def shown() -> set[str]:
            # The line of one may be in the midst of the other's stacks.
            lines = [*map(str, worker.named("task.running")), *worker.other_output]
            return {task_id for task_id in ids if any(task_id in line for line in lines)}

        wait_until(lambda: shown() == ids, what=worker.output)
        (tmp_path / "open").touch()
        worker.wait_for("task.done", count=2)
        assert worker.stop() == 0


def test_a_process_that_dies_is_replaced(tmp_path: Path, redis_url: str) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, processes=2) as worker:
        found = pids(worker, 2)
        os.kill(found[0], signal.SIGKILL)
        died = worker.wait_for("process.died")
        assert (died["pid"], died["signal"]) == (found[0], "SIGKILL")
        third = worker.wait_for("worker.started", count=3)
        assert third["process"] == died["process"]
        assert worker.process.poll() is None
        assert worker.stop() == 0


def test_max_tasks_replaces_a_process_after_exactly_that_many(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, max_tasks=7, concurrency=3) as worker:
        for number in range(30):
            push(redis, "where", number)
        wait_until(lambda: len(worker.notes()) == 30)
        worker.wait_for("process.ended", count=4)
        assert worker.stop() == 0
    ran = [note.split() for note in worker.notes()]
    assert sorted(int(number) for number, _ in ran) == list(range(30))
    by_pid = [sum(pid == other for _, other in ran) for pid in dict.fromkeys(p for _, p in ran)]
    assert by_pid == [7, 7, 7, 7, 2]
    assert {line["reason"] for line in worker.named("worker.draining")} == {"7 tasks", "SIGTERM"}
    assert worker.named("process.died") == []
    # Claimed tasks that had not begun went back without a count.
    assert redis.dbsize() <= 3


def test_max_tasks_waits_for_those_that_run(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, max_tasks=1, concurrency=3) as worker:
        push(redis, "hold", "a")
        push(redis, "where", "next")
        worker.wait_for("worker.draining", reason="1 tasks", running=1)
        wait_until(lambda: len(worker.notes()) == 1, what=worker.output)
        (tmp_path / "open").touch()
        wait_until(lambda: len(worker.notes()) == 3)
        assert worker.stop() == 0
    assert worker.notes()[1] == "end a"
    assert worker.notes()[2].startswith("next ")


def test_max_rss_replaces_a_process_that_leaks(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, max_rss=150, concurrency=1) as worker:
        for _ in range(12):
            push(redis, "leak")
            count = len(worker.notes())
            wait_until(lambda count=count: len(worker.notes()) > count)  # type: ignore[misc]
        worker.wait_for("process.ended")
        wait_until(lambda: len(set(worker.notes())) >= 2 or (push(redis, "leak") and False))
        assert worker.stop() == 0
    reason = worker.named("worker.draining")[0]["reason"]
    found = re.fullmatch(r"(\d+) MiB of memory", reason)
    assert found is not None
    assert int(found[1]) >= 150
    assert worker.named("process.died") == []


def test_one_endpoint_tells_of_all(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    port = free_port()
    variables = {"OTEL_METRICS_EXPORTER": "prometheus"}
    options: dict[str, Any] = {"processes": 2, "concurrency": 1, "health_port": port}
    with WorkerProcess(tmp_path, redis_url, APP, variables=variables, **options) as worker:
        found = pids(worker, 2)
        wait_until(lambda: get(port, "/readyz")[0] == 200)
        assert get(port, "/livez")[0] == 200
        for text in "ab":
            push(redis, "hold", text)
        wait_until(lambda: len(worker.notes()) == 2)
        status, metrics = get(port, "/metrics")
        assert status == 200
        busy = [
            line for line in metrics.splitlines() if re.match(r"fluxqueue_worker_slots_busy", line)
        ]
        assert [line.split(",")[0] for line in sorted(busy)] == [
            f'fluxqueue_worker_slots_busy{{process="{number}"' for number in (0, 1)
        ]
        assert [line.split()[-1] for line in busy] == ["1.0", "1.0"]
        assert metrics.count("# TYPE fluxqueue_worker_slots_busy ") == 1
        # One ready process is enough. /livez names the one that is stuck.
        os.kill(found[0], signal.SIGSTOP)
        assert get(port, "/readyz")[0] == 200
        status, body = get(port, "/livez")
        assert status == 503
        assert f"(pid {found[0]}) does not answer" in body
        os.kill(found[0], signal.SIGCONT)
        wait_until(lambda: get(port, "/livez")[0] == 200)
        worker.signal(signal.SIGTERM)
        worker.wait_for("supervisor.draining")
        assert get(port, "/readyz")[0] == 503
        assert get(port, "/livez")[0] == 200
        (tmp_path / "open").touch()
        assert worker.wait() == 0
    assert delayed(redis) == []


def test_the_supervisor_is_small(tmp_path: Path, redis_url: str) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, processes=2) as worker:
        found = pids(worker, 2)
        maps = Path(f"/proc/{worker.pid}/maps").read_text()
        for absent in ("_ssl", "_asyncio", "uvloop"):
            assert absent not in maps
        assert resident(worker.pid) < min(map(resident, found))
        assert worker.stop() == 0
