"""The address of Redis in `Settings`: one server, Sentinels, a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from fluxqueue import ConfigurationError, FluxQueue
from fluxqueue_core import Settings


def test_sentinels() -> None:
    settings = Settings(
        "redis+sentinel://user:s3cret@one,[::1]:7000/my%2Fmaster/2"
        "?sentinel_username=watcher&sentinel_password=t0psecret&timeout=3"
    )
    assert settings.kind == "sentinel"
    assert settings.nodes == [("one", 26379), ("::1", 7000)]
    assert (settings.service, settings.database) == ("my/master", 2)
    assert (settings.username, settings.password) == ("user", "s3cret")
    assert (settings.sentinel_username, settings.sentinel_password) == ("watcher", "t0psecret")
    assert settings.timeout == 3
    assert "timeout" not in settings.url
    again = Settings(settings.url)
    assert (again.nodes, again.service, again.password, again.sentinel_password) == (
        settings.nodes,
        settings.service,
        "s3cret",
        "t0psecret",
    )
    for shown in (settings.display_url, repr(settings), repr(FluxQueue(settings.url))):
        assert "redis+sentinel://one:26379,[::1]:7000/my/master/2" in shown
        assert "secret" not in shown and "s3cret" not in shown and "user" not in shown


def test_a_cluster_with_tls(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    settings = Settings(f"rediss+cluster://:s3cret@one:1,two:2?ssl_ca_certs={authority}")
    assert (settings.kind, settings.encrypted, settings.service) == ("cluster", True, None)
    assert settings.nodes == [("one", 1), ("two", 2)]
    assert settings.certificates == {"ssl_ca_certs": str(authority)}
    assert settings.display_url == "rediss+cluster://one:1,two:2"


def test_a_single_server_is_what_it_was() -> None:
    settings = Settings("redis://user:pw@host:1/3")
    assert (settings.kind, settings.nodes) == ("single", [("host", 1)])
    assert (settings.username, settings.password, settings.database) == ("user", "pw", 3)
    assert settings.url == "redis://user:pw@host:1/3"
    assert Settings("unix:///run/redis.sock").nodes == []


def test_the_settings_of_waiting_for_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUXQUEUE_WAIT_REPLICAS", "3")
    monkeypatch.setenv("FLUXQUEUE_WAIT_AOF", "1")
    settings = Settings("redis://h?wait_replicas=2", wait_timeout=0.25)
    assert (settings.wait_replicas, settings.wait_aof, settings.wait_timeout) == (2, True, 0.25)
    assert Settings("redis://h?wait_replicas=2", wait_replicas=0).wait_replicas == 0
    with pytest.raises(ConfigurationError, match=r"wait_replicas is -1; give .* 0 or more"):
        Settings("redis://h", wait_replicas=-1)
    with pytest.raises(TypeError, match="wait_aof must be True, False or None, not int"):
        Settings("redis://h", wait_aof=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="less than timeout"):
        FluxQueue("redis://h", timeout=1, wait_timeout=1)


def test_wait_aof_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUXQUEUE_WAIT_AOF", "true")
    with pytest.raises(ConfigurationError, match='FLUXQUEUE_WAIT_AOF is "true"; give 0 or 1'):
        Settings("redis://h")
    with pytest.raises(ConfigurationError, match='wait_aof in the Redis URL is "on"; give 0 or 1'):
        Settings("redis://h?wait_aof=on")
    assert not Settings("redis://h", wait_aof=False).wait_aof


@pytest.mark.parametrize("url", ["unix:///tmp/a#b.sock", "redis://h/1#2", "redis+cluster://h#1"])
def test_nothing_of_a_url_is_ignored_behind_a_hash(url: str) -> None:
    with pytest.raises(ConfigurationError, match="has a #; write it as %23"):
        FluxQueue(url)


def test_a_hash_in_a_url_is_written_in_hex() -> None:
    assert Settings("unix:///tmp/a%23b.sock").url.startswith("unix:///tmp/a%23b.sock")
    assert Settings("redis://:p%23w@h").password == "p#w"
