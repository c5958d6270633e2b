"""Runs the shop: a Redis, a scheduler, two workers, and an application that
enqueues; kills one of the workers, and shows how each task ended.

The exit code is 0 only if every task ended as it should, judged by Redis and by
the files that the task has left behind.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from expectations import Evidence, unexpected
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key, key_kinds
from follow import Followed, Follower
from payments import PaymentProvider
from processes import Processes
from redis import Redis

PATIENCE = 60.0
# Seconds after which a dead worker's tasks go to others. The default of 10 would
# make the demo long.
LEASE = 3
REFUSALS = 2


def main() -> int:
    # A signal ends the demo in the usual way, so that the `with` blocks clean up.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    folder = Path(tempfile.mkdtemp(prefix="fluxqueue-demo-"))
    problems = run(folder)
    for problem in problems:
        print(f"NOT AS EXPECTED: {problem}", file=sys.stderr)
    if problems:
        print(f"Logs and files are in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    print("\nEvery task ended as it should.")
    return 0


def run(folder: Path) -> list[str]:
    """Plays the whole story; returns everything unexpected, one sentence each."""
    queue = f"demo-{secrets.token_hex(4)}"
    with ExitStack() as stack:
        url = os.environ.get("FLUXQUEUE_REDIS_URL") or stack.enter_context(EmbeddedRedis()).url
        redis = stack.enter_context(Redis.from_url(url))
        stack.callback(remove_keys, redis, queue)
        provider = stack.enter_context(PaymentProvider(REFUSALS))
        environment = {
            "FLUXQUEUE_REDIS_URL": url,
            # The demo looks for its keys in the default one.
            "FLUXQUEUE_NAMESPACE": "",
            "SHOP_QUEUE": queue,
            "SHOP_FOLDER": str(folder),
            "SHOP_PAYMENT_URL": provider.url,
        }
        processes = stack.enter_context(Processes(folder, environment))
        follower = Follower(redis, queue)

        say("an application enqueues, and ends")
        processes.run("place_orders")
        follower.look()
        say(f"{len(follower.tasks)} tasks are in Redis; a scheduler and two workers start")
        processes.start("scheduler", "fluxqueue_scheduler", f"--lease={LEASE}")
        for name in ("worker 1", "worker 2"):
            processes.start(name, "fluxqueue_worker", "-t", "shop", "-q", queue, f"--lease={LEASE}")

        try:
            export_workers = folder / "export-workers"
            follow_until(follower, lambda: export_workers.exists() and is_alone(follower))
            killed = processes.kill(int(export_workers.read_text()))
            say(f"kill -9 of {killed}, which runs export_catalogue")
            follow_until(follower, lambda: not follower.under_way())
        except TimeoutError:
            problems = [f"{task.name} did not end" for task in follower.under_way()]
        else:
            say("every task has ended\n")
            problems = unexpected(Evidence(redis, queue, folder, provider), follower)
        print_table(follower.tasks.values())
        return problems + processes.stop()


def follow_until(follower: Follower, condition: Callable[[], bool]) -> None:
    """Looks at the tasks until the condition holds.

    Raises:
        TimeoutError: it does not within a minute.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.005)
        follower.look()


def is_alone(follower: Follower) -> bool:
    """Whether workers hold exactly one task: only this one will be delivered twice."""
    return sum(task.place == "claimed" for task in follower.under_way()) == 1


def print_table(tasks: Iterable[Followed]) -> None:
    print(f"{'task':<17} {'id':<36} attempts deliveries end   seconds  way")
    for task in sorted(tasks, key=lambda task: task.task_id):  # ids begin with the time
        print(
            f"{task.name:<17} {task.task_id} {task.attempts:>8} {task.deliveries:>10} "
            f"{task.end or '-':<5} {task.seconds:>7.1f}  {' > '.join(task.way)}"
        )


def remove_keys(redis: Redis, queue: str) -> None:
    """Removes our keys from a Redis that is not ours."""
    patterns = {key(kind, queue, "*") for kind in key_kinds()} - {key("queues")}
    names = [name for pattern in patterns for name in redis.scan_iter(pattern)]
    if names:
        redis.delete(*names)
    redis.srem(key("queues"), queue)


_started = time.monotonic()


def say(text: str) -> None:
    print(f"{time.monotonic() - _started:5.1f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
