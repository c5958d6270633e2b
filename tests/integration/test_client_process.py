"""The client in a separate process: Ctrl+C and the interpreter's end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fluxqueue_core import key
from support.scripted_redis import SILENCE, ScriptedRedis

APP = """
import asyncio, os, sys, threading
from fluxqueue import FluxQueue

app = FluxQueue(sys.argv[1], connect_timeout=60, timeout=60)

@app.task()
def work(a): ...

@app.task()
async def async_work(a): ...
"""


@contextlib.contextmanager
def start(body: str, url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, *options, "-c", APP + body, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONMALLOC": "debug"},  # tells of memory used after its end
    ) as process:
        try:
            yield process
        finally:
            process.kill()


STUCK = {
    "sync": "work(1)",
    "bulk": "work.enqueue_many([(1,)] * 2_000)",
    "async": "asyncio.run(async_work(1))",
    "async bulk": "asyncio.run(async_work.enqueue_many_async([(1,)] * 2_000))",
}


@pytest.mark.parametrize("stuck", ["connecting", "answering"])
@pytest.mark.parametrize("how", STUCK)
def test_ctrl_c_interrupts_a_stuck_call(how: str, stuck: str) -> None:
    greeting: Any = SILENCE if stuck == "connecting" else b"+OK\r\n"
    with ScriptedRedis(lambda number, command: SILENCE, greeting) as server:
        with start(STUCK[how], server.url) as process:
            if stuck == "connecting":
                server.await_connections(1)
            else:
                # A bulk call waits when it has two chunks on their way.
                server.await_pushes(2 if "bulk" in how else 1)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
        assert "KeyboardInterrupt" in errors
        assert process.returncode == -signal.SIGINT


def test_ctrl_c_interrupts_a_call_that_can_not_connect() -> None:
    with ScriptedRedis() as server:
        url = server.url
    # No server listens: the call tries repeatedly, within its timeout.
    with start("print('calling', flush=True)\nwork(1)", url) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "calling\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors


AT_EXIT = {
    "a plain exit": "work(1)",
    "a thread that has called": """
thread = threading.Thread(target=work, args=(1,))
thread.start()
thread.join()
""",
    "a daemon thread that has called and lives on": """
began = threading.Event()
def forever():
    work(1)
    began.set()
    while True:
        sum(range(1000))
threading.Thread(target=forever, daemon=True).start()
began.wait()
""",
    "a loop that was never closed": """
loop = asyncio.new_event_loop()
loop.run_until_complete(async_work(1))
""",
    "a loop that was closed": "asyncio.run(async_work(1))",
    "a loop that runs in a daemon thread": """
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
async def main():
    await async_work(1)
asyncio.run_coroutine_threadsafe(main(), loop).result()
""",
    "a call at exit": """
import atexit
atexit.register(work, 1)
""",
    "a call from a finaliser": """
class Last:
    def __del__(self):
        work(1)
last = Last()
del last
""",
    "sys.exit in a thread's presence": """
threading.Thread(target=work, args=(1,)).start()
sys.exit(0)
""",
}


@pytest.mark.parametrize("what", AT_EXIT)
def test_the_interpreter_ends_cleanly(redis_url: str, redis: Any, what: str) -> None:
    with start(AT_EXIT[what], redis_url, "-X", "faulthandler") as process:
        output, errors = process.communicate(timeout=60)
    assert (output, errors, process.returncode) == ("", "", 0)
    assert redis.llen(key("pending", "default")) == 1


def test_daemon_threads_that_call_while_the_interpreter_ends(redis_url: str, redis: Any) -> None:
    body = """
began = threading.Barrier(5)
def forever():
    work(1)
    began.wait()
    while True:
        work(1)
for _ in range(4):
    threading.Thread(target=forever, daemon=True).start()
began.wait()
"""
    for _ in range(5):
        with start(body, redis_url) as process:
            output, errors = process.communicate(timeout=60)
        assert (output, errors, process.returncode) == ("", "", 0)
    assert redis.llen(key("pending", "default")) >= 20


def test_a_signal_handler_that_does_not_raise_does_not_break_the_call(redis_url: str) -> None:
    answers = threading.Event()

    def script(number: int, command: list[bytes]) -> bytes:
        assert answers.wait(20)
        return b":1\r\n"

    body = """
import signal
signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
work(1)
print("sent", flush=True)
"""
    with ScriptedRedis(script) as server:
        with start(body, server.url) as process:
            server.await_pushes(1)
            process.send_signal(signal.SIGUSR1)
            assert process.stdout is not None
            assert process.stdout.readline() == "handled\n"
            answers.set()
            assert process.stdout.readline() == "sent\n"
            assert process.wait(20) == 0
        assert len(server.pushed) == 1
