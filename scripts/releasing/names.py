"""The names of the distributions on the public index, and the tree that has them.

`fluxqueue` is another project there. So the client gets another name in the tree that a
release is built from. Why: docs/decisions/0281-the-client-is-renamed-as-it-is-released.md
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from .problems import NotReady

# By the name in this repository, in the order in which they are built.
ON_INDEX = {
    "fluxqueue-core": "fluxqueue-core",
    "fluxqueue": "fluxqueue-client",
    "fluxqueue-worker": "fluxqueue-worker",
    "fluxqueue-control": "fluxqueue-control",
    "fluxqueue-scheduler": "fluxqueue-scheduler",
    "fluxqueue-dashboard": "fluxqueue-dashboard",
}
FOLDERS = {
    "fluxqueue-core": "packages/fluxqueue-core-rs",
    "fluxqueue": "packages/fluxqueue-client",
    "fluxqueue-worker": "packages/fluxqueue-worker",
    "fluxqueue-control": "packages/fluxqueue-control",
    "fluxqueue-scheduler": "services/scheduler",
    "fluxqueue-dashboard": "services/dashboard",
}
# Everything that mentions the client's distribution: file, text, and the text of the release.
RENAMED = [
    ("packages/fluxqueue-client/pyproject.toml", 'name = "fluxqueue"', 'name = "fluxqueue-client"'),
    ("packages/fluxqueue-worker/setup.py", 'f"fluxqueue==', 'f"fluxqueue-client=='),
]


def export(root: Path, commit: str, folder: Path) -> None:
    """Writes the packages of the commit into the folder, with the names of the index.

    Raises:
        NotReady: a text to replace is not there exactly once.
    """
    command = ["git", "archive", commit, "LICENSE", "packages", "services"]
    archive = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="tar")
    for name, old, new in RENAMED:
        text = (folder / name).read_text()
        if text.count(old) != 1:
            raise NotReady(f"{name} has {old!r} {text.count(old)} times; mend RENAMED in names.py")
        (folder / name).write_text(text.replace(old, new))
