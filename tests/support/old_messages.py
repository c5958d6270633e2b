"""Messages of FluxQueue 0.3.2, as its package in the public index has written them, and others in
the same form."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

# Made on 1 December 2026 with fluxqueue 0.3.2, on CPython 3.11: `add(1)`, `add(1.5, b="é")`,
# `add([1, {"a": None}], c={"x": [True]})`, and `mail("a@example.com", n=2**40)` with max_retries=7.
ADD = bytes.fromhex(
    "97d92465666264303630622d353435322d343034372d396535342d633261353935336437366332a361646492cc91"
    "0191cc80ce6b0e7e820003"
)
ADD_TEXT = bytes.fromhex(
    "97d92439303133646234372d336665342d343666612d393434662d613738383738653163613664a36164649acc91"
    "cccb3fccf800000000000096cc81cca162cca2ccc3cca9ce6b0e7e820003"
)
ADD_NESTED = bytes.fromhex(
    "97d92434363039633362362d626366392d343636362d386138642d626534373263303331343837a361646497cc91"
    "cc9201cc81cca161ccc098cc81cca163cc81cca178cc91ccc3ce6b0e7e820003"
)
MAIL = bytes.fromhex(
    "97d92464616538616530622d396166382d343233332d613362612d383331306364363462373935a973656e642d6d"
    "61696c9fcc91ccad61406578616d706c652e636f6d9ccc81cca16ecccf0000010000000000ce6b0e7e820007"
)
# When these calls were made, ms since 1970.
CALLED = 0x6B0E7E82 * 1_000


def old_message(
    *args: Any,
    name: str = "work",
    retries: int = 0,
    max_retries: int = 3,
    task_id: object = None,
    **kwargs: Any,
) -> bytes:
    """Returns a message with other values. By default its id depends on them alone."""
    encode = msgspec.msgpack.encode
    arguments = [list(encode(list(args))), list(encode(kwargs))]
    own = str(uuid.uuid5(uuid.NAMESPACE_OID, repr((name, args)))) if task_id is None else task_id
    return encode([own, name, *arguments, CALLED // 1_000, retries, max_retries])
