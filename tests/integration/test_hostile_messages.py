"""A process that can write to a queue can ask for registered tasks, and for nothing
else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fluxqueue_core import key
from support.raw_messages import dead, message
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
import os as renamed
from os import system
from support_of_app import imported_helper

def helper(*args, **kwargs):
    note("helper ran")

class Service:
    def method(self, *args, **kwargs):
        note("method ran")

service = Service()

@fluxqueue.task()
def work(**kwargs):
    note("work " + json.dumps(kwargs, sort_keys=True))

@fluxqueue.task()
async def work_async(**kwargs):
    note("work_async " + json.dumps(kwargs, sort_keys=True))

@fluxqueue.task_with_context()
def contextual(ctx: Context, number):
    note(f"contextual {type(ctx).__name__} {number}")

@fluxqueue.task(queue="other")
def of_another_queue():
    note("of_another_queue")
"""

# None of these is a registered task, though code that looks names up in modules,
# builtins or objects would find each.
NAMES = [
    *("os.system", "system", "renamed.system", "os", "subprocess.Popen", "posix.system"),
    *("eval", "exec", "compile", "open", "print", "__import__", "builtins.eval", "breakpoint"),
    *(
        "helper",
        "app.helper",
        "app:helper",
        "app.work",
        "work.func",
        "work.__call__",
        "imported_helper",
    ),
    *(
        "service.method",
        "Service",
        "Service.method",
        "note",
        "fluxqueue",
        "fluxqueue.task",
        "Context",
    ),
    *(
        "__class__",
        "__dict__",
        "__init__",
        "__globals__",
        "work.__globals__",
        "__main__",
        "__del__",
    ),
    *("WORK", "work ", " work", "work\0", "wo\u200brk", "\uff57ork", "work()", "work;helper", "*"),
    *(
        "../app",
        "/etc/passwd",
        "file:///etc/passwd",
        "redis.call",
        "",
        "None",
        "lambda: 0",
        "{work}",
    ),
    *("%(helper)s", "{0.__class__}", "${helper}", "work\nhelper", "\x1b[2Jwork", "a" * 256),
]

# Names that have a meaning inside the worker or in a function call.
KEYWORDS = {
    **dict.fromkeys(["self", "cls", "ctx", "context", "job", "task", "func", "name"], "os.system"),
    **dict.fromkeys(["args", "kwargs", "queue", "headers", "timeout", "__class__", "return"], "x"),
    **dict.fromkeys(["py/object", "__reduce__", "$type", "!!python/object", "a b", "größe"], "y"),
}


def push(redis: Any, *raw: bytes) -> None:
    redis.lpush(key("pending", "default"), *raw)


def test_only_registered_tasks_can_be_called(tmp_path: Path, redis: Any, redis_url: str) -> None:
    (tmp_path / "support_of_app.py").write_text("def imported_helper(*a, **k): raise SystemExit\n")
    with WorkerProcess(tmp_path, redis_url, "import json\n" + APP, unknown_task_grace=0) as worker:
        worker.wait_for("worker.connected")
        hostile = [
            message(name, "touch pwned", kwargs={"command": "touch pwned"}) for name in NAMES
        ]
        push(redis, *hostile)

        def promoted_and_dead() -> bool:
            # As a scheduler does.
            for raw in redis.zrange(key("delayed", "default"), 0, -1):
                redis.zrem(key("delayed", "default"), raw)
                push(redis, raw)
            return bool(redis.zcard(key("dead", "default")) == len(NAMES))

        wait_until(promoted_and_dead, what=worker.output)
        assert {reason["reason"] for reason in dead(redis).values()} == {"unknown_task"}
        kept = {json.loads(raw)["name"] for raw in redis.hvals(key("dead:messages", "default"))}
        assert kept == set(NAMES)
        push(redis, message("work", kwargs={"after": 1}))
        wait_until(lambda: worker.notes() == ['work {"after": 1}'], what=worker.output)
        assert sorted(file.name for file in tmp_path.iterdir() if file.name == "pwned") == []
        assert worker.stop() == 0
        assert worker.other_output == []


def test_keyword_arguments_are_plain_data_whatever_their_names(
    tmp_path: Path, redis: Any, redis_url: str
) -> None:
    (tmp_path / "support_of_app.py").write_text("imported_helper = None\n")
    with WorkerProcess(tmp_path, redis_url, "import json\n" + APP) as worker:
        push(redis, message("work", kwargs=KEYWORDS), message("work_async", kwargs=KEYWORDS))
        shown = json.dumps(KEYWORDS, sort_keys=True)
        wait_until(
            lambda: sorted(worker.notes()) == [f"work {shown}", f"work_async {shown}"],
            what=worker.output,
        )
        # The context is the worker's; a message can't put another one in its place.
        push(
            redis, message("contextual", 1, kwargs={"ctx": "mine"}), message("contextual", "a", "b")
        )
        wait_until(lambda: redis.zcard(key("dead", "default")) == 2, what=worker.output)
        assert {reason["reason"] for reason in dead(redis).values()} == {"arguments"}
        push(redis, message("contextual", 2))
        wait_until(lambda: worker.notes()[2:] == ["contextual Context 2"], what=worker.output)
        assert worker.stop() == 0
