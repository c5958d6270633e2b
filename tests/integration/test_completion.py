"""A real bash completes the commands by the script that `fluxqueue completion` prints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fluxqueue import cli


def printed(shell: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fluxqueue", "completion", shell],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("bash") is None:
        pytest.skip("no bash on this machine")
    file = tmp_path_factory.mktemp("completion") / "fluxqueue"
    file.write_text(printed("bash"))
    return file


def completed(script: Path, *words: str) -> list[str]:
    """The words that bash offers for the last word of `fluxqueue words...`."""
    program = (
        'source "$1"; shift; how=$(complete -p fluxqueue); function=${how##*-F }; '
        'COMP_WORDS=(fluxqueue "$@"); COMP_CWORD=$#; COMP_LINE="${COMP_WORDS[*]}"; '
        "COMP_POINT=${#COMP_LINE}; COMPREPLY=(); "
        '"${function% fluxqueue}" fluxqueue "${COMP_WORDS[COMP_CWORD]}"; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", program, "bash", str(script), *words],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands(script: Path) -> None:
    assert set(completed(script, "")) >= cli.OWN.keys()
    assert completed(script, "pur") == ["purge"]


def test_bash_completes_verbs_and_choices(script: Path) -> None:
    assert set(completed(script, "dead", "")) >= {"list", "show", "replay", "delete"}
    assert completed(script, "purge", "mails", "wa") == ["waiting"]
    assert completed(script, "tasks", "--state", "li") == ["limited"]


def test_bash_completes_options(script: Path) -> None:
    assert completed(script, "dead", "replay", "--dr") == ["--dry-run", "--drop-expiry"]
    assert completed(script, "start", "--conc") == ["--concurrency"]
    assert "--json" in completed(script, "queues", "--")
    assert not [word for word in completed(script, "start", "--") if "suspects-lane" in word]


def test_there_is_a_script_for_other_shells() -> None:
    assert printed("zsh").startswith("#compdef fluxqueue\n")
    assert "complete -c fluxqueue" in printed("fish")


def test_another_shell_is_a_wrong_use() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fluxqueue", "completion", "ksh"], capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_a_closed_pipe_ends_it_quietly() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "fluxqueue", "completion", "bash"],
            stdout=writes,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writes)
    assert (done.returncode, done.stderr) == (1, b"")
