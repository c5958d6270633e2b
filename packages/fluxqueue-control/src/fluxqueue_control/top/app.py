"""The screen: tables of queues and workers, and the keys that pause and resume."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import ClassVar

from fluxqueue_core.service.command_line import one_line
from redis.exceptions import RedisError
from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, Header, Static

from fluxqueue_control.commands.answers import age
from fluxqueue_control.errors import UNAVAILABLE, described
from fluxqueue_control.topology import NoCluster
from fluxqueue_control.watching import COUNTED, Observation
from fluxqueue_control.workers import Worker

from .confirmation import Confirmation
from .state import ScreenSource, ScreenState

_QUEUES = ("queue", "pending", "oldest", "suspects", "delayed", "claimed", "dead", "state", "ok/s",
           "retry/s", "dead/s", "wait 95%", "run 95%")  # fmt: skip
_WORKERS = (
    "queue",
    "host",
    "pid",
    "version",
    "slots",
    "claimed",
    "lease",
    "memory",
    "runs longest",
)
_FAILURES = (RedisError, NoCluster, *UNAVAILABLE)


class TopApp(App[int]):
    """Shows queues and workers, and changes them only if it may.

    Args:
        interval: seconds between two looks.
        may_change: whether the keys that pause and resume work.
    """

    TITLE = "fluxqueue top"
    CSS = """
    #queues { height: 1fr; }
    #workers { height: 1fr; }
    .heading { padding: 0 1; text-style: bold; }
    #failure { color: $error; padding: 0 1; display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause or resume"),
        Binding("r", "refresh", "Refresh"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, source: ScreenSource, interval: float, *, may_change: bool) -> None:
        super().__init__()
        self._source = source
        self._interval = interval
        self._may_change = may_change
        self._state = ScreenState((), (), has_more=False)
        # Of the source: one thread at a time uses it.
        self._lock = threading.Lock()

    def compose(self) -> ComposeResult:
        """Lays out the screen."""
        yield Header(show_clock=True)
        yield Static("", id="failure", markup=False)
        yield Static("Queues", classes="heading")
        yield DataTable(id="queues", cursor_type="row", zebra_stripes=True)
        yield Static("Workers", classes="heading", id="workers-heading")
        yield DataTable(id="workers", cursor_type="row", zebra_stripes=True)
        yield Footer()

    def on_mount(self) -> None:
        """Begins to look."""
        self.sub_title = "may change queues" if self._may_change else "read-only"
        self._table("queues").add_columns(*_QUEUES)
        self._table("workers").add_columns(*_WORKERS)
        self._table("queues").focus()
        self.set_interval(self._interval, self.action_refresh)
        self.action_refresh()

    def action_refresh(self) -> None:
        """Looks now, unless a look is under way."""
        if not self._lock.locked():
            self._look()

    @work(thread=True, group="redis")
    def _look(self) -> None:
        with self._lock:
            try:
                state = self._source.read()
            except _FAILURES as error:
                self.call_from_thread(self._show_failure, described(error))
                return
        self.call_from_thread(self._show, state)

    def action_pause(self) -> None:
        """Asks whether to pause or to resume the queue under the cursor."""
        table = self._table("queues")
        if not self._state.queues or not table.row_count:
            return
        seen = self._state.queues[min(table.cursor_row, len(self._state.queues) - 1)]
        if not self._may_change:
            self.notify("read-only: start it with --operate to change queues", severity="warning")
            return
        verb = "Resume" if seen.is_paused else "Pause"

        def act(is_sure: bool | None) -> None:
            if is_sure:
                self._set_paused(seen.queue, not seen.is_paused)

        self.push_screen(Confirmation(f"{verb} the queue {one_line(seen.queue)}?"), act)

    @work(thread=True, group="redis")
    def _set_paused(self, queue: str, paused: bool) -> None:
        with self._lock:
            try:
                has_changed = self._source.set_paused(queue, paused=paused)
                state = self._source.read()
            except _FAILURES as error:
                self.call_from_thread(self._show_failure, described(error))
                return
        said = "paused" if paused else "resumed"
        text = f"{one_line(queue)} {said if has_changed else f'was {said} already'}"
        self.call_from_thread(self.notify, text, markup=False)
        self.call_from_thread(self._show, state)

    def _table(self, name: str) -> DataTable[Text]:
        return self.query_one(f"#{name}", DataTable)

    def _show_failure(self, text: str) -> None:
        failure = self.query_one("#failure", Static)
        failure.update(one_line(text))
        failure.display = True

    def _show(self, state: ScreenState) -> None:
        self._state = state
        self.query_one("#failure", Static).display = False
        _fill(self._table("queues"), [_queue_row(each) for each in state.queues])
        rows = [_worker_row(queue, worker) for queue, worker in state.workers]
        _fill(self._table("workers"), rows)
        text = f"Workers ({len(rows)}{' or more' if state.has_more else ''})"
        self.query_one("#workers-heading", Static).update(text)


def _fill(table: DataTable[Text], rows: Sequence[Sequence[Text]]) -> None:
    """Replaces the rows; the cursor stays where it is."""
    cursor, x, y = table.cursor_row, table.scroll_x, table.scroll_y
    table.clear()
    table.add_rows(rows)
    table.move_cursor(row=min(cursor, max(len(rows) - 1, 0)), scroll=False)
    table.scroll_to(x, y, animate=False)


def _queue_row(seen: Observation) -> list[Text]:
    lengths = seen.lengths
    numbers = (lengths.suspects, lengths.delayed, lengths.claimed, lengths.dead)
    rates = [seen.rates.get(name) for name in COUNTED]
    return [
        _cell(seen.queue),
        _number(lengths.pending),
        _time(seen.oldest),
        *(_number(number) for number in numbers),
        Text("paused", "bold yellow") if seen.is_paused else Text("runs", "green"),
        *(_number(None if rate is None else round(rate, 1)) for rate in rates),
        _time(seen.wait),
        _time(seen.run),
    ]


def _worker_row(queue: str, worker: Worker) -> list[Text]:
    identity = worker.identity
    left = worker.lease_left
    lease = Text(f"{left:.0f} s") if left >= 0 else Text(f"ended {-left:.0f} s ago", "bold red")
    known = [_cell(identity.get(part, "-")) for part in ("host", "pid", "version", "slots")]
    memory = None if worker.report is None else worker.report.memory
    size = Text("-" if memory is None else f"{memory / 1_048_576:,.0f} MiB", justify="right")
    return [_cell(queue), *known, _number(worker.claimed), lease, size, _longest(worker)]


def _longest(worker: Worker) -> Text:
    """The task that has run longest, as the worker has reported it."""
    tasks = worker.report.tasks if worker.report is not None else ()
    longest = max(tasks, key=lambda task: task.seconds, default=None)
    return _cell("-" if longest is None else f"{longest.name} for {age(longest.seconds)}")


def _cell(value: object) -> Text:
    # Text, so that nothing in a name is markup.
    return Text(one_line(str(value)))


def _time(seconds: float | None) -> Text:
    return Text("-" if seconds is None else age(seconds), justify="right")


def _number(value: float | None) -> Text:
    return Text("-" if value is None else f"{value:,}", justify="right")
