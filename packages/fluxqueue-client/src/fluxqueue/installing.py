"""The advice for a missing package. FluxQueue's packages are not on the public index,
which has an unrelated package named `fluxqueue`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


def how_to_install(*packages: str) -> str:
    """Returns the advice for these packages of FluxQueue, as one line."""
    return (
        "run `scripts/wheels wheels` in FluxQueue's repository, then "
        f"`pip install --no-index --find-links wheels {' '.join(packages)}`"
    )


@contextmanager
def needs(package: str, what: str) -> Iterator[None]:
    """Explains an import in its block that fails because this package of FluxQueue is missing.

    Args:
        what: what needs the package.

    Raises:
        ConfigurationError: the package is not installed. The text says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package.replace("-", "_"):
            raise
        from .errors import ConfigurationError  # commands start without the core

        raise ConfigurationError(
            f"{what} needs the package {package}, which is not installed; {how_to_install(package)}"
        ) from None
