"""Processes whose clocks are wrong by minutes, as on badly kept machines.

`clock.c` is preloaded into each. Only the time of day is wrong: the clocks that
can't be set (monotonic, boot time) are the machine's.
"""

from __future__ import annotations

import functools
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from .fault import FaultFailed

LEAST_SECONDS, MOST_SECONDS = 60, 600
SOURCE = Path(__file__).with_name("clock.c")


def no_compiler() -> str | None:
    """Returns the missing program, or None."""
    return None if shutil.which("cc") else "no C compiler (cc) for clock.c"


def wrong_clock(role: str, number: int, folder: Path) -> Mapping[str, str]:
    """A clock that is always wrong by the same."""
    variables = settable_clock(role, number, folder)
    offset = offset_of(random.Random(f"{folder.name} {role} {number}"))
    set_clock(Path(variables["CHAOS_CLOCK"]), offset)
    return variables


def settable_clock(role: str, number: int, folder: Path) -> Mapping[str, str]:
    """A clock that `set_clock` sets by its file in `clocks_of`; right until then."""
    file = folder / f"clock-{role}-{number}"
    if not file.exists():
        set_clock(file, 0)
    return {"LD_PRELOAD": str(library(folder)), "CHAOS_CLOCK": str(file)}


def clocks_of(folder: Path) -> list[Path]:
    """The files of all clocks of a run."""
    return sorted(folder.glob("clock-*-*"))


def set_clock(file: Path, offset: int) -> None:
    """The process has it at once. The file is written in place, as it is mapped."""
    with file.open("r+b" if file.exists() else "wb", buffering=0) as place:
        place.write(offset.to_bytes(8, "little", signed=True))


def get_clock(file: Path) -> int:
    """By how many seconds it is wrong."""
    return int.from_bytes(file.read_bytes(), "little", signed=True)


def check_preloaded(processes: Iterable[int]) -> None:
    """Raises:
    FaultFailed: one of these processes has the clock of the machine.
    """
    for pid in processes:
        if "/clock.so" not in Path(f"/proc/{pid}/maps").read_text():
            raise FaultFailed(f"the clock of process {pid} is the machine's")


def offset_of(chance: random.Random) -> int:
    """Seconds, from one minute to ten, either way."""
    return chance.choice((-1, 1)) * chance.randint(LEAST_SECONDS, MOST_SECONDS)


@functools.cache
def library(folder: Path) -> Path:
    """The compiled `clock.c`, in the folder of the run."""
    built = Path(tempfile.mkdtemp(dir=folder)) / "clock.so"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror"]
    subprocess.run(["cc", *flags, str(SOURCE), "-o", str(built)], check=True)
    return built
