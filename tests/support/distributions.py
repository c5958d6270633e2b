"""The six distributions, for the tests of packaging."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CARGO = ROOT / "packages/fluxqueue-core-rs/Cargo.toml"
CARGO_TARGET = CARGO.parent / "target"


def version() -> str:
    """The version of all packages, from its one home."""
    found: str = tomllib.loads(CARGO.read_text())["package"]["version"]
    return found


@dataclass(frozen=True)
class Package:
    """One of the six distributions.

    Attributes:
        folder: in the repository.
        sources: the folder that the modules are in.
        siblings: the others that it needs.
        brings: third-party distributions that come with it and its siblings.
        scripts: the commands that it installs.
    """

    name: str
    folder: Path
    sources: Path
    siblings: frozenset[str]
    brings: frozenset[str]
    scripts: frozenset[str]

    @property
    def module(self) -> str:
        return self.name.replace("-", "_")

    @property
    def has_rust(self) -> bool:
        return (self.folder / "Cargo.toml").exists()


@dataclass(frozen=True)
class Built:
    """Per name of a package, its files.

    Attributes:
        folder: where the wheels are.
    """

    folder: Path
    wheels: dict[str, Path]
    sdists: dict[str, Path]


def _package(
    name: str, folder: str, sources: str, siblings: set[str], brings: set[str], scripts: set[str]
) -> Package:
    return Package(
        name,
        ROOT / folder,
        ROOT / folder / sources,
        frozenset(siblings),
        frozenset(brings),
        frozenset(scripts),
    )


PACKAGES = {
    package.name: package
    for package in (
        _package(
            "fluxqueue-core",
            "packages/fluxqueue-core-rs",
            "python",
            siblings=set(),
            brings={"cronsim", "orjson"},
            scripts=set(),
        ),
        _package(
            "fluxqueue",
            "packages/fluxqueue-client",
            "src",
            siblings={"fluxqueue-core"},
            brings={"cronsim", "msgspec", "orjson"},
            scripts={"fluxqueue"},
        ),
        _package(
            "fluxqueue-worker",
            "packages/fluxqueue-worker",
            "src",
            siblings={"fluxqueue-core", "fluxqueue"},
            brings={"cronsim", "msgspec", "orjson", "structlog", "uvloop"},
            scripts={"fluxqueue-worker"},
        ),
        _package(
            "fluxqueue-control",
            "packages/fluxqueue-control",
            "src",
            siblings={"fluxqueue-core"},
            brings={"cronsim", "orjson", "redis"},
            scripts=set(),
        ),
        _package(
            "fluxqueue-scheduler",
            "services/scheduler",
            "src",
            siblings={"fluxqueue-core", "fluxqueue-control"},
            brings={"cronsim", "orjson", "structlog", "redis"},
            scripts={"fluxqueue-scheduler"},
        ),
        _package(
            "fluxqueue-dashboard",
            "services/dashboard",
            "src",
            siblings={"fluxqueue-core", "fluxqueue-control"},
            brings={
                *("cronsim", "orjson", "redis", "structlog"),
                *("jinja2", "starlette", "uvicorn"),
            },
            scripts={"fluxqueue-dashboard"},
        ),
    )
}
