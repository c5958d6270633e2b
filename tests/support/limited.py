"""Messages with a limit, and what the scripts have made of them."""

from __future__ import annotations

from typing import Any

from .scripts import Outcome, Scripts, field, message

NAME = "a" * 16
KEY, OTHER = NAME + "0" * 16, NAME + "1" * 16
SECOND = 1_000_000


def limited(
    number: int, numbers: str = "1:0:1", key: str = KEY, more: str = "", **parts: Any
) -> bytes:
    return message(number, opts=f'{{{more}"l":"{key}:{numbers}"}}', **parts)


def enqueue(scripts: Scripts, *of: bytes, due: str = "+0", text: str = "a [1]") -> None:
    calls = [(f"{due} limit {len(text.encode())} {text}", m) for m in of]
    assert scripts.enqueue_unique(*calls) == [None] * len(of)


def line(scripts: Scripts, key: str = KEY) -> list[bytes]:
    return scripts.list("limit:line", key)


def places(scripts: Scripts, key: str = KEY) -> dict[bytes, float]:
    name = scripts.key("limit:places", key)
    return dict(scripts.redis.zrange(name, 0, -1, withscores=True))


def end(scripts: Scripts, of: bytes, limit: int = 0) -> list[bytes]:
    """Settles a success, and claims."""
    return scripts.exchange("c", limit, outcomes=[Outcome(field(of), "done")]).claimed


def left(scripts: Scripts) -> list[str]:
    """The keys of limits, but for the rules."""
    names = [name.decode() for name in scripts.redis.keys(f"{scripts.key('limits')[:-1]}*")]
    return sorted(set(names) - {scripts.key("limits:rules"), scripts.key("limits:seen")})
