"""The advice for a missing package. FluxQueue's packages are not on the public index,
which has an unrelated package named `fluxqueue`."""

from __future__ import annotations


def how_to_install(*packages: str) -> str:
    """Returns the advice for these packages of FluxQueue, as one line."""
    return (
        "run `scripts/wheels wheels` in FluxQueue's repository, then "
        f"`pip install --no-index --find-links wheels {' '.join(packages)}`"
    )
