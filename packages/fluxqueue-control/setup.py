"""Reads the version, which all FluxQueue packages share, from its one home."""

import tomllib
from pathlib import Path

from setuptools import setup

with (Path(__file__).parent / "VERSION.toml").open("rb") as file:
    version = tomllib.load(file)["package"]["version"]

setup(
    version=version,
    install_requires=[f"fluxqueue-core=={version}", "redis>=5.1"],
)
