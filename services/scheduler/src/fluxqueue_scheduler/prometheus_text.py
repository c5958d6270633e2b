"""Writes metrics in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fluxqueue_control.histogram import TimeHistogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# The upper ends of the buckets of histograms: 1 ms to 73 minutes, each twice the one before, µs.
BOUNDS = [1 << exponent for exponent in range(10, 33)]

Labels = Mapping[str, str]


@dataclass(slots=True)
class Family:
    """One metric with its samples.

    Attributes:
        name: without the suffixes of a histogram.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    description: str
    _lines: list[str] = field(default_factory=list)

    def add(self, labels: Labels, value: float | None) -> None:
        """Adds a sample. None: there is no value, so there is no sample."""
        if value is not None:
            self._lines.append(f"{self.name}{_text(labels)} {_number(value)}")

    def add_histogram(self, labels: Labels, times: TimeHistogram) -> None:
        """Adds the samples of a histogram, in seconds."""
        for bound in BOUNDS:
            at = {**labels, "le": _number(bound / 1e6)}
            self._lines.append(f"{self.name}_bucket{_text(at)} {times.below(bound)}")
        self._lines += [
            f"{self.name}_bucket{_text({**labels, 'le': '+Inf'})} {times.count}",
            f"{self.name}_sum{_text(labels)} {_number(times.total / 1e6)}",
            f"{self.name}_count{_text(labels)} {times.count}",
        ]

    def write(self) -> str:
        """Returns the text; empty without samples."""
        if not self._lines:
            return ""
        head = f"# HELP {self.name} {self.description}\n# TYPE {self.name} {self.kind}\n"
        return head + "".join(f"{line}\n" for line in self._lines)


def write(families: Iterable[Family]) -> bytes:
    """Returns the page."""
    return "".join(family.write() for family in families).encode()


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))


def _text(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
