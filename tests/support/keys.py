"""The keys that may be in Redis after a test."""

from __future__ import annotations

import re

from fluxqueue_core import key, key_kinds
from redis import Redis


def unknown_keys(client: Redis) -> list[str]:
    """The keys of a database that `fluxqueue_core.key` could not have made."""
    patterns = []
    for kind in key_kinds():
        for namespace in ("", "NAMESPACE"):
            pattern = re.escape(key(kind, "QUEUE", "CONSUMER", namespace))
            pattern = pattern.replace("QUEUE", "[^{}]+").replace("CONSUMER", "[^:]+")
            patterns.append(pattern.replace("NAMESPACE", "[^:]+"))
    known = re.compile("|".join(patterns))
    names = (name.decode() for name in client.scan_iter(count=1000))
    return sorted(name for name in names if not known.fullmatch(name))
