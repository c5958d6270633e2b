"""Asks a health endpoint, for the healthcheck of a container without curl.

    python -m fluxqueue_core.service.probe             # /readyz of FLUXQUEUE_HEALTH_PORT
    python -m fluxqueue_core.service.probe 8000/livez  # another port and path

Prints the body. Exits with 0 for the status 200, with 1 for any other, and with 2 if the
command line is wrong.
"""

from __future__ import annotations

import os
import socket
import sys

PATIENCE = 5.0


def main(argv: list[str]) -> int:
    target = argv[0] if argv else os.environ.get("FLUXQUEUE_HEALTH_PORT", "")
    port, _, path = target.partition("/")
    if len(argv) > 1 or not port.isdecimal():
        print("usage: probe PORT[/PATH]; without it FLUXQUEUE_HEALTH_PORT", file=sys.stderr)
        return 2
    try:
        status, body = get(int(port), "/" + (path or "readyz"))
    except OSError as error:
        print(f"no answer from port {port}: {error}")
        return 1
    print(body.strip())
    return 0 if status == 200 else 1


def get(port: int, path: str, patience: float = PATIENCE) -> tuple[int, str]:
    """Sends a GET to this machine. Returns the status and the body.

    Raises:
        OSError: there is no response within `patience` seconds, or it is not HTTP.
    """
    with socket.create_connection(("127.0.0.1", port), patience) as connection:
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b"")).decode(errors="replace")
    head, _, body = answer.partition("\r\n\r\n")
    parts = head.split(" ", 2)
    if len(parts) < 2 or not parts[1].isdecimal():
        raise OSError("that is not an HTTP answer")
    return int(parts[1]), body


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
