"""A real web server of an application, in its own process.

with WebProcess(folder, redis_url, APP, "uvicorn", "app:app") as web:
    status, text = web.get("/tasks/1")
"""

from __future__ import annotations

from pathlib import Path

from .logging_process import LoggingProcess
from .ports import free_port
from .probing import get
from .waiting import wait_until


class WebProcess(LoggingProcess):
    """`python -m uvicorn` or `python -m gunicorn`, once it answers on its port.

    Args:
        folder: its working directory.
        app: the source of its module `app`; None: the folder has it.
        server: the module of the server.
        arguments: of the server, without the address.
        variables: added to its environment.
    """

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        app: str | None,
        server: str,
        *arguments: str,
        variables: dict[str, str] | None = None,
    ) -> None:
        if app is not None:
            (folder / "app.py").write_text(app)
        self.port = free_port()
        address = (
            [f"--port={self.port}"] if server == "uvicorn" else [f"--bind=127.0.0.1:{self.port}"]
        )
        own = {"NOTES": str(folder / "notes")} | (variables or {})
        super().__init__(folder, redis_url, server, {}, own, arguments=[*arguments, *address])
        try:
            wait_until(lambda: self._answers(), what=lambda: f"an answer; {self.output()}")
        except BaseException:
            self.kill()
            raise

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.output()
        return get(self.port, "/")[0] != 0

    def get(self, path: str) -> tuple[int, str]:
        """Returns status and body."""
        return get(self.port, path)

    def post(self, path: str) -> tuple[int, str]:
        """Returns status and body."""
        return get(self.port, path, "POST")
