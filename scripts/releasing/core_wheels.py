"""The command scripts/core-wheels."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from .building import check_core, run
from .platforms import INTERPRETERS, TARGETS
from .problems import NotReady

ROOT = Path(__file__).resolve().parents[2]


def build(target: str, folder: Path) -> None:
    """Builds the wheels for one target.

    Raises:
        NotReady: the target is unknown or not installed, or a build failed.
    """
    if target not in TARGETS:
        raise NotReady(f"unknown target {target!r}; there are {', '.join(TARGETS)}")
    if shutil.which("rustup") and target not in run("rustup", "target", "list", "--installed"):
        raise NotReady(f"Rust has no {target} here; run: rustup target add {target}")
    system, _ = TARGETS[target]
    linux = system != "macosx"
    if not linux and sys.platform != "darwin":
        raise NotReady(f"{target} can be built on macOS only")
    for version, features in INTERPRETERS.values():
        command = [
            *("maturin", "build", "--release", "--locked", "--target", target),
            *("--manifest-path", str(ROOT / "packages/fluxqueue-core-rs/Cargo.toml")),
            *("--features", ",".join(["pyo3/extension-module", *features])),
            *("--interpreter", f"python{version}", "--out", str(folder)),
            *(("--zig", "--compatibility", system) if linux else ()),
        ]
        print("+", *command, flush=True)
        if subprocess.run(command).returncode:
            raise NotReady(f"the wheel for {target} and Python {version} was not built")


def main(argv: list[str]) -> None:
    if not argv or argv[0].startswith("-"):
        sys.exit("usage: scripts/core-wheels FOLDER [TARGET...]; targets are " + ", ".join(TARGETS))
    folder = Path(argv[0])
    try:
        for target in argv[1:] or [name for name in TARGETS if "linux" in name]:
            build(target, folder)
        check_core(folder)
    except NotReady as problem:
        sys.exit(f"scripts/core-wheels: {problem}")


if __name__ == "__main__":
    main(sys.argv[1:])
