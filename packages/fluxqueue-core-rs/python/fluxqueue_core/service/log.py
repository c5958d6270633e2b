"""Event lines on stderr: JSON for machines, coloured text for a terminal.

    log = configure("auto", "info")      # once, at the start of the process
    log.info("worker.started", queues=["default"])

    log = get_logger()                   # elsewhere

The lines are those that structlog writes with its usual processors (time, level,
JSON by orjson), and a terminal gets structlog's own renderer. structlog itself
is imported for the terminal only: it brings asyncio and ssl, 10 MiB that an idle
worker should not hold. Its global configuration stays the application's. Why:
docs/decisions/0011-json-lines-without-structlog.md

A reader that stalls delays no thread; see `line_writer`.

A value can't forge a line: in JSON and for the terminal every character is
escaped that is not printable, such as a line separator, which some readers end
a line at, and the C1 controls, which a terminal obeys. `exception` may be a
traceback of several lines; on the terminal its lines are indented.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from fluxqueue_core import json_codec

from .line_writer import LineWriter

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
FORMATS = ("auto", "console", "json")

DEBUG = LEVELS["debug"]
INFO = LEVELS["info"]
WARNING = LEVELS["warning"]
ERROR = LEVELS["error"]

# Seconds that the last lines may take at the end of the process.
FLUSH_PATIENCE = 2.0

Fields = dict[str, Any]
Writer = Callable[[bytes], None]


class Logger:
    """Writes one line per event; see the module's text.

    Attributes:
        level: the lowest level that is written (10 debug ... 40 error). Code that
            runs for every task checks it before it collects the fields.
        enrich: adds to the fields of every line. The worker sets it, to name the
            task that writes the line.
        export: gets the fields of every line, if lines are exported to
            OpenTelemetry. It neither waits nor raises.
    """

    __slots__ = ("_render", "_write", "enrich", "export", "level")

    def __init__(self, level: int, render: Callable[[Fields], bytes], write: Writer) -> None:
        self.level = level
        self.enrich: Callable[[Fields], None] | None = None
        self.export: Callable[[Mapping[str, Any]], None] | None = None
        self._render = render
        self._write = write

    def debug(self, event: str, /, **fields: Any) -> None:
        if self.level <= DEBUG:
            self._emit("debug", event, fields)

    def info(self, event: str, /, **fields: Any) -> None:
        if self.level <= INFO:
            self._emit("info", event, fields)

    def warning(self, event: str, /, **fields: Any) -> None:
        if self.level <= WARNING:
            self._emit("warning", event, fields)

    def error(self, event: str, /, **fields: Any) -> None:
        if self.level <= ERROR:
            self._emit("error", event, fields)

    def _emit(self, level: str, event: str, fields: Fields) -> None:
        self.write(_head(level, event) | fields)

    def write(self, fields: Fields) -> None:
        """Writes a line from fields that include `timestamp`, `level` and `event`."""
        if self.enrich is not None:
            self.enrich(fields)
        self._write(self._render(fields))
        if self.export is not None:
            self.export(fields)


_logger: Logger | None = None
_writer: LineWriter | None = None


def configure(fmt: str = "auto", level: str = "info", stream: TextIO | None = None) -> Logger:
    """Sets up the process's logger and returns it.

    Args:
        fmt: "json", "console", or "auto": console if the stream is a terminal.
        level: "debug", "info", "warning" or "error".
        stream: where to write; stderr by default.
    """
    global _logger, _writer
    _fill_standard_descriptors()
    # Python has no stderr if it was closed when the process started.
    stream = stream or sys.stderr
    descriptor = 2 if stream is None else stream.fileno()
    terminal = os.isatty(descriptor)
    if fmt == "console" or (fmt == "auto" and terminal):
        colors = terminal and not os.environ.get("NO_COLOR")
        render = console_renderer(colors)
    else:
        render = render_json

    def dropped(count: int) -> bytes:
        return render(_head("warning", "log.dropped") | {"lines": count})

    _writer = LineWriter(descriptor, dropped)
    atexit.register(flush)
    _logger = Logger(LEVELS[level], render, _writer)
    return _logger


def flush() -> None:
    """Waits until the lines so far are written, for two seconds at most. Call it before
    you end the process without the interpreter's shutdown."""
    if _writer is not None:
        _writer.flush(FLUSH_PATIENCE)


def _head(level: str, event: str) -> Fields:
    return {"timestamp": datetime.now(UTC), "level": level, "event": event}


def _fill_standard_descriptors() -> None:
    """Opens /dev/null for each of 0, 1 and 2 that the process was started
    without. Otherwise the connection to Redis could become one of them, and
    output of `print` or faulthandler would go to Redis."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def get_logger() -> Logger:
    """Returns the process's logger. If `configure` was not called, it has the defaults."""
    return _logger or configure()


_JSON_OPTIONS = json_codec.OPT_APPEND_NEWLINE | json_codec.OPT_UTC_Z


def render_json(fields: Fields) -> bytes:
    """Returns a JSON object of printable characters, and a line break."""
    try:
        line = json_codec.dumps(fields, repr, _JSON_OPTIONS)
    except TypeError:
        # A value is a lone surrogate or an integer beyond 64 bits. Write it as text.
        plain = {_encodable(key): _encodable(value) for key, value in fields.items()}
        line = json_codec.dumps(plain, repr, _JSON_OPTIONS)
    if line.isascii() and b"\x7f" not in line:
        return line
    text = line[:-1].decode()
    return line if text.isprintable() else _escape_json(text).encode() + b"\n"


def _escape_json(text: str) -> str:
    return "".join(c if c.isprintable() else _json_escape(c) for c in text)


def _json_escape(character: str) -> str:
    """Returns the escape of JSON (RFC 8259, section 7): one or two units of UTF-16."""
    units = character.encode("utf-16-be").hex()
    return "".join("\\u" + units[at : at + 4] for at in range(0, len(units), 4))


def _encodable(value: object) -> Any:
    if value is None or isinstance(value, bool | float | datetime):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return value
    return str(value).encode("utf-8", "backslashreplace").decode()


def escape(text: str) -> str:
    """Returns the text with Python escapes for the characters that could move a
    terminal's cursor, change its colour or begin a line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class _Shown:
    """An object with a given `repr`, which the renderer prints."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _shown(value: object) -> object:
    """Returns the value in a form that the renderer prints in printable characters."""
    if isinstance(value, str):
        return value if value.isprintable() else _Shown(escape(repr(value)))
    return _Shown(escape(repr(value)))


def console_renderer(colors: bool) -> Callable[[Fields], bytes]:
    """Returns structlog's renderer, with escapes in everything that it prints."""
    import structlog

    renderer = structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False, pad_event_to=16)

    def render(fields: Fields) -> bytes:
        safe = {escape(k): _shown(v) for k, v in fields.items() if k != "exception"}
        safe["event"] = escape(fields["event"])
        safe["timestamp"] = fields["timestamp"].astimezone().strftime("%H:%M:%S.%f")[:-3]
        exception = fields.get("exception")
        if exception:
            lines = str(exception).rstrip().split("\n")
            safe["exception"] = "\n".join("    " + escape(line) for line in lines)
        text = renderer(None, fields["level"], safe)
        return (text + "\n").encode("utf-8", "backslashreplace")

    return render
