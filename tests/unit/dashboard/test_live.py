"""The hub of live pages: one reader for all viewers, and none without viewers."""

from __future__ import annotations

import asyncio

from fluxqueue_control.queues import Lengths
from fluxqueue_dashboard.live import Hub, close
from fluxqueue_dashboard.snapshot import Past, QueueNow, Snapshot

SHORT = 0.05


class Readings:
    """Counts what a hub reads. Each reading waits for `go`, if there is one."""

    def __init__(self) -> None:
        self.count = 0
        self.go: asyncio.Event | None = None

    async def read(self) -> Snapshot:
        self.count += 1
        number = self.count
        if self.go is not None:
            await self.go.wait()
        return Snapshot(1_000.0 + number)


async def following(hub: Hub[Snapshot], count: int) -> list[Snapshot]:
    snapshots = hub.follow()
    found = []
    async for snapshot in snapshots:
        found.append(snapshot)
        if len(found) == count:
            break
    await close(snapshots)
    return found


def test_all_viewers_get_the_same_snapshots_of_one_reader() -> None:
    readings = Readings()

    async def run() -> list[list[Snapshot]]:
        hub = Hub(readings.read, SHORT)
        return await asyncio.gather(*(following(hub, 3) for _ in range(10)))

    found = asyncio.run(run())
    assert all(each == found[0] for each in found)
    assert readings.count == 3


def test_nothing_is_read_without_viewers() -> None:
    readings = Readings()

    async def run() -> set[object]:
        hub = Hub(readings.read, SHORT)
        await following(hub, 2)
        # The end of the reader needs a turn of the loop.
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await following(hub, 1)
        return set(left)

    assert asyncio.run(run()) == set()
    assert readings.count == 3


def test_pages_that_are_asked_for_at_once_share_a_reading() -> None:
    readings = Readings()

    async def run() -> list[Snapshot]:
        readings.go = asyncio.Event()
        hub = Hub(readings.read, SHORT)
        asked = [asyncio.create_task(hub.now()) for _ in range(5)]
        await asyncio.sleep(0)
        # One of them leaves, and the others still get theirs.
        asked[0].cancel()
        readings.go.set()
        return await asyncio.gather(*asked[1:])

    assert asyncio.run(run()) == [Snapshot(1_001.0)] * 4
    assert readings.count == 1


def test_the_end_of_the_hub_ends_its_viewers() -> None:
    async def run() -> list[Snapshot]:
        readings = Readings()
        hub = Hub(readings.read, SHORT)

        task = asyncio.create_task(following(hub, 1_000_000))
        while not readings.count:
            await asyncio.sleep(SHORT / 5)
        hub.close()
        return await asyncio.wait_for(task, 30)

    assert len(asyncio.run(run())) <= 1


def test_the_past_has_a_gap_for_a_moment_without_redis() -> None:
    def queue(name: str, waiting: int) -> QueueNow:
        return QueueNow(name, Lengths(waiting, 0, 0, 0, 0), False, ())

    past = Past()
    past.add(Snapshot(1, [queue("a", 1)]))
    past.add(Snapshot(2, error="down"))
    past.add(Snapshot(3, [queue("a", 3), queue("b", 4)]))
    assert list(past.times) == [1, 2, 3]
    assert past.values("pending") == [1, None, 7]
    assert past.values("pending", "a") == [1, None, 3]
    assert past.values("pending", "b") == [None, None, 4]
    assert past.values("pending", "gone") == [None, None, None]
