"""Runs a command in a separate network, in which every port of 127.0.0.1 is free:
`python network_namespace.py new COMMAND...`, or `... PID COMMAND...` in that of a process.

It ends with exit code 77 if the system does not allow it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Sequence

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP_RUNNING = 0x41
NOT_ALLOWED = 77


def in_new_network(command: Sequence[str]) -> list[str]:
    """Returns the command that runs this one in a new network."""
    return [sys.executable, __file__, "new", *command]


def in_network_of(pid: int, command: Sequence[str]) -> list[str]:
    """Returns the command that runs this one in the network of a process."""
    return [sys.executable, __file__, str(pid), *command]


def _enter(where: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if where != "new":
        kinds = {"net": CLONE_NEWNET} if os.geteuid() == 0 else {"user": 0, "net": 0}
        for kind in kinds:
            with open(f"/proc/{where}/ns/{kind}") as file:
                _check(libc.setns(file.fileno(), 0))
        return
    flags = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWNET | CLONE_NEWUSER
    _check(libc.unshare(flags))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP_RUNNING))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    try:
        _enter(sys.argv[1])
    except (OSError, AttributeError) as error:
        print(f"no network namespace: {error}", file=sys.stderr)
        sys.exit(NOT_ALLOWED)
    os.execvp(sys.argv[2], sys.argv[2:])
