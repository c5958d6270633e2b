"""`kill -9` of a client: every task whose call returned is in Redis."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from support import apps
from support.system import System
from support.waiting import wait_until

APP = apps.work()
CLIENT = """
import os, sys
from fluxqueue import FluxQueue

@FluxQueue(sys.argv[1]).task()
def work(number): ...

for number in range(1_000_000):
    work(number)
    os.write(1, b"%d\\n" % number)
"""


def test_every_acknowledged_task_is_there_and_runs(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    said = tmp_path / "said"
    with System(tmp_path, redis_url, APP) as system:
        with said.open("wb") as output:
            client = subprocess.Popen([sys.executable, "-c", CLIENT, redis_url], stdout=output)
        most = chance.randrange(100, 2000)
        wait_until(lambda: said.read_bytes().count(b"\n") > most)
        os.kill(client.pid, signal.SIGKILL)
        assert client.wait() == -signal.SIGKILL
        # A last line may be cut off: that call's return was not recorded.
        returned = [int(line) for line in said.read_bytes().split(b"\n")[:-1]]

        system.start_worker(log_level="warning")
        system.wait_until_ended(range(len(returned)))
        system.wait_until_settled()
        assert returned == list(range(len(returned)))
        # One more may have been sent before its call returned.
        assert system.stats()["succeeded"] - len(returned) in (0, 1)
        assert system.ledger.run_twice() == set()
