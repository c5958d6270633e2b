"""The results of a run: rows, in a JSON file under benchmarks/results/."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .harness import FOLDER

RESULTS = FOLDER / "results"


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        library: "fluxqueue", or a peer.
        group: the heading in the report.
        name: what was measured.
        values: by name and unit.
        error: why there are no values.
    """

    library: str
    group: str
    name: str
    repeat: int
    values: dict[str, float] = field(default_factory=dict)
    error: str | None = None


@dataclass
class Results:
    """All rows of one run.

    Attributes:
        machine: see `machine.describe`.
        command: the command line that made them.
        started: Unix time in seconds.
        versions: of each library's packages.
    """

    machine: dict[str, str]
    command: str
    started: float = field(default_factory=time.time)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Writes the whole file, one row per line, so that a diff is readable."""
        head = {name: value for name, value in asdict(self).items() if name != "rows"}
        rows = ",\n".join(json.dumps(asdict(row)) for row in self.rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{json.dumps(head, indent=1)[:-2]},\n "rows": [\n{rows}\n]}}\n')

    @classmethod
    def load(cls, path: Path) -> Results:
        """Reads what `save` wrote."""
        data = json.loads(path.read_text())
        return cls(**{**data, "rows": [Row(**row) for row in data["rows"]]})


@dataclass(frozen=True)
class Spread:
    """Median, least and most of the repeats."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        digits = 0 if self.low >= 100 else 4 if self.high < 0.1 else 2
        middle, low, high = (f"{v:,.{digits}f}" for v in (self.median, self.low, self.high))
        return middle if low == high else f"{middle} ({low} to {high})"


def spreads(rows: Iterable[Row]) -> dict[tuple[str, str, str, str], Spread]:
    """By library, group, name and value's name."""
    found: dict[tuple[str, str, str, str], list[float]] = {}
    for row in rows:
        for what, value in row.values.items():
            found.setdefault((row.library, row.group, row.name, what), []).append(value)
    return {
        where: Spread(statistics.median(values), min(values), max(values))
        for where, values in found.items()
    }
