"""A name server that answers late or never, and processes that ask it.

    with NameServer(delay=2.5) as names:
        subprocess.run([*names.inside(folder), sys.executable, ...])

In such a process each name is 127.0.0.1. It needs the rights to a mount namespace and to
port 53: root, as in most containers.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import threading
from pathlib import Path
from typing import Self

import pytest


def inside(folder: Path, **files: str) -> list[str]:
    """The beginning of a command that sees these files in /etc: `hosts="127.0.0.1 a"`. Skips
    the test where that is not possible."""
    mounts = []
    for name, text in files.items():
        path = folder / f"etc-{name}"
        path.write_text(text)
        mounts.append(f"mount --bind '{path}' '/etc/{name.replace('_', '.')}'")
    unshare = shutil.which("unshare")
    command = [unshare or "", "-m", "sh", "-c", " && ".join([*mounts, 'exec "$@"']), "sh"]
    if unshare is None or subprocess.run([*command, "true"], check=False).returncode != 0:
        pytest.skip("no mount namespaces here")
    return command


class NameServer:
    """A name server for `resolv.conf`.

    Args:
        delay: the seconds before each answer. None: there is no answer.

    Attributes:
        asked: the questions so far.
    """

    def __init__(self, delay: float | None = None) -> None:
        self._delay = delay
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # Another test may have a name server at the same time.
        self._address = f"127.{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250}.53"
        try:
            self._socket.bind((self._address, 53))
        except OSError as error:
            self._socket.close()
            pytest.skip(f"no port for a name server: {error}")

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        # `close` alone does not wake the thread.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def inside(self, folder: Path) -> list[str]:
        """The beginning of a command that asks this server."""
        return inside(folder, resolv_conf=f"nameserver {self._address}\n")

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                question, client = self._socket.recvfrom(512)
                if not question:
                    return  # shut down
                self.asked += 1
                if self._delay is not None:
                    answer = (_answer(question), client)
                    timer = threading.Timer(self._delay, self._send, answer)
                    timer.daemon = True
                    timer.start()

    def _send(self, answer: bytes, client: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendto(answer, client)


def _answer(question: bytes) -> bytes:
    """127.0.0.1 to a question for an IPv4 address; to others, that there is none (RFC 1035)."""
    end = question.index(b"\0", 12) + 5
    (kind,) = struct.unpack(">H", question[end - 4 : end - 2])
    addresses = [socket.inet_aton("127.0.0.1")] if kind == 1 else []
    records = [struct.pack(">HHHIH", 0xC00C, 1, 1, 0, 4) + address for address in addresses]
    head = struct.pack(">HHHHHH", *struct.unpack(">H", question[:2]), 0x8180, 1, len(records), 0, 0)
    return head + question[12:end] + b"".join(records)
