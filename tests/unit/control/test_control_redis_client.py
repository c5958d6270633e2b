"""Errors that mean that Redis can't work, and scripts that Redis does not have yet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import redis
from fluxqueue_control.errors import UNAVAILABLE
from fluxqueue_control.redis_client import RedisClient, ScriptCall
from fluxqueue_core import Settings, script

Answer = Callable[[tuple[Any, ...]], Any]


def client_with(answer: Answer) -> RedisClient:
    """A client whose connection answers by a function."""

    class Pipeline:
        def __init__(self) -> None:
            self.commands: list[tuple[Any, ...]] = []

        def execute_command(self, *words: Any) -> None:
            self.commands.append(words)

        def execute(self, raise_on_error: bool) -> list[Any]:
            assert raise_on_error is False
            return [answer(words) for words in self.commands]

    class Server:
        class connection_pool:
            @staticmethod
            def disconnect() -> None: ...

        def pipeline(self, transaction: bool) -> Pipeline:
            assert transaction is False
            return Pipeline()

    client = RedisClient(Settings("redis://nowhere:1"), 1.0)
    client._redis = Server()  # type: ignore[assignment]
    return client


@pytest.mark.parametrize(
    "error",
    [
        redis.ReadOnlyError("You can't write against a read only replica."),
        redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        redis.exceptions.ClusterDownError("The cluster is down"),
        redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        redis.ResponseError("NOREPLICAS Not enough good replicas to write."),
        redis.ResponseError("BUSY Redis is busy running a script."),
        redis.ResponseError("Error running script (call to f_1): @user_script:9: -MISCONF Redis"),
        redis.ResponseError("Error running script (call to f_1): @user_script:9: -OOM command"),
    ],
)
def test_a_server_that_cannot_work_is_unavailable(error: Exception) -> None:
    client = client_with(lambda words: error)
    with pytest.raises(UNAVAILABLE, match=str(error)[:20]):
        client.command("PING")


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (redis.ReadOnlyError("You can't write against a read only replica."), True),
        # The error of a script on Redis 6.2.
        (redis.ResponseError("-READONLY You can't write against a read only replica."), True),
        (redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), False),
    ],
)
def test_the_client_leaves_a_server_that_has_become_a_replica(error: Exception, left: bool) -> None:
    """Only a new connection asks the Sentinels for the master."""
    client = client_with(lambda words: error)
    closed: list[bool] = []
    pool: Any = client._redis.connection_pool
    pool.disconnect = lambda: closed.append(True)
    with pytest.raises(UNAVAILABLE):
        client.command("PING")
    assert closed == [True] * left


@pytest.mark.parametrize(
    "error",
    [
        redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        redis.ResponseError("@user_script:3: attempt to perform arithmetic on a nil value"),
        redis.exceptions.NoPermissionError("this user has no permissions to access the key"),
        redis.exceptions.TryAgainError("Multiple keys request during rehashing of slot"),
        redis.exceptions.MovedError("866 127.0.0.1:7001"),
        redis.exceptions.AskError("866 127.0.0.1:7001"),
        redis.exceptions.ClusterDownError("Hash slot not served"),
    ],
)
def test_any_other_error_belongs_to_its_command(error: Exception) -> None:
    client = client_with(lambda words: error if words[1] == "a" else b"fine")
    assert client.commands([("GET", "a"), ("GET", "b")]) == [error, b"fine"]
    with pytest.raises(redis.ResponseError):
        client.command("GET", "a")


def test_the_client_reports_that_a_hash_slot_belongs_to_another_master() -> None:
    said: list[bool] = []
    client = client_with(lambda words: redis.exceptions.MovedError("866 127.0.0.1:7001"))
    client._moved = lambda: said.append(True)
    client.commands([("GET", "a"), ("GET", "b")])
    assert said == [True]
    client = client_with(lambda words: redis.exceptions.TryAgainError("during rehashing"))
    client._moved = lambda: said.append(True)
    client.commands([("GET", "a")])
    assert said == [True]


class ScriptServer:
    """EVALSHA and SCRIPT LOAD of a server that knows `#!lua`, or does not."""

    def __init__(self, knows_flags: bool) -> None:
        self.knows_flags = knows_flags
        self.loaded: dict[str, str] = {}

    def __call__(self, words: tuple[Any, ...]) -> Any:
        if words[0] == "SCRIPT":
            text = words[2]
            if text.startswith("#!") and not self.knows_flags:
                return redis.ResponseError(
                    "Error compiling script (new function): "
                    "user_script:1: unexpected symbol near '#'"
                )
            digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
            self.loaded[digest] = text
            return digest
        assert words[0] == "EVALSHA"
        if words[1] not in self.loaded:
            return redis.exceptions.NoScriptError("No matching script.")
        return words[3 + words[2] :]


@pytest.mark.parametrize("knows_flags", [True, False])
def test_scripts_are_loaded_once_in_the_form_that_the_server_knows(knows_flags: bool) -> None:
    server = ScriptServer(knows_flags)
    client = client_with(server)
    calls = [ScriptCall("promote", "a", (1,)), ScriptCall("trim_dead", "b", (2, 3, 4))]
    for _ in range(3):
        assert client.calls(calls) == [(1,), (2, 3, 4)]
    wanted = {script(name, knows_flags) for name in ("promote", "trim_dead")}
    assert set(server.loaded.values()) == wanted
    # A server that was exchanged for one of another version.
    server.loaded.clear()
    server.knows_flags = not knows_flags
    assert client.calls(calls) == [(1,), (2, 3, 4)]


def test_any_other_refusal_of_a_script_is_an_error() -> None:
    def answer(words: tuple[Any, ...]) -> Any:
        if words[0] == "SCRIPT":
            return redis.exceptions.NoPermissionError("can't run this command")
        return redis.exceptions.NoScriptError("No matching script.")

    with pytest.raises(redis.exceptions.NoPermissionError):
        client_with(answer).call(ScriptCall("promote", "a", (1,)))


def test_redis_py_neither_retries_nor_waits_longer_than_the_timeout() -> None:
    client = RedisClient(Settings("redis://nowhere:1", timeout=5, connect_timeout=1.5), 2.5)
    options = client._redis.connection_pool.connection_kwargs
    assert options["retry"].get_retries() == 0
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (2.5, 1.5)


@pytest.mark.parametrize(
    ("url", "connection_class", "wanted"),
    [
        (
            "redis://u:p@h:7/3?timeout=2",
            redis.Connection,
            {"host": "h", "port": 7, "db": 3, "username": "u", "password": "p"},
        ),
        ("rediss://h:7", redis.SSLConnection, {"host": "h", "port": 7, "db": 0}),
        (
            "unix:///tmp/redis.sock?db=2",
            redis.UnixDomainSocketConnection,
            {"path": "/tmp/redis.sock", "db": 2},
        ),
    ],
)
def test_the_client_understands_every_url_of_the_settings(
    url: str, connection_class: type[Any], wanted: dict[str, Any]
) -> None:
    pool = RedisClient(Settings(url), 1.0)._redis.connection_pool
    assert issubclass(pool.connection_class, connection_class)
    connection = pool.make_connection()
    assert {name: getattr(connection, name) for name in wanted} == wanted


def test_a_server_that_refuses_new_connections_for_now_is_unavailable() -> None:
    def refuse(words: tuple[Any, ...]) -> None:
        raise redis.ResponseError("BUSY Redis is busy running a script.")

    with pytest.raises(UNAVAILABLE, match="BUSY"):
        client_with(refuse).command("PING")


def test_a_wrong_password_does_not_count_as_an_unreachable_server() -> None:
    def refuse(words: tuple[Any, ...]) -> None:
        raise redis.ResponseError("WRONGPASS invalid username-password pair")

    with pytest.raises(redis.ResponseError, match="WRONGPASS"):
        client_with(refuse).command("PING")
