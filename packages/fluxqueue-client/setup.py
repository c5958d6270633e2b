"""Reads the one version of all packages; everything else is in pyproject.toml."""

import tomllib
from pathlib import Path

from setuptools import setup

with (Path(__file__).parent / "VERSION.toml").open("rb") as file:
    version = tomllib.load(file)["package"]["version"]

setup(
    version=version,
    install_requires=[f"fluxqueue-core=={version}", "msgspec>=0.19,<1"],
)
