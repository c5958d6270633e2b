"""Remembers whether the collector has taken what the SDK exported.

The SDK's `force_flush` returns True even if the collector answers with an error: it drops
the result of its exporter.
"""

from __future__ import annotations

from typing import Any


class ExportResults:
    """The results of the exporters of this process.

    Attributes:
        refused: an export has failed since this was set to False.
    """

    def __init__(self) -> None:
        self.refused = False

    def watch(self, exporter: Any) -> Any:
        """Returns the exporter, whose results are noted from now on."""
        export = exporter.export

        def watched(*args: Any, **kwargs: Any) -> Any:
            taken = False
            try:
                result = export(*args, **kwargs)
                taken = result.name == "SUCCESS"
                return result
            finally:
                self.refused |= not taken

        exporter.export = watched
        return exporter
