"""Tells whether the files `.gitignore` exclude a path, as git does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pathspec import GitIgnoreSpec


class GitIgnore:
    """Reads the files `.gitignore` between the root of the repository and a path."""

    def __init__(self) -> None:
        # By file: when it was changed, and its rules.
        self._known: dict[Path, tuple[int, GitIgnoreSpec]] = {}

    def excludes(self, path: Path) -> bool:
        """Whether git would ignore this absolute path. The rules of a deeper folder win."""
        verdict = False
        for folder in _folders_of(path):
            if (spec := self._spec(folder / ".gitignore")) is not None:
                found = spec.check_file(path.relative_to(folder).as_posix()).include
                verdict = verdict if found is None else found
        return verdict

    def _spec(self, file: Path) -> GitIgnoreSpec | None:
        try:
            changed = file.stat().st_mtime_ns
        except OSError:
            return None
        known = self._known.get(file)
        if known is None or known[0] != changed:
            try:
                lines = file.read_text(errors="replace").splitlines()
            except OSError:
                return None
            known = self._known[file] = (changed, GitIgnoreSpec.from_lines(lines))
        return known[1]


def _folders_of(path: Path) -> Iterator[Path]:
    """The folders above a path, from the root of its repository on; all if it has none."""
    folders = list(path.parents)
    for position, folder in enumerate(folders):
        if (folder / ".git").exists():
            folders = folders[: position + 1]
            break
    return reversed(folders)
