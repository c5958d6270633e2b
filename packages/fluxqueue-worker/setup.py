"""Reads the version, which all FluxQueue packages share, from its one home."""

import tomllib
from pathlib import Path

from setuptools import setup

with (Path(__file__).parent / "VERSION.toml").open("rb") as file:
    version = tomllib.load(file)["package"]["version"]

setup(
    version=version,
    install_requires=[
        f"fluxqueue=={version}",
        f"fluxqueue-core=={version}",
        "structlog>=24.1",
        "uvloop>=0.19; platform_python_implementation == 'CPython' and sys_platform != 'win32'",
    ],
)
