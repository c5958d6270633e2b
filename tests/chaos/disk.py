"""A disk that is small enough to be filled: a tmpfs, which only root may mount."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = "16m"


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mounts one in the folder."""
    place = folder / "disk"
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        # Lazily: Redis may still have files open.
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(folder: Path) -> Path:
    """Writes a file of zeros until there is no room; returns it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        block = bytes(1 << 16)
        while block:
            try:
                file.write(block)
            except OSError:
                # Smaller and smaller, to the last byte.
                block = block[: len(block) // 2]
    return filler


@functools.cache
def no_small_disk() -> str | None:
    """Why there can't be one on this machine, or None."""
    if os.geteuid() != 0:
        return "only root may mount a tmpfs"
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder)):
                return None
        except subprocess.CalledProcessError as error:
            return f"no tmpfs can be mounted: {error}"
