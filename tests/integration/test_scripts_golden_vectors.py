"""The golden vectors of the message, read by the scripts: Rust and Python read them too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fluxqueue_core import script_keys
from support.scripts import Scripts

pytestmark = pytest.mark.versions

CORE = Path(__file__).parents[2] / "packages/fluxqueue-core-rs"
VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (CORE / "tests/vectors/messages.json").read_text()
)
PARTS = "".join(
    (CORE / f"python/fluxqueue_core/lua/lib/{part}.lua").read_text() for part in ("keys", "message")
)
READ = """
local f, options = field(ARGV[1])
return {f or false, options or false, newer(ARGV[1]) or false, home(ARGV[1])}
"""


class Beginning(NamedTuple):
    """The parts of a message that scripts read."""

    field: bytes | None
    opts: bytes | None
    newer: bytes | None
    home: bytes


def read(scripts: Scripts, message: str) -> Beginning:
    keys = script_keys("sweep", "q")
    return Beginning(*scripts.redis.eval(PARTS + READ, len(keys), *keys, message.encode()))


def encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def home(scripts: Scripts, deliveries: int) -> bytes:
    return scripts.key("suspects" if deliveries >= 2 else "pending").encode()


def test_well_formed_messages_are_read_as_in_rust(scripts: Scripts) -> None:
    versions = set()
    for vector in VECTORS["well_formed"]:
        found = read(scripts, vector["message"])
        assert found.field == vector["field"].encode(), vector["what"]
        assert found.opts == encoded(vector.get("opts")), vector["what"]
        # Rule 12.
        assert found.home == home(scripts, vector["deliveries"]), vector["what"]
        assert found.newer is None, vector["what"]
        versions.add(json.loads(vector["message"])["v"])
    assert versions == {1, 2}


def test_the_next_attempt_has_another_field_and_the_same_options(scripts: Scripts) -> None:
    for vector in VECTORS["well_formed"]:
        retried, raised = read(scripts, vector["retried"]), read(scripts, vector["raised"])
        assert retried.field is not None and raised.field is not None
        # Rule 18: a lost worker is not counted for a condemned task.
        losses = 0 if '"e":' in (vector.get("opts") or "") else 1
        fields = {retried.field, raised.field, vector["field"].encode()}
        assert len(fields) == 2 + losses, vector["what"]
        assert retried.opts == raised.opts == encoded(vector.get("opts")), vector["what"]
        assert raised.home == home(scripts, vector["deliveries"] + losses), vector["what"]


def test_malformed_messages_have_a_field_exactly_if_they_have_one_in_rust(
    scripts: Scripts,
) -> None:
    for vector in VECTORS["malformed"]:
        found = read(scripts, vector["message"])
        assert (found.field is not None) is vector["has_field"], vector["what"]
        assert found.newer is None, vector["what"]
        if found.opts is not None:
            assert len(found.opts) <= 512 and found.opts[:1] + found.opts[-1:] == b"{}"


def test_newer_messages_are_known_by_their_version_alone(scripts: Scripts) -> None:
    for vector in VECTORS["newer"]:
        found = read(scripts, vector["message"])
        version = vector["message"].removeprefix('{"v":').partition(",")[0].rstrip("}")
        assert (found.field, found.opts, found.newer) == (None, None, version.encode())
