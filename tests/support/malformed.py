"""Malformed messages of many kinds."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from .raw_messages import message, new_id

Make = Callable[[random.Random, str], bytes]


def _object(name: str, /, **members: object) -> bytes:
    whole = {"v": 1, "id": new_id(), "name": name, "args": []} | members
    return json.dumps(whole, separators=(",", ":")).encode()


def _replaced(name: str, old: bytes, new: bytes) -> bytes:
    whole = message(name, 1)
    assert old in whole
    return whole.replace(old, new, 1)


def _truncated(chance: random.Random, name: str) -> bytes:
    whole = message(name, 1, "some text")
    return whole[: chance.randrange(len(whole))]


def _flipped(chance: random.Random, name: str) -> bytes:
    """One byte of the fixed beginning is another."""
    whole = bytearray(message(name, 1))
    at = chance.randrange(13)
    # Another digit would be another version: see `test_newer_versions`.
    others = [b for b in range(256) if b != whole[at] and not chr(b).isdigit()]
    whole[at] = chance.choice(others)
    return bytes(whole)


def _noise(chance: random.Random, name: str) -> bytes:
    return chance.randbytes(chance.randrange(300))


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


# A maker of each kind. Every message must end in the dead set as malformed.
MALFORMED: dict[str, Make] = {
    "empty": lambda chance, name: b"",
    "noise": _noise,
    "truncated": _truncated,
    "a byte flipped": _flipped,
    "a number": lambda chance, name: b"42",
    "an array": lambda chance, name: b'[{"v":1}]',
    "only the beginning": lambda chance, name: b'{"v":1,"id":"',
    "identical copies": lambda chance, name: b"the same again",
    "other order": lambda chance, name: b'{"name":"%b","v":1,"args":[]}' % name.encode(),
    "white space": lambda chance, name: _replaced(name, b'{"v":1,"id"', b'{"v": 1, "id"'),
    "version 0": lambda chance, name: _replaced(name, b'"v":1', b'"v":0'),
    "version -2": lambda chance, name: _replaced(name, b'"v":1', b'"v":-2'),
    "version a text": lambda chance, name: _replaced(name, b'"v":1', b'"v":"2"'),
    "version twice": lambda chance, name: _replaced(name, b'"args"', b'"v":2,"args"'),
    "no UUID": lambda chance, name: _object(name, id=f"{chance.random():.34f}"),
    "a short id": lambda chance, name: _object(name, id="1"),
    "an id of bytes": lambda chance, name: (
        b'{"v":1,"id":"'
        + bytes(chance.randrange(128, 256) for _ in range(36))
        + b'","name":"%b","args":[]}' % name.encode()
    ),
    "no name": lambda chance, name: _replaced(name, b'"name"', b'"nome"'),
    "a name of another type": lambda chance, name: _object(name, name=7),
    "no args": lambda chance, name: _replaced(name, b'"args"', b'"arks"'),
    "args an object": lambda chance, name: _object(name, args={"a": 1}),
    "args null": lambda chance, name: _object(name, args=None),
    "args a string": lambda chance, name: _object(name, args="[1]"),
    "kwargs an array": lambda chance, name: _object(name, kwargs=[1]),
    "kwargs a number": lambda chance, name: _object(name, kwargs=1),
    "max_retries negative": lambda chance, name: _object(name, max_retries=-1),
    "max_retries a text": lambda chance, name: _object(name, max_retries="3"),
    "timeout a text": lambda chance, name: _object(name, timeout="soon"),
    "headers of numbers": lambda chance, name: _object(name, headers={"a": 1}),
    "retries behind the name": lambda chance, name: _object(name, retries=2),
    "deliveries behind the name": lambda chance, name: _object(name, deliveries=9),
    "retries before deliveries": lambda chance, name: _replaced(
        name, b'"name"', b'"retries":1,"deliveries":1,"name"'
    ),
    "retries zero": lambda chance, name: _replaced(name, b'"name"', b'"retries":0,"name"'),
    "retries with a zero before": lambda chance, name: _replaced(
        name, b'"name"', b'"retries":01,"name"'
    ),
    "retries a float": lambda chance, name: _replaced(name, b'"name"', b'"retries":1.0,"name"'),
    "retries beyond 64 bits": lambda chance, name: _replaced(
        name, b'"name"', b'"retries":99999999999999999999,"name"'
    ),
    "deliveries negative": lambda chance, name: _replaced(
        name, b'"name"', b'"deliveries":-2,"name"'
    ),
    "a counter too far away": lambda chance, name: _replaced(
        name, b'"name"', b'"deliveries":' + b"1" * 100 + b',"name"'
    ),
    "invalid UTF-8 in the name": lambda chance, name: _replaced(
        name, name.encode(), name.encode() + b"\xc3\x28"
    ),
    "invalid UTF-8 in an argument": lambda chance, name: _replaced(name, b"[1]", b'["\xff\xfe"]'),
    "invalid UTF-8 in what is unknown": lambda chance, name: _replaced(
        name, b"[1]", b'[1],"more":"\xc0\xaf"'
    ),
    "a lone surrogate in an argument": lambda chance, name: _replaced(name, b"[1]", b'["\\ud800"]'),
    "args nested deeply": lambda chance, name: _replaced(name, b"[1]", _nested(100_000)),
    "what is unknown nested deeply": lambda chance, name: _replaced(
        name, b"[1]", b'[1],"more":' + _nested(100_000) + b"x"
    ),
    "NaN in an argument": lambda chance, name: _replaced(name, b"[1]", b"[NaN]"),
    "a trailing comma": lambda chance, name: _replaced(name, b"[1]", b"[1,]"),
    "trailing bytes": lambda chance, name: message(name, 1) + b"}",
    "a NUL at the end": lambda chance, name: message(name, 1) + b"\0",
}


def malformed(chance: random.Random, count: int, name: str) -> list[tuple[str, bytes]]:
    """Makes `count` messages, each kind at least once if `count` allows: (kind, bytes).

    Args:
        name: of a task that exists, so that this is not what is wrong.
    """
    kinds = list(MALFORMED)
    chosen = [kinds[i] if i < len(kinds) else chance.choice(kinds) for i in range(count)]
    chance.shuffle(chosen)
    return [(kind, MALFORMED[kind](chance, name)) for kind in chosen]
