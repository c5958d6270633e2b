"""`fluxqueue cancel` without a Redis: what it refuses, and what it says of a Redis that is
unreachable."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_control.commands import cancel
from support.ports import free_port

ID = "019aa0c2-7b1f-7c3e-8d2a-0123456789ab"


def refused(capsys: Any, *argv: str) -> str:
    """Returns what a wrong command line says; it must be one line, before any answer."""
    with pytest.raises(SystemExit) as ended:
        cancel.main(list(argv))
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    said: str = captured.err
    return said


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "name tasks, or choose them: --task, --id"),
        (["--state", "waiting"], "name tasks, or choose them: --task, --id"),
        ([ID, "--all"], "give ids, or options that choose tasks, but not both"),
        ([ID, "--header", "a=b"], "but not both"),
        ([ID, "--limit", "3"], "but not both"),
        ([ID, "--state", "running"], "but not both"),
        (["--all", "--state", "dead"], "invalid choice: 'dead'"),
        (["--argument", "x"], "'x' is not PATH=VALUE"),
        (["--all", "--rate", "0"], "--rate"),
        (["-q", "a b", ID], "the queue name \"a b\" has the character ' '"),
        (["-q", "", ID], 'the queue name "" is empty; use letters'),
        ([""], "task_id has 0 characters; give 1 to 256, or a UUID"),
        ([ID, "x" * 257], "task_id has 257 characters; give 1 to 256, or a UUID"),
        (["\udcff"], "has a lone surrogate, which is not valid text; remove it"),
        (["-r", "http://127.0.0.1", ID], "http"),
        (["--namespace", "a:b", ID], "--namespace"),
        (["--que", "x", ID], "unrecognized arguments: --que"),
    ],
)
def test_a_wrong_option_or_id_cancels_nothing(capsys: Any, argv: list[str], said: str) -> None:
    # No Redis listens at this port: a command that asked it would end with 3.
    url = f"redis://127.0.0.1:{free_port()}?timeout=0.2"
    assert said in refused(capsys, "-r", url, *argv)


def test_an_unreachable_redis_is_one_line_that_says_what_to_do(capsys: Any) -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}?timeout=0.2"
    assert cancel.main(["-r", url, ID, "second", "third"]) == 3
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith(f"fluxqueue cancel: task {ID} (queue 'default'): 127.0.0.1:")
    assert "Connection refused (os error 111); it is not cancelled; of the" in captured.err
    assert captured.err.endswith("; of the tasks after it, 2 are not cancelled\n")
    assert "secret" not in captured.err
