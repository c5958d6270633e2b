"""The platforms and interpreters that a release has wheels of the core for."""

from __future__ import annotations

from pathlib import Path

from packaging.utils import parse_wheel_filename

# By Rust's target: the beginning of the tag of the platform, and the tag's end.
TARGETS = {
    "x86_64-unknown-linux-gnu": ("manylinux_2_17", "x86_64"),
    "aarch64-unknown-linux-gnu": ("manylinux_2_17", "aarch64"),
    "x86_64-unknown-linux-musl": ("musllinux_1_2", "x86_64"),
    "aarch64-unknown-linux-musl": ("musllinux_1_2", "aarch64"),
    "x86_64-apple-darwin": ("macosx", "x86_64"),
    "aarch64-apple-darwin": ("macosx", "arm64"),
}
# By the tags of a wheel's interpreter and ABI: the version to build for, and features of the
# crate. The second is for 3.12 and every later version with a GIL.
# Why: docs/decisions/0280-the-stable-abi-from-python-3-12-on.md
INTERPRETERS: dict[str, tuple[str, list[str]]] = {
    "cp311-cp311": ("3.11", []),
    "cp312-abi3": ("3.12", ["pyo3/abi3-py312"]),
    # Without the GIL.
    "cp314-cp314t": ("3.14t", []),
    "cp315-cp315t": ("3.15t", []),
}


def missing(folder: Path) -> list[str]:
    """Returns a line for each platform that lacks wheels, with their interpreters."""
    found = set()
    for wheel in folder.glob("fluxqueue_core-*.whl"):
        for tag in parse_wheel_filename(wheel.name)[3]:
            found |= {
                (target, f"{tag.interpreter}-{tag.abi}")
                for target, (system, processor) in TARGETS.items()
                if tag.platform.startswith(system) and tag.platform.endswith(f"_{processor}")
            }
    lines = []
    for target in TARGETS:
        lacking = [name for name in INTERPRETERS if (target, name) not in found]
        if lacking:
            lines.append(f"no wheel of the core for {target}: {', '.join(lacking)}")
    return lines
