"""The verbs of an operator, as functions of the control package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from fluxqueue_control import (
    audit,
    cancelling,
    dead,
    doctor,
    groups,
    jobs,
    limits,
    listing,
    locks,
    pausing,
    periodic,
    queues,
    strikes,
    tasks,
    why,
    workers,
)
from fluxqueue_control.candidates import REACH
from fluxqueue_control.deleting import delete_dead
from fluxqueue_control.finished import FinishedPage, read_finished, show_finished
from fluxqueue_control.listing import LISTED_STATES
from fluxqueue_control.requeue import requeue
from fluxqueue_control.search import Query, search
from fluxqueue_control.servers import Servers
from fluxqueue_control.watching import Observer
from support.scripts import message

from .filling import DEAD, DELAYED, FINISHED, HELD, QUEUE, Numbers, lock, tenant

# Seconds of a search, as of the commands.
_SECONDS = 0.1


def a_group(client: Any) -> str:
    """A group of dead tasks."""
    return groups.read_page(client, QUEUE, limit=1).groups[0].digest


def _some(page: FinishedPage) -> None:
    assert page.tasks


def verbs(servers: Servers, numbers: Numbers) -> dict[str, Callable[[], Any]]:
    """The verbs, in the order in which they are measured: the changes come last."""
    client = servers.of_queue(QUEUE)
    observer = Observer(servers)
    pages: dict[str, Iterator[Any]] = {}

    def identity(number: int) -> str:
        return message(number)[13:49].decode()

    def deep(state: Any) -> Callable[[], Any]:
        """Reads page after page."""

        def read_pages() -> Iterator[Any]:
            while True:
                cursor = None
                while True:
                    page = listing.read_tasks(client, QUEUE, state, cursor)
                    yield page
                    if (cursor := page.cursor) is None:
                        break

        pages[state] = read_pages()
        return lambda: next(pages[state])

    def find(number: int) -> Callable[[], Any]:
        def look() -> None:
            assert tasks.find(client, QUEUE, identity(number)).task is not None

        return look

    def explain(number: int) -> Callable[[], Any]:
        def look() -> None:
            task = tasks.find(client, QUEUE, identity(number)).task
            assert task is not None and why.explain(client, QUEUE, task)

        return look

    def seek(seconds: float | None = _SECONDS, states: Any = LISTED_STATES, **words: Any) -> Any:
        """Searches, as long as the commands do."""
        query = Query(**words)
        rest = {"states": states, "seconds": seconds}
        return lambda: list(search(client, QUEUE, query, **rest))

    oldest_dead = iter(count(DEAD))
    newest_dead = iter(count(DEAD + numbers.dead - 1, -1))
    first_waiting = iter(count(0))
    middle = iter(count(numbers.waiting // 2))
    delayed = iter(count(DELAYED))

    def requeue_one() -> None:
        entry = f'{identity(next(newest_dead))}"'.encode()
        task = dead.show(client, QUEUE, entry)
        assert task is not None
        [done] = requeue(client, QUEUE, [task])
        assert done.verdict == "requeued"

    def delete_one() -> None:
        entry = f'{identity(next(oldest_dead))}"'.encode()
        task = dead.show(client, QUEUE, entry)
        assert task is not None
        assert delete_dead(client, QUEUE, [(entry, task.died_at * 1_000)]) == [True]

    def delete_waiting() -> None:
        assert tasks.delete(client, QUEUE, identity(next(first_waiting))) == "deleted"

    def delete_deep() -> None:
        # In a short list it is not deep.
        answer = tasks.delete(client, QUEUE, identity(next(middle)))
        assert answer == ("requested" if numbers.waiting > 3 * REACH else "deleted")

    def run_now() -> None:
        assert tasks.run_now(client, QUEUE, identity(next(delayed))) == "moved"

    def lock_pages() -> Iterator[Any]:
        while True:
            cursor = None
            while True:
                page = locks.read_page(client, QUEUE, cursor)
                yield page
                if (cursor := page.cursor) is None:
                    break

    def chosen_dead() -> None:
        entries = [f'{identity(number)}"'.encode() for number in range(DEAD + 700, DEAD + 750)]
        assert len(dead.read_entries(client, QUEUE, entries)) == 50

    def last_job() -> None:
        [last] = jobs.read_last(client, QUEUE, 1)
        assert jobs.show(client, QUEUE, last.id) == last

    def move_one() -> None:
        assert tasks.move(client, QUEUE, identity(next(first_waiting)), "others") == "moved"

    def cancel_one() -> None:
        task = identity(next(first_waiting))
        assert cancelling.cancel(client, QUEUE, task) in ("cancelled", "requested")

    looked_for = lock_pages()

    def pause_and_resume() -> None:
        assert pausing.pause(client, QUEUE) and pausing.resume(client, QUEUE)

    return {
        "queues": lambda: queues.read_lengths(client, [QUEUE]),
        "workers": lambda: list(workers.scan(client, QUEUE)),
        "watch, a look": observer.observe,
        "doctor, without measuring": lambda: list(doctor.examine(servers, seconds=0)),
        "tasks, a page that waits": deep("waiting"),
        "tasks, a delayed page": deep("delayed"),
        "tasks, a page that workers have": deep("claimed"),
        "tasks, a dead page": deep("dead"),
        "tasks, a finished page": lambda: _some(read_finished(client, QUEUE)),
        "tasks, finished, name": lambda: _some(read_finished(client, QUEUE, name="shop.ship")),
        "task, finished": lambda: show_finished(client, QUEUE, identity(FINISHED + 5)),
        "dead list": lambda: dead.read_page(client, QUEUE),
        "task, waiting, the next one": find(numbers.waiting // 100),
        "task, waiting, in the middle": find(numbers.waiting // 2),
        "task, delayed": find(DELAYED + 5),
        "task, at work": find(HELD + 5),
        "task, dead": find(DEAD + numbers.dead // 2),
        "dead groups, a step of the first look": lambda: groups.add_new(client, QUEUE, 0),
        "dead groups": lambda: list(groups.scan(client, QUEUE)),
        "dead list, one group": lambda: dead.read_page(client, QUEUE, group=a_group(client)),
        "search, name, first 20": seek(name="shop.ship"),
        "search, dead, name": seek(name="shop.ship", states=["dead"]),
        "search, dead, exception": seek(exception="ConnectionError"),
        "search, dead, exception of none": seek(exception="ValueError"),
        "search, dead, name and argument": seek(
            name="shop.charge", arguments={"order_id": str(DEAD + 1)}, states=["dead"]
        ),
        "search, dead, error in none": seek(error="ValueError"),
        "search, dead, argument of one": seek(
            arguments={"order_id": str(DEAD + 7)}, states=["dead"]
        ),
        "search, waiting, argument": seek(arguments={"order_id": "-1"}, states=["waiting"]),
        "search, everywhere, argument": seek(arguments={"order_id": "-1"}),
        "why, waiting, in the middle": explain(numbers.waiting // 2),
        "why, delayed": explain(DELAYED + 5),
        "why, dead": explain(DEAD + numbers.dead // 2),
        "search, waiting, beginning of an id": seek(
            id=f"{identity(numbers.waiting // 2)[:-2]}*", states=["waiting"]
        ),
        "search, waiting, header": seek(headers={"tenant": tenant(7)}, states=["waiting"]),
        "search, dead, beginning of an id": seek(id=f"{identity(DEAD + 7)[:-1]}*", states=["dead"]),
        "search, dead, header": seek(headers={"tenant": tenant(7)}, states=["dead"]),
        "search, everywhere, header of none": seek(headers={"tenant": "none"}),
        "dead, 50 chosen ones": chosen_dead,
        "locks": lambda: locks.read_page(client, QUEUE),
        "locks, page after page": lambda: next(looked_for),
        "lock, one": lambda: locks.show(client, QUEUE, lock(5)),
        "job list": lambda: jobs.read_last(client, QUEUE),
        "job list, all": lambda: jobs.read_last(client, QUEUE, 1_000),
        "job, one": last_job,
        "audit": lambda: audit.read_page(client, QUEUE),
        "strikes": lambda: strikes.read_all(client, QUEUE),
        "limits": lambda: limits.read_limits(client, QUEUE),
        "periodic": lambda: list(periodic.scan(client, QUEUE)),
        "pause and resume": pause_and_resume,
        "task --run-now": run_now,
        "dead replay, one": requeue_one,
        "dead delete, one": delete_one,
        "task --delete, the next one": delete_waiting,
        "task --delete, in the middle": delete_deep,
        "task --move, the next one": move_one,
        "cancel, the next one": cancel_one,
    }
