"""`fluxqueue resume`: workers claim from a paused queue again."""

from __future__ import annotations

from .pause import change


def main(argv: list[str], prog: str = "fluxqueue resume") -> int:
    """Resumes queues; returns the exit code."""
    return change(argv, prog, "resume", "Resumes paused queues: workers claim again.")
