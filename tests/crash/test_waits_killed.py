"""One process waits while its connections are killed (`scripts/soak --results` in small)."""

from __future__ import annotations

import random
from pathlib import Path

from soak.waits import perform


def test_no_result_is_lost_or_told_twice_through_killed_connections(
    tmp_path: Path, chance: random.Random
) -> None:
    assert perform(tmp_path, 10_000, 100, 60.0, chance, to_the_end=False) == []
