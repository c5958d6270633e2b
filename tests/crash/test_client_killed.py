"""`kill -9` of a client: what its calls returned for is in Redis."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from support.cluster import Cluster
from support.waiting import wait_until

APP = """
@fluxqueue.task()
def work(number):
    with ledger.run(number):
        pass
"""
CLIENT = """
import os, sys
from fluxqueue import FluxQueue

@FluxQueue(sys.argv[1]).task()
def work(number): ...

for number in range(1_000_000):
    work(number)
    os.write(1, b"%d\\n" % number)
"""


def test_what_was_acknowledged_is_there_and_runs(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    said = tmp_path / "said"
    with Cluster(tmp_path, redis_url, APP) as cluster:
        with said.open("wb") as output:
            client = subprocess.Popen([sys.executable, "-c", CLIENT, redis_url], stdout=output)
        most = chance.randrange(100, 2000)
        wait_until(lambda: said.read_bytes().count(b"\n") > most)
        os.kill(client.pid, signal.SIGKILL)
        assert client.wait() == -signal.SIGKILL
        # A last line may be cut off: that call's return was not recorded.
        returned = [int(line) for line in said.read_bytes().split(b"\n")[:-1]]

        cluster.start_worker(log_level="warning")
        cluster.wait_until_ended(range(len(returned)))
        cluster.wait_until_settled()
        assert returned == list(range(len(returned)))
        # One more may have been sent whose return nobody has seen.
        assert cluster.stats()["succeeded"] - len(returned) in (0, 1)
        assert cluster.ledger.run_twice() == set()
