"""Whether anything becomes slower as more tasks wait."""

from __future__ import annotations

import time

from fluxqueue_core import key

from fluxqueue_bench import machine
from fluxqueue_bench.harness import Bench

from .measure import CpuSince, Values

# Moves up to ARGV[1] messages from the end of a list into a sorted set.
_TO_DELAYED = """
for _, message in ipairs(redis.call('RPOP', KEYS[1], ARGV[1]) or {}) do
    redis.call('ZADD', KEYS[2], ARGV[2], message)
end
"""

# Moves messages from the end of KEYS[1] into KEYS[2], behind the others, until ARGV[1]
# wait there, but at most ARGV[2]. Returns how many it has moved.
_TOP_UP = """
local missing = math.min(tonumber(ARGV[1]) - redis.call('LLEN', KEYS[2]), tonumber(ARGV[2]))
if missing <= 0 then return 0 end
local messages = redis.call('RPOP', KEYS[1], missing) or {}
if #messages > 0 then redis.call('LPUSH', KEYS[2], unpack(messages)) end
return #messages
"""
_RESERVE = "bench:reserve"
_AT_ONCE = 1_000
# Enqueued one at a time; tasks of the worker before it is measured, and while it is.
SENT = 20_000
WARM_UP, WORKED = 30_000, 400_000


def delay(bench: Bench, n: int, due: float) -> None:
    """n tasks in the delayed set, due at a Unix time in seconds."""
    pending, delayed = key("pending", "default"), key("delayed", "default")
    bench.enqueue("fill", n)
    for _ in range(-(-n // 1_000)):
        bench.client.eval(_TO_DELAYED, 2, pending, delayed, "1000", str(int(due * 1000)))


def waiting(bench: Bench, n: int, delayed: int = 0) -> Values:
    """Enqueue and worker rate with n tasks in the queue, or `delayed` tasks in the
    delayed set.

    The worker runs the same number of tasks for each n. Within milliseconds new tasks
    replace those that it takes, so about n tasks wait all the time. The first tasks are
    not counted.
    """
    bench.reset()
    bench.enqueue("fill", WARM_UP + WORKED)
    bench.client.rename(key("pending", "default"), _RESERVE)
    if delayed:
        delay(bench, delayed, time.time() + 86_400)
    bench.enqueue("fill", n)
    with bench.pinned(together=True):  # the steadiest, and it shows most of what Redis does
        seconds = bench.enqueue("one", SENT)
    with bench.worker() as worker:
        first = _until(bench, WARM_UP, n)
        since = CpuSince(bench, lambda: machine.cpu_seconds(worker.pid), first)
        cpu = since.until(_until(bench, WARM_UP + WORKED, n))
    ends = sorted(end for _, end, _ in bench.records())
    return {
        "enqueued/s": SENT / seconds,
        "worked/s": rate_after_warm_up(ends),
        **cpu,
    }


def rate_after_warm_up(ends: list[int], warm_up: int = WARM_UP, worked: int = WORKED) -> float:
    """Tasks a second, from the ends in ns of a worker's tasks, ascending: of
    `worked` tasks after the first `warm_up`.

    Raises:
        ValueError: there are fewer.
    """
    if len(ends) < warm_up + worked:
        raise ValueError(f"{len(ends)} tasks have run, {warm_up + worked} are needed")
    first, last = ends[warm_up], ends[warm_up + worked - 1]
    return (worked - 1) / ((last - first) / 1e9)


def top_up(bench: Bench, n: int) -> None:
    """n tasks wait again, as far as the reserve goes; the new ones come last."""
    script = bench.client.register_script(_TOP_UP)
    while int(script([_RESERVE, key("pending", "default")], [n, _AT_ONCE])) == _AT_ONCE:
        continue


def _until(bench: Bench, count: int, n: int, seconds: float = 120) -> int:
    """Keeps n tasks waiting until `count` have run; returns how many have."""
    deadline = time.monotonic() + seconds
    while (done := bench.count()) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {done} of {count} tasks have run")
        top_up(bench, n)
        time.sleep(0.002)
    return done
