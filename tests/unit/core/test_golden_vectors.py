"""The golden vectors of the message, which the Rust tests read as well.

Their format: packages/fluxqueue-core-rs/tests/vectors/README.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fluxqueue_core
import pytest
from fluxqueue_core.errors import MalformedMessage

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (
        Path(__file__).parents[3] / "packages/fluxqueue-core-rs/tests/vectors/messages.json"
    ).read_text()
)


def describe(vector: dict[str, Any]) -> str:
    return str(vector["what"])


@pytest.mark.parametrize("vector", VECTORS["well_formed"], ids=describe)
def test_well_formed_messages_are_read(vector: dict[str, Any]) -> None:
    message = vector["message"].encode()
    parts = fluxqueue_core.parse_message(message)
    opts = vector.get("opts")
    assert parts["opts"] == (opts.encode() if opts else None)
    options = {"priority": 0, "snoozes": 0, "releases": 0} | vector.get("options", {})
    for name in ("condemned", "priority", "expires", "result_ttl", "snoozes", "releases"):
        assert parts[name] == options.get(name), name
    assert parts["name"] == vector["name"]
    assert parts["args"] == vector["args"].encode()
    assert parts["kwargs"] == (vector["kwargs"].encode() if vector["kwargs"] else None)
    for name in ("retries", "deliveries", "max_retries", "enqueued_at"):
        assert parts[name] == vector[name]
    assert parts["requeues"] == vector.get("requeues", 0)
    assert parts["timeout"] == vector.get("timeout")
    assert parts["timeout_wins"] is vector.get("timeout_wins", False)
    assert parts["on_failure"] == vector.get("on_failure")
    assert parts["headers"] == json.loads(message).get("headers")
    assert parts["task_id"] == vector["field"][:36]
    assert fluxqueue_core.message_field(message) == vector["field"].encode()


@pytest.mark.parametrize("vector", VECTORS["well_formed"], ids=describe)
def test_a_lost_worker_raises_the_deliveries(vector: dict[str, Any]) -> None:
    message = vector["message"].encode()
    field, raised, dead = fluxqueue_core.raise_deliveries(message, 2)
    assert field == vector["field"].encode()
    assert raised == vector["raised"].encode()
    is_condemned = vector.get("options", {}).get("condemned") is not None
    assert dead is (not is_condemned and vector["deliveries"] + 1 >= 2)


@pytest.mark.parametrize("vector", VECTORS["newer"], ids=describe)
def test_the_count_of_a_newer_message_is_left_alone(vector: dict[str, Any]) -> None:
    message = vector["message"].encode()
    assert fluxqueue_core.message_field(message) is None
    assert fluxqueue_core.raise_deliveries(message, 1) == (b"", message, False)


@pytest.mark.parametrize("vector", VECTORS["malformed"], ids=describe)
def test_malformed_messages_are_refused(vector: dict[str, Any]) -> None:
    message = vector["message"].encode()
    assert (fluxqueue_core.message_field(message) is not None) is vector["has_field"]
    with pytest.raises(MalformedMessage, match=r"."):
        fluxqueue_core.parse_message(message)
    with pytest.raises(MalformedMessage, match=r"."):
        fluxqueue_core.raise_deliveries(message)


def test_an_error_about_options_says_what_is_wrong() -> None:
    head = b'{"v":%d,"id":"019aa0c2-7b1f-7c3e-8d2a-0123456789ab"%s,"name":"n","args":[]}'
    for message, text in (
        (head % (2, b""), "its version is 2, but no opts stand"),
        (head % (1, b',"opts":{}'), "which stand only in version 2"),
        (head % (2, b',"opts":{"a":[]}'), "not one flat JSON object of at most 512 bytes"),
        (head % (2, b',"opts":{"p":10}'), "its option p is 10, not 0 to 9"),
    ):
        with pytest.raises(MalformedMessage, match=text):
            fluxqueue_core.parse_message(message)
