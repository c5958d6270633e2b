"""Which errors of Redis mean that the server can't work at present."""

from __future__ import annotations

import pytest
from fluxqueue_core import is_temporary


@pytest.mark.parametrize(
    "text",
    [
        "LOADING Redis is loading the dataset in memory",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "Error running script (call to f_ab): @user_script:1: -MISCONF Errors writing to disk",
    ],
)
def test_a_server_that_can_not_work_is_tried_again(text: str) -> None:
    assert is_temporary(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ERR syntax error",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "MOVED 3999 127.0.0.1:6381",
        "the server is loading",
    ],
)
def test_any_other_error_does_not_pass_by_itself(text: str) -> None:
    assert not is_temporary(text)
