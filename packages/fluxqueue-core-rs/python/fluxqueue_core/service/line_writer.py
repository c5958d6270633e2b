"""Writes log lines to a descriptor without ever waiting for its reader.

A line is written at once if the kernel takes it. If it does not, because a pipe is
full, the line waits in a bounded buffer; when that is full, lines are dropped and
counted until it is empty. So a log reader that stalls stops no task, no lease and no
drain.

A single write to a terminal, or to a pipe of Linux before 6.4, can't be told not to
wait; these are opened once more, for this process only. If that is not allowed, the
writer polls the descriptor before each write, which may still wait if a terminal is
almost full, or if another process has filled the pipe in between.

Why: docs/decisions/0022-a-log-never-waits-for-its-reader.md
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from time import sleep

# The most bytes of waiting lines.
LIMIT = 8 * 1024 * 1024
# A pipe takes a write of this size as a whole. So the lines of several processes that
# share a pipe stay whole.
CHUNK = select.PIPE_BUF
# RWF_NOWAIT, for one write. A flag of the descriptor would apply to all processes that
# share it.
_NO_WAIT = 8
_NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ESPIPE)
# The seconds until the next attempt if the kernel took nothing.
_PAUSE = 0.01


class LineWriter:
    """Writes lines. Any thread may call it with a line.

    Args:
        descriptor: the caller keeps it, and closes it.
        dropped_line: makes the line that says how many lines are missing before it.
        limit: the most bytes of waiting lines.
    """

    def __init__(
        self, descriptor: int, dropped_line: Callable[[int], bytes], limit: int = LIMIT
    ) -> None:
        self._descriptor = descriptor
        self._dropped_line = dropped_line
        self._limit = limit
        # The way to write without waiting. The first line decides which one works.
        self._write = self._write_without_waiting
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            self._write = self._write_to_file  # a file never makes its writer wait
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # A forked child calls this too: it has neither the thread nor the holder of the
        # lock, and its parent writes the waiting lines.
        # The lock is reentrant, because the garbage collector may run a finalizer that
        # logs while a line is being written.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def __call__(self, line: bytes) -> None:
        with self._lock:
            if not self._waiting:
                try:
                    line = line[self._write(line) :]
                except BlockingIOError:
                    pass
                except OSError:
                    return  # the reader is gone: no reason for a task to fail
                if not line:
                    return
            if self._dropped or (self._waiting and self._bytes + len(line) > self._limit):
                self._dropped += 1
            else:
                self._waiting.append(line)
                self._bytes += len(line)
            self._pump()
            self._leave_the_rest()

    def _pump(self) -> bool:
        """Writes as much of the waiting lines as the kernel takes. False: it took none."""
        waiting = self._waiting
        progress = False
        while waiting:
            count, chunk = self._next_chunk()
            try:
                written = self._write(chunk)
            except BlockingIOError:
                return progress
            except OSError:
                written = len(chunk)
            progress = True
            self._bytes -= written
            if written == len(chunk):
                for _ in range(count):
                    waiting.popleft()
            else:
                self._drop_written(written)
            if not waiting and self._dropped:
                line = self._dropped_line(self._dropped)
                self._dropped = 0
                waiting.append(line)
                self._bytes += len(line)
        return progress

    def _next_chunk(self) -> tuple[int, bytes]:
        """Returns the lines that a pipe takes as a whole, at least one: number and bytes."""
        waiting = self._waiting
        if len(waiting) == 1:
            return 1, waiting[0]
        count, size = 0, 0
        for line in waiting:
            size += len(line)
            if count and size > CHUNK:
                break
            count += 1
        return count, b"".join(islice(waiting, count))

    def _drop_written(self, written: int) -> None:
        while written >= len(self._waiting[0]):
            written -= len(self._waiting.popleft())
        self._waiting[0] = self._waiting[0][written:]

    def _write_to_file(self, chunk: bytes) -> int:
        return os.write(self._descriptor, chunk)

    def _write_without_waiting(self, chunk: bytes) -> int:
        try:
            return os.pwritev(self._descriptor, [chunk], -1, _NO_WAIT)
        except (AttributeError, NotImplementedError):
            pass  # this system has no such call
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
        self._open_again()
        return self._write(chunk)

    def _open_again(self) -> None:
        """Opens the same terminal or pipe again, with flags for this process alone."""
        descriptor = self._descriptor
        try:
            path = (
                os.ttyname(descriptor) if os.isatty(descriptor) else f"/proc/self/fd/{descriptor}"
            )
            self._own = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            self._write = self._ask_and_write
        else:
            self._write = self._write_to_own

    def _write_to_own(self, chunk: bytes) -> int:
        return os.write(self._own, chunk)

    def _ask_and_write(self, chunk: bytes) -> int:
        if not select.select([], [self._descriptor], [], 0)[1]:
            raise BlockingIOError
        return os.write(self._descriptor, chunk[:CHUNK])

    def _leave_the_rest(self) -> None:
        """Leaves the waiting lines to the thread. The first one starts the thread."""
        if not self._waiting:
            return
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="fluxqueue-log", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # the system has no free thread: the next line tries again
            self._thread = thread
        self._changed.notify_all()

    def _run(self) -> None:
        """Writes the waiting lines when there is a reader again. Runs in the thread."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        while True:
            with self._lock:
                while not self._waiting:
                    self._changed.wait()
            poll.poll()
            with self._lock:
                progress = self._pump()
                if not self._waiting:
                    self._changed.notify_all()
            if not progress:
                sleep(_PAUSE)

    def flush(self, patience: float) -> bool:
        """Waits until all lines are written, for `patience` seconds at most. Returns
        whether they are."""
        with self._lock:
            self._pump()
            self._leave_the_rest()
            return self._changed.wait_for(lambda: not self._waiting, patience)
