"""Lines on their way to a descriptor, whatever its reader does."""

from __future__ import annotations

import errno
import os
import pty
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator

import pytest
from fluxqueue_core.service.line_writer import LineWriter

PATIENCE = 20.0


def dropped_line(count: int) -> bytes:
    return b"dropped %d\n" % count


class Pipe:
    """A pipe whose reader reads only when it is told to."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.got = b""

    def read(self, size: int = 65536) -> None:
        self.got += os.read(self.reader, size)

    def read_lines(self, count: int) -> list[bytes]:
        while self.got.count(b"\n") < count:
            self.read()
        return self.got.splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    os.close(pipe.reader)
    os.close(pipe.writer)


@pytest.fixture(params=["told not to wait", "opened again", "asked first"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what this kernel can do, and as one that can't be told not to wait."""

    def unsupported(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    def forbidden(*_: object) -> int:
        raise PermissionError(errno.EACCES, "not allowed")

    if request.param != "told not to wait":
        monkeypatch.setattr(os, "pwritev", unsupported)
    if request.param == "asked first":
        monkeypatch.setattr(os, "open", forbidden)


@pytest.mark.usefixtures("way")
def test_no_thread_waits_for_a_reader_and_no_line_is_lost_or_overtaken(pipe: Pipe) -> None:
    write = LineWriter(pipe.writer, dropped_line)
    count = 4_000
    lines = [b"%d %s" % (n, b"x" * (n % 300)) for n in range(count)]
    for line in lines:
        write(line + b"\n")
    assert not write.flush(0.0)
    assert pipe.read_lines(count) == lines
    assert write.flush(PATIENCE)
    write(b"the next\n")
    assert pipe.read_lines(count + 1)[-1] == b"the next"


@pytest.mark.usefixtures("way")
def test_lines_that_do_not_fit_are_dropped_and_counted_in_their_place(pipe: Pipe) -> None:
    write = LineWriter(pipe.writer, dropped_line, limit=1_000)
    for number in range(2_000):
        write(b"%099d\n" % number)
    while b"dropped" not in pipe.got:
        pipe.read()
    kept = pipe.got.splitlines()
    written = [int(line) for line in kept[:-1]]
    assert written == list(range(len(written)))
    assert kept[-1] == b"dropped %d" % (2_000 - len(written))
    assert write.flush(PATIENCE)
    write(b"the next\n")
    assert pipe.read_lines(len(kept) + 1)[-1] == b"the next"


@pytest.mark.usefixtures("way")
def test_a_line_longer_than_pipe_and_limit_arrives_whole(pipe: Pipe) -> None:
    write = LineWriter(pipe.writer, dropped_line, limit=1_000)
    long = b"x" * 1_000_000
    write(long + b"\n")
    write(b"too many\n")
    assert pipe.read_lines(2) == [long, b"dropped 1"]
    assert write.flush(PATIENCE)


def test_lines_of_many_threads_stay_whole_through_a_slow_reader(pipe: Pipe) -> None:
    write = LineWriter(pipe.writer, dropped_line)
    each = 500

    def log(thread: int) -> None:
        for number in range(each):
            write(b"%d %d %s\n" % (thread, number, b"y" * 500))

    threads = [threading.Thread(target=log, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    lines = pipe.read_lines(4 * each)
    for thread in threads:
        thread.join()
    for thread_number in range(4):
        mine = [line for line in lines if line.startswith(b"%d " % thread_number)]
        assert [int(line.split()[1]) for line in mine] == list(range(each))
        assert {line.split()[2] for line in mine} == {b"y" * 500}


def test_a_stopped_terminal_delays_no_thread() -> None:
    master, terminal = pty.openpty()
    try:
        write = LineWriter(terminal, dropped_line, limit=1_000)
        for _ in range(3_000):
            write(b"z" * 99 + b"\n")
        assert not write.flush(0.0)
        got = b""
        while b"dropped" not in got:
            got += os.read(master, 65536)
        assert got.startswith(b"z" * 99)
    finally:
        os.close(master)
        os.close(terminal)


def test_a_socket_takes_lines_as_well() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        write = LineWriter(ours.fileno(), dropped_line)
        for number in range(20_000):
            write(b"%d\n" % number)
        with theirs.makefile("rb") as lines:
            assert [int(next(lines)) for _ in range(20_000)] == list(range(20_000))


def test_a_missing_reader_raises_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w"), tempfile.TemporaryFile() as file:
        write = LineWriter(writer, dropped_line)
        with pytest.raises(BrokenPipeError):
            os.write(writer, b"line\n")
        write(b"dropped\n")
        os.dup2(file.fileno(), writer)  # a reader is there again
        write(b"next\n")
        file.seek(0)
        assert file.read() == b"next\n"


def test_a_reader_that_leaves_while_lines_wait_raises_no_error(pipe: Pipe) -> None:
    write = LineWriter(pipe.writer, dropped_line)
    for _ in range(2_000):
        write(b"a" * 99 + b"\n")
    assert not write.flush(0.0)
    nobody, other = os.pipe()
    os.dup2(nobody, pipe.reader)  # closes the reading end
    os.close(nobody)
    os.close(other)
    assert write.flush(PATIENCE)


CHILD = """
import os, sys
from fluxqueue_core.service.line_writer import LineWriter
write = LineWriter(2, lambda count: b"")
for _ in range(2_000):
    write(b"p" * 99 + b"\\n")      # more than a pipe takes
child = os.fork()
if child == 0:
    write(b"child\\n")
    write.flush(20)
    os._exit(0)
os.write(1, b"forked\\n")
os.waitpid(child, 0)
write(b"parent\\n")
write.flush(20)
os._exit(0)
"""


def test_a_forked_child_writes_its_own_lines_only() -> None:
    # Python warns of a fork of a process with threads, into the pipe that is full.
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CHILD],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"forked\n"
    lines = process.stderr.read().splitlines()
    assert process.wait(PATIENCE) == 0
    process.stdout.close()
    process.stderr.close()
    assert sorted(lines) == [b"child", b"parent", *[b"p" * 99] * 2_000]
    assert lines[-1] == b"parent"


def test_a_thread_that_can_t_be_started_is_tried_again(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> threading.Thread:
        raise RuntimeError("can't start new thread")

    write = LineWriter(pipe.writer, dropped_line)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for number in range(3_000):
            write(b"%099d\n" % number)
    write(b"%099d\n" % 3_000)
    assert [int(line) for line in pipe.read_lines(3_001)] == list(range(3_001))
