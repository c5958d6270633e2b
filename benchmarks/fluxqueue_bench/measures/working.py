"""A worker's rates, and their cost."""

from __future__ import annotations

import socket
import time

from fluxqueue_bench import machine
from fluxqueue_bench.collector import collector
from fluxqueue_bench.distribution import percentiles
from fluxqueue_bench.harness import Bench

from .measure import CpuSince, Values, latency


def no_op(bench: Bench, fill: str, n: int, *flags: str) -> Values:
    """The queue is filled first; from the first record to the last."""
    bench.reset()
    bench.enqueue(fill, n)
    bench.client.config_resetstat()
    with bench.worker(*flags) as worker:
        bench.wait_for(1)
        done = bench.count()
        since = CpuSince(bench, lambda: machine.cpu_seconds(worker.pid), done)
        bench.wait_for(n)
        cpu = since.until(n)
        commands = bench.commands()
    ends = [end for _, end, _ in bench.records()]
    return {
        "tasks/s": (len(ends) - 1) / ((max(ends) - min(ends)) / 1e9),
        **cpu,
        **commands.per_thousand(n),
    }


def sleeping(bench: Bench, seconds: float, concurrency: int, asynchronous: bool) -> Values:
    """Tasks that only wait, against what the slots could do at best."""
    ideal = concurrency / seconds
    n = int(ideal * 3)
    queue = "async" if asynchronous else "default"
    bench.reset()
    bench.enqueue("fill-nap-async" if asynchronous else "fill-nap", n, seconds)
    with bench.worker("-c", str(concurrency), "-q", queue):
        bench.wait_for(n)
    ends = [end for number, end, _ in bench.records() if number >= 0]
    took = (max(ends) - min(ends)) / 1e9 + seconds
    return {"tasks/s": n / took, "of ideal": n / took / ideal}


def half_load(bench: Bench, n: int) -> Values:
    """Latency while tasks come at half of the rate that this run reaches: as many as
    are asked for in two seconds. Which rate they really came at, the records tell."""
    full = no_op(bench, "fill", n)["tasks/s"]
    rate = int(full / 2)
    bench.reset()
    with bench.worker():
        bench.enqueue("one", 100)
        bench.wait_for(101)
        bench.forget_records()
        bench.enqueue("paced", rate * 2, rate)
        bench.wait_for(rate * 2 + 1)
    # Without the one, number -1, that opened the producer's connection.
    ends = [end for sent, end, _ in bench.records() if sent >= 0]
    reached = (len(ends) - 1) / ((max(ends) - min(ends)) / 1e9)
    return {"asked tasks/s": rate, "tasks/s": reached, **latency(bench)}


def idle(bench: Bench, concurrency: int, asynchronous: bool = False) -> Values:
    """Memory of a worker all of whose slots have worked, and its latency when idle."""
    bench.reset()
    suffix, queue = ("-async", "async") if asynchronous else ("", "default")
    mode = f"latency{suffix}"
    with bench.worker("-q", queue, "-c", str(concurrency)) as worker:
        sent = 20
        bench.enqueue(mode, sent)
        bench.wait_for(sent + 1)
        # A slot's thread is started with its first task, so all have one at once.
        bench.enqueue(f"fill-nap{suffix}", concurrency, 0.2)
        bench.wait_for(sent + 1 + concurrency)
        time.sleep(1)
        pss = machine.pss_mib(worker.pid)
        before = machine.cpu_seconds(worker.pid)
        time.sleep(2)
        cpu = (machine.cpu_seconds(worker.pid) - before) / 2
        bench.forget_records()
        bench.enqueue(mode, 300)
        bench.wait_for(301)
    return {"PSS MiB": pss, "CPU %": cpu * 100, **latency(bench)}


def round_trips(bench: Bench, count: int = 300) -> Values:
    """PING, 10 ms apart: what waking up Redis and one waiting process takes.

    An idle task needs one more wake-up, of the thread that runs it.
    """
    delays = []
    with socket.create_connection(("127.0.0.1", bench.redis.port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            time.sleep(0.01)
            began = time.perf_counter_ns()
            link.sendall(b"PING\r\n")
            link.recv(64)
            delays.append((time.perf_counter_ns() - began) / 1e6)
    return percentiles(sorted(delays))


def launch(bench: Bench, asynchronous: bool) -> Values:
    """From the start of the process to the end of its first task."""
    bench.reset()
    bench.enqueue("fill-async" if asynchronous else "fill", 10)
    started = time.time_ns()
    with bench.worker("-q", "async" if asynchronous else "default"):
        bench.wait_for(1)
    return {"ms": (min(end for _, end, _ in bench.records()) - started) / 1e6}


def idle_traced(bench: Bench, concurrency: int) -> Values:
    """The same with an SDK, set up from the environment, that exports to a collector."""
    with collector() as server:
        bench.variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = server.url
        try:
            return idle(bench, concurrency)
        finally:
            del bench.variables["OTEL_EXPORTER_OTLP_ENDPOINT"]
