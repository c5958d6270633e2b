"""Replies to the script `enqueue` that no Redis gives, or that a client seldom gets."""

from __future__ import annotations

import pytest
from fluxqueue_core.errors import BrokerError, EnqueueUncertain
from support.producing import producer
from support.verdicts import Way, each_way, ids, sync
from support.wire import CLOSE, Wire


def answer(*replies: bytes) -> tuple[Wire, list[list[bytes]]]:
    """A server that gives these replies to scripts, the last of them for all further ones."""
    commands: list[list[bytes]] = []

    def reply(words: list[bytes]) -> bytes | None:
        if words[0] not in (b"EVALSHA", b"EVAL"):
            return None
        commands.append(words)
        return replies[min(len(commands), len(replies)) - 1]

    return Wire(reply), commands


def verbs(commands: list[list[bytes]]) -> list[bytes]:
    return [words[0] for words in commands]


NOSCRIPT = b"-NOSCRIPT No matching script.\r\n"
ONE = b"*1\r\n:1\r\n"


@each_way
@pytest.mark.parametrize(
    "reply",
    [
        b":0\r\n",
        b"$2\r\nid\r\n",
        b"*0\r\n",
        b"*1\r\n:0\r\n",
        b"*1\r\n$2\r\nid\r\n",
        b"*2\r\n:1\r\n:1\r\n",
    ],
)
def test_a_reply_of_another_form_leaves_the_call_uncertain(way: Way, reply: bytes) -> None:
    server, commands = answer(reply)
    with server, pytest.raises(EnqueueUncertain, match="may or may not be enqueued"):
        way(producer(server.url), ids(1))
    assert verbs(commands) == [b"EVALSHA"]


@each_way
def test_a_server_that_never_learns_the_script_is_given_up(way: Way) -> None:
    server, commands = answer(NOSCRIPT)
    with server, pytest.raises(BrokerError, match=r"NOSCRIPT.*not enqueued"):
        way(producer(server.url), ids(1))
    assert verbs(commands) == [b"EVALSHA", b"EVAL"]


@each_way
def test_a_command_that_redis_did_not_execute_is_sent_again(way: Way) -> None:
    server, commands = answer(b"-LOADING wait\r\n", NOSCRIPT, b"-TRYAGAIN wait\r\n", ONE)
    with server:
        [(_, present)] = way(producer(server.url), ids(1))
    assert present is None
    assert verbs(commands) == [b"EVALSHA", b"EVALSHA", b"EVAL", b"EVAL"]
    # Except the script's name, every attempt has the same words.
    assert len({tuple(words[2:]) for words in commands}) == 1


@each_way
def test_a_command_whose_reply_is_lost_is_never_sent_again(way: Way) -> None:
    server, commands = answer(CLOSE)
    with server, pytest.raises(EnqueueUncertain, match="may or may not be enqueued"):
        way(producer(server.url), ids(1))
    assert verbs(commands) == [b"EVALSHA"]


@each_way
def test_a_redirect_is_followed_and_its_node_learns_the_script(way: Way) -> None:
    target, at_target = answer(NOSCRIPT, ONE)
    at_owner: list[list[bytes]] = []

    def ask(words: list[bytes]) -> bytes | None:
        if words[0] == b"CLUSTER":
            node = b"*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % owner.port
            return b"*1\r\n*3\r\n:0\r\n:16383\r\n" + node
        if words[0] in (b"EVALSHA", b"EVAL"):
            at_owner.append(words)
            return b"-ASK 1 127.0.0.1:%d\r\n" % target.port
        return None

    with Wire(ask) as owner, target:
        [(_, present)] = way(producer(owner.url.replace("redis:", "redis+cluster:")), ids(1))
        asking = sum(sent.count(b"ASKING") for sent in target.sent)
    assert present is None
    assert verbs(at_owner) == verbs(at_target) == [b"EVALSHA", b"EVAL"]
    assert asking == 2


def test_wait_is_behind_a_script_and_asking_before_it() -> None:
    server, commands = answer(NOSCRIPT, ONE)
    options = {"wait_replicas": 2, "wait_timeout": 0.5}
    with server:
        sync(producer(server.url, **options), ids(1))
        sent = bytes(server.sent[0])
    assert verbs(commands) == [b"EVALSHA", b"EVAL"]
    assert sent.count(b"$4\r\nWAIT\r\n") == 3  # one of the greeting, one behind each command
    assert sent.endswith(b"*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$3\r\n500\r\n")
