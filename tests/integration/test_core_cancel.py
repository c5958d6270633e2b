"""The producer's `cancel`: redirects, lost replies, wrong arguments."""

from __future__ import annotations

import pytest
from fluxqueue import BrokerError, BrokerUnavailable, ConfigurationError
from fluxqueue_core import Route, key, new_task_id, parse_message
from support.producing import producer
from support.redis_cluster import RedisCluster
from support.wire import CLOSE, Wire

NOSCRIPT = b"-NOSCRIPT No matching script.\r\n"
CANCELLED = b"*1\r\n$9\r\ncancelled\r\n"


def answer(*replies: bytes) -> tuple[Wire, list[bytes]]:
    """A server that gives these replies to scripts, the last of them for all further ones."""
    verbs: list[bytes] = []

    def reply(words: list[bytes]) -> bytes | None:
        if words[0] not in (b"EVALSHA", b"EVAL"):
            return None
        verbs.append(words[0])
        return replies[min(len(verbs), len(replies)) - 1]

    return Wire(reply), verbs


def test_a_server_that_does_not_know_the_script_learns_it() -> None:
    server, verbs = answer(NOSCRIPT, CANCELLED)
    with server:
        assert producer(server.url).cancel("q", new_task_id()) == "cancelled"
    assert verbs == [b"EVALSHA", b"EVAL"]


def test_a_command_whose_reply_is_lost_is_sent_again() -> None:
    server, verbs = answer(CLOSE, b"-LOADING wait\r\n", CANCELLED)
    with server:
        assert producer(server.url).cancel("q", new_task_id()) == "cancelled"
    assert verbs == [b"EVALSHA"] * 3


@pytest.mark.parametrize("reply", [b":1\r\n", b"*0\r\n", b"*1\r\n:1\r\n", b"-ERR no\r\n", NOSCRIPT])
def test_an_odd_reply_is_an_error_that_names_the_task(reply: bytes) -> None:
    server, _ = answer(reply)
    task_id = new_task_id()
    with server, pytest.raises(BrokerError, match=f"task {task_id}.*does no harm"):
        producer(server.url, timeout=1).cancel("q", task_id)


def test_an_unreachable_server_and_wrong_arguments_are_errors(redis_url: str) -> None:
    sender = producer(redis_url)
    with pytest.raises(BrokerUnavailable, match="cancel it again"):
        producer("redis://127.0.0.1:1/0?timeout=0.1").cancel("q", new_task_id())
    with pytest.raises(ConfigurationError):
        sender.cancel("a}b", new_task_id())
    with pytest.raises(ValueError, match="is not a UUID"):
        sender.cancel("q", "order-17")


def test_each_task_is_cancelled_by_the_owner_of_its_slot(cluster: RedisCluster) -> None:
    sender = producer(cluster.url)
    for node in cluster.masters():
        queue = cluster.queue_on(node, "owner")
        task_id = new_task_id()
        sender.enqueue(Route(queue, "task"), (1,), {}, task_id=task_id)
        assert sender.cancel(queue, task_id) == "cancelled"
        [message] = node.client.lrange(key("pending", queue), 0, -1)
        assert parse_message(message.encode())["condemned"] == "cancelled"
        assert sender.cancel(queue, new_task_id()) == "already_done"
