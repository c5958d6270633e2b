"""Whether memory grows: samples, and the line that fits them best."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20


def rss(pid: int) -> int:
    """Bytes of a process that are in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


@dataclass
class Series:
    """Memory use over time.

    Attributes:
        samples: (seconds, bytes), in order.
    """

    name: str
    samples: list[tuple[float, float]] = field(default_factory=list)

    def settled(self, warm_up: float) -> list[tuple[float, float]]:
        """Those after the warm-up, seconds from the first."""
        start = self.samples[0][0] + warm_up
        return [sample for sample in self.samples if sample[0] >= start]

    def slope(self, warm_up: float) -> float:
        """Bytes a second, by least squares, after the warm-up.

        Raises:
            ValueError: there are fewer than two moments.
        """
        samples = self.settled(warm_up)
        if len({moment for moment, _ in samples}) < 2:
            raise ValueError(f"{self.name} has too few samples after {warm_up:g} s")
        middle = sum(moment for moment, _ in samples) / len(samples)
        mean = sum(used for _, used in samples) / len(samples)
        over = sum((moment - middle) * (used - mean) for moment, used in samples)
        return over / sum((moment - middle) ** 2 for moment, _ in samples)

    def growth(self, warm_up: float) -> float:
        """Bytes that the line rises by between the first and the last settled sample."""
        samples = self.settled(warm_up)
        return self.slope(warm_up) * (samples[-1][0] - samples[0][0])

    def allowed(self, warm_up: float) -> float:
        """Bytes: a tenth of what was used at first, and 2 MiB at least, for what
        allocators and Redis' own tables do."""
        return max(0.1 * self.settled(warm_up)[0][1], 2 * MIB)

    def is_flat(self, warm_up: float) -> bool:
        """Whether it has not grown by more than `allowed`."""
        return self.growth(warm_up) <= self.allowed(warm_up)
