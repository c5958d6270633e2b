"""Tasks that several crash tests run: source text for the `app` of a `System`.

Each task notes its runs in the ledger, under the number that is its first argument.
"""

from __future__ import annotations


def work(seconds: float = 0.0) -> str:
    """`work` and `work_async`, which take this long."""
    return f"""
import asyncio

@fluxqueue.task()
def work(number):
    with ledger.run(number):
        time.sleep({seconds})

@fluxqueue.task()
async def work_async(number):
    with ledger.run(number):
        await asyncio.sleep({seconds})
"""


# `hold` runs until the test makes the file `open` in the folder of the application.
HOLD = """
@fluxqueue.task()
def hold(number):
    with ledger.run(number):
        while not os.path.exists("open"):
            time.sleep(0.01)
"""


def work_of_queues(*queues: str) -> str:
    """The task `work` in each of these queues: it takes 10 ms, and the first attempt of
    every fifth number fails."""
    return "\n".join(
        f"""
@fluxqueue.task_with_context(name="work", queue={queue!r}, retry_delay=0.1)
def work_{n}(ctx: Context, number):
    if number % 5 == 0 and ctx.metadata.retries == 0:
        raise ValueError("a first attempt that fails")
    with ledger.run(number):
        time.sleep(0.01)
"""
        for n, queue in enumerate(queues)
    )
