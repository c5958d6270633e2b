"""The build backend of this package: maturin's, with the dependencies of the interpreter.

A wheel for a free-threaded build of Python needs msgspec in the place of orjson, which has no
wheels for it. No marker of a dependency can say so.

Why: docs/decisions/0275-free-threaded-builds-use-msgspec.md
"""

from __future__ import annotations

import base64
import hashlib
import re
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import maturin
from maturin import *  # noqa: F403 - the hooks that stay as they are

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
_ORJSON = re.compile(rb"^Requires-Dist: orjson\b.*$", re.MULTILINE)
_MSGSPEC = b"Requires-Dist: msgspec>=0.20,<1"


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: dict[str, Any] | None = None
) -> str:
    """Writes the metadata of the wheel, and returns the name of its folder."""
    name: str = maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings)
    if FREE_THREADED:
        metadata = Path(metadata_directory, name, "METADATA")
        metadata.write_bytes(_ORJSON.sub(_MSGSPEC, metadata.read_bytes()))
    return name


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Builds the wheel, and returns its file name."""
    name: str = maturin.build_wheel(wheel_directory, config_settings, metadata_directory)
    if FREE_THREADED:
        require_msgspec(Path(wheel_directory, name))
    return name


def require_msgspec(wheel: Path) -> None:
    """Replaces orjson in the dependencies of a wheel."""
    with zipfile.ZipFile(wheel) as source:
        files = {entry: source.read(entry) for entry in source.infolist()}
    names = {entry.filename.rpartition("/")[2]: entry for entry in files}
    metadata, record = names["METADATA"], names["RECORD"]
    files[metadata] = text = _ORJSON.sub(_MSGSPEC, files[metadata])
    digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
    line = f"{metadata.filename},sha256={digest},{len(text)}"
    pattern = rf"^{re.escape(metadata.filename)},.*$"
    files[record] = re.sub(pattern, line, files[record].decode(), flags=re.MULTILINE).encode()
    with zipfile.ZipFile(wheel, "w") as target:
        for entry, content in files.items():
            target.writestr(entry, content)
