"""The keys and the Lua scripts."""

from collections.abc import Sequence

def key(kind: str, queue: str = "", consumer: str = "", namespace: str = "") -> str:
    """Returns the name of a key, by its kind in docs/protocol.md ("pending", ...).

    Raises:
        ConfigurationError: there is no such kind, or the name of the queue or of the
            namespace is not valid.
    """

def key_kinds() -> list[str]:
    """Returns every kind that `key` knows."""

def script(name: str, flags: bool = True) -> str:
    """Returns the text of a Lua script, including the parts of `lua/lib/` before it.
    Give `flags=False` for a server before Redis 7, which rejects the line `#!lua`."""

def script_keys(
    name: str,
    queue: str,
    consumer: str | None = None,
    olds: Sequence[str] = (),
    namespace: str = "",
) -> list[str]:
    """Returns the KEYS of a script, in the order in which it takes them.

    Args:
        consumer: the consumer of a script that takes one. '' if `open` opens none.
        olds: the consumers that `open` ends.

    Raises:
        ConfigurationError: there is no such script, the name of the queue or of the
            namespace is not valid, `consumer` is missing, or the script takes no such argument.
    """

def script_names() -> list[str]: ...
