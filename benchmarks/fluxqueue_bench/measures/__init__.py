"""The measures of FluxQueue itself: one file per subject, one list of all."""

from __future__ import annotations

from .measure import Measure, Values
from .suite import suite

__all__ = ["Measure", "Values", "suite"]
