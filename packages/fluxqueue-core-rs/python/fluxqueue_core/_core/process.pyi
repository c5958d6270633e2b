"""Forks, and the signal at the death of the parent."""

def fork_generation() -> int:
    """Returns how many forks lie between this process and the one that loaded the
    module. For tests."""

def set_parent_death_signal(signal: int) -> None:
    """Asks the kernel to send `signal` to this process when its parent dies. Does
    nothing on systems other than Linux."""
