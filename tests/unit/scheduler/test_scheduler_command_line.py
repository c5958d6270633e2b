"""The flags, their variables, and what is said of wrong ones."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from fluxqueue_scheduler.cli import main, parse
from fluxqueue_scheduler.options import DAY, Options


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("FLUXQUEUE_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--lease", "no"], "--lease"),
        (["--lease", "0.5"], "--lease"),
        (["--lease", "nan"], "--lease"),
        (["--lease", "1e300"], "--lease"),
        (["--max-deliveries", "0"], "--max-deliveries"),
        (["--max-deliveries", str(2**32)], "--max-deliveries"),
        (["--dead-max-count", "-1"], "--dead-max-count"),
        (["--dead-max-count", "9" * 30], "--dead-max-count"),
        (["--dead-max-age", "0"], "--dead-max-age"),
        (["--dead-max-age", "soon"], "--dead-max-age"),
        (["--log-format", "xml"], "--log-format"),
        (["--log-level", "loud"], "--log-level"),
        (["--redis-url", "http://h"], "http"),
        (["--redis-url", ""], "--redis-url"),
        (["--namespace", "a*"], "--namespace"),
        (["--no-such-flag"], "--no-such-flag"),
    ],
)
def test_a_wrong_value_is_one_line_and_2(
    flags: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(flags, "fluxqueue scheduler")
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("fluxqueue scheduler: ") and named in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FLUXQUEUE_LEASE", "x"),
        ("FLUXQUEUE_MAX_DELIVERIES", "x"),
        ("FLUXQUEUE_DEAD_MAX_COUNT", "x"),
        ("FLUXQUEUE_DEAD_MAX_AGE", "x"),
        ("FLUXQUEUE_NAMESPACE", "x:y"),
        ("FLUXQUEUE_LOG_LEVEL", "x"),
        ("FLUXQUEUE_LOG_FORMAT", "x"),
    ],
)
def test_a_wrong_variable_is_named(
    variable: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2 and variable in capsys.readouterr().err


def test_each_setting_is_flag_then_variable_then_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse([], "p") == Options(
        redis_url=None,
        namespace=None,
        lease=10.0,
        max_deliveries=3,
        dead_max_count=100_000,
        dead_max_age=90 * DAY,
        log_format="auto",
        log_level="info",
        health_host="127.0.0.1",
        health_port=0,
    )
    monkeypatch.setenv("FLUXQUEUE_REDIS_URL", "redis://variable")
    monkeypatch.setenv("FLUXQUEUE_LEASE", "4")
    monkeypatch.setenv("FLUXQUEUE_DEAD_MAX_AGE", "0.5")
    parsed = parse(["-r", "redis://flag"], "p")
    assert (parsed.redis_url, parsed.lease, parsed.dead_max_age) == ("redis://flag", 4.0, 0.5 * DAY)


def test_help_and_version_do_not_load_the_redis_client() -> None:
    code = (
        "import sys; from fluxqueue_scheduler.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit as e: assert e.code == 0\n"
        "assert 'redis' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
