"""`fluxqueue completion`: prints a script by which a shell completes commands and options.

The script has all words in it, so a shell starts no process to complete one.
"""

from __future__ import annotations

import argparse
import os
import sys

from fluxqueue_core.service.command_line import Parser, fail, parser_of

from .cli import OWN, load

_SHELLS = ("bash", "zsh", "fish")


def main(argv: list[str], prog: str = "fluxqueue completion") -> int:
    """Prints the script; returns 0.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value, or if shtab is not installed;
            with 0 after `--help`.
    """
    parser = Parser(
        prog=prog,
        description="Prints a script that completes the commands of fluxqueue and their options. "
        "For bash: fluxqueue completion bash "
        ">~/.local/share/bash-completion/completions/fluxqueue",
    )
    parser.add_argument("shell", choices=_SHELLS, help="the shell that reads the script")
    arguments = parser.parse_args(argv)
    try:
        import shtab
    except ModuleNotFoundError:
        fail(prog, "needs shtab, which is not installed: pip install 'shtab>=1.8'")
    try:
        print(shtab.complete(_all_commands(), arguments.shell), flush=True)
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has enough. Nothing can be printed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _all_commands() -> argparse.ArgumentParser:
    """A parser of the installed commands of ours."""
    parser = argparse.ArgumentParser(prog="fluxqueue")
    parser.add_argument("-V", "--version", action="store_true", help="print the version")
    commands = parser.add_subparsers()
    for name, own in OWN.items():
        command = load(name)
        if command is None:
            continue  # its package is not installed
        made = parser_of(command, f"fluxqueue {name}")
        commands.add_parser(name, parents=[made], add_help=False, help=own.summary)
    return parser
