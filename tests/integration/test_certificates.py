"""Client, worker and scheduler judge certificates alike: all accept one, or all refuse it with
the same words."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import BrokerUnavailable, ConfigurationError, FluxQueue
from fluxqueue.embedded import EmbeddedRedis
from redis import Redis
from support import acl
from support.scheduler_process import SchedulerProcess
from support.tls_proxy import AUTHORITY, FAULTS, TlsProxy
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = "\n@fluxqueue.task()\ndef work(): ...\n"


# The certificate that the server shows, the file of ssl_ca_certs, and a part of each answer. Empty:
# it is accepted.
CASES = {
    "signed by an authority": ("good", "signer", ""),
    "signed by way of an intermediate authority": ("chain", "signer", ""),
    "signed by the intermediate that is trusted": ("chain", "intermediate", ""),
    "its own authority": ("self_signed", "self_signed", ""),
    "named itself": ("good", "good", ""),
    "expired": ("expired", "signer", "expired: give the server a new one"),
    "its own authority, expired": ("self_signed_expired", "self_signed_expired", "expired: give"),
    "not valid yet": ("not_yet_valid", "signer", "not valid yet: set the clock"),
    "for another host": ("other_host", "signer", "not valid for name localhost: write a host"),
    "only a common name": ("common_name", "signer", "not valid for name localhost: write a host"),
    "an unknown authority": ("good", "self_signed", "name the file of the authority"),
    "a chain to an unknown authority": ("chain", "self_signed", "name the file of the authority"),
    "its own unknown authority": ("self_signed", "signer", "name the file of the authority"),
    "one that signs others": ("signs_others", "signer", "an authority (CA:TRUE): give the server"),
}


def answers(tmp_path: Path, url: str, redis: Redis) -> dict[str, str]:
    """The errors of client, worker and scheduler. Empty: they have connected."""
    app = FluxQueue(url, timeout=1)

    @app.task()
    def work() -> None: ...

    try:
        work()
        client = ""
    except BrokerUnavailable as error:
        client = str(error)
    with WorkerProcess(tmp_path, url, APP) as worker:
        wait_until(lambda: worker.named("worker.connected") or worker.named("worker.disconnected"))
        of_worker = reason(worker.named("worker.disconnected"))
        worker.stop()
    with SchedulerProcess(tmp_path, url) as scheduler:

        def is_connected() -> bool:
            return any(client["name"] == "fluxqueue-scheduler" for client in redis.client_list())

        wait_until(
            lambda: scheduler.named("redis.unavailable") or is_connected(), what=scheduler.output
        )
        of_scheduler = reason(scheduler.named("redis.unavailable"))
        scheduler.stop()
    return {"client": client, "worker": of_worker, "scheduler": of_scheduler}


def reason(lines: list[dict[str, Any]]) -> str:
    return str(lines[0]["error"]) if lines else ""


def said(answer: str) -> str:
    """The part of an answer that all should have."""
    found = re.search(r"(invalid peer certificate: .*docs/security.md has the commands)", answer)
    return found[1] if found else answer


@pytest.mark.parametrize("case", CASES)
def test_client_worker_and_scheduler_judge_a_server_in_the_same_way(
    tmp_path: Path, redis_server: EmbeddedRedis, redis: Redis, case: str
) -> None:
    shows, trusted, expected = CASES[case]
    with TlsProxy(redis_server.port, shows=FAULTS / f"{shows}.pem") as proxy:
        url = f"rediss://localhost:{proxy.port}?ssl_ca_certs={FAULTS / trusted}.pem"
        found = {who: said(text) for who, text in answers(tmp_path, url, redis).items()}
    if expected:
        assert expected in found["client"]
    assert found == dict.fromkeys(found, found["client"] if expected else "")


def test_the_certificate_of_the_page_is_accepted(
    tmp_path: Path, redis_server: EmbeddedRedis, redis: Redis
) -> None:
    [command] = re.findall(
        r"^```console\n\$ (openssl .*?)^```$", acl.PAGE, re.MULTILINE | re.DOTALL
    )
    subprocess.run(["bash", "-euc", command], cwd=tmp_path, check=True, capture_output=True)
    made = [(tmp_path / name).read_text() for name in ("redis.pem", "redis.key")]
    (tmp_path / "shown.pem").write_text("".join(made))
    with TlsProxy(redis_server.port, shows=tmp_path / "shown.pem") as proxy:
        url = f"rediss://localhost:{proxy.port}?ssl_ca_certs={tmp_path / 'redis.pem'}"
        assert set(answers(tmp_path, url, redis).values()) == {""}


@pytest.mark.parametrize(
    ("shows", "expected"),
    [
        (None, "it asks for a certificate, name one with ssl_certfile"),
        ("good", "it does not trust ssl_certfile"),
    ],
)
def test_a_server_that_asks_for_a_certificate(
    tmp_path: Path,
    redis_server: EmbeddedRedis,
    redis: Redis,
    shows: str | None,
    expected: str,
) -> None:
    with TlsProxy(redis_server.port, asks_for_certificate=True) as proxy:
        url = f"rediss://localhost:{proxy.port}?ssl_ca_certs={AUTHORITY}"
        if shows is not None:
            file = FAULTS / f"{shows}.pem"
            url += f"&ssl_certfile={file}&ssl_keyfile={file}"
        found = answers(tmp_path, url, redis)
    assert {who for who, text in found.items() if expected in text} == set(found), found


def test_a_server_without_tls(tmp_path: Path, redis_server: EmbeddedRedis, redis: Redis) -> None:
    url = f"rediss://localhost:{redis_server.port}?ssl_ca_certs={AUTHORITY}"
    found = answers(tmp_path, url, redis)
    # Redis waits for the end of a line.
    expected = "no answer to the TLS handshake in time; if the server speaks no TLS"
    assert {who for who, text in found.items() if expected in text} == set(found), found


def test_a_file_without_a_certificate(
    tmp_path: Path, redis_server: EmbeddedRedis, redis: Redis
) -> None:
    """Found when connecting, since the file may change meanwhile."""
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    url = f"rediss://localhost:{redis_server.port}?ssl_ca_certs={empty}"
    with pytest.raises(ConfigurationError, match=r"empty.pem can't be read: it has no such PEM"):
        answers(tmp_path, url, redis)
    with SchedulerProcess(tmp_path, url) as scheduler:
        wait_until(lambda: scheduler.named("redis.unavailable"), what=scheduler.output)
        assert "empty.pem can't be read" in reason(scheduler.named("redis.unavailable"))
        scheduler.stop()
