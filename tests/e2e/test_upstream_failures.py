"""The provider misbehaves, or the client goes away: the other side gets a clear end, and the record says what happened."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from fakes.provider_server import Fault, ProviderServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.daemon import Daemon

KEY = {"authorization": "Bearer sk-" + "k" * 40}
CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}'
STREAM = CHAT.replace(b'{"model"', b'{"stream":true,"model"')


@pytest.mark.parametrize("kind", ["reset", "close", "garbage"])
def test_a_provider_that_breaks_before_an_answer_is_a_502_in_the_callers_dialect(
    daemon: Daemon, provider: ProviderServer, kind: str
) -> None:
    """An error object of the caller's own form, and a record with the error."""
    provider.misbehave(*[Fault(kind)] * 5)
    answer = daemon.call("POST", "/v1/chat/completions", CHAT, KEY)
    assert answer.status == 502
    assert answer.json()["error"]["message"]
    record = daemon.record(answer.headers["x-llmcp-decision-id"])
    assert record["outcome"] == "error"
    assert record["error_type"]


def test_a_provider_that_is_not_there_is_a_502(make_daemon: Callable[..., Daemon]) -> None:
    """Nothing listens at the configured place."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    daemon = make_daemon(settings={"PROVIDERS__OPENAI__BASE_URL": f"http://127.0.0.1:{port}"})
    assert daemon.call("POST", "/v1/chat/completions", CHAT, KEY).status == 502


def test_a_provider_that_never_answers_is_a_504_after_its_deadline(
    make_daemon: Callable[..., Daemon], provider: ProviderServer
) -> None:
    """The deadline is the provider's own setting, and the request is cancelled upstream."""
    daemon = make_daemon(settings={"PROVIDERS__OPENAI__FIRST_BYTE_S": "0.5"})
    provider.misbehave(Fault("stall"))
    assert daemon.call("POST", "/v1/chat/completions", CHAT, KEY).status == 504
    _until(lambda: provider.gone_early == 1)


def test_a_client_that_leaves_cancels_the_provider(daemon: Daemon, provider: ProviderServer) -> None:
    """Nobody pays for tokens that nobody reads, and what was seen is recorded."""
    provider.pause_s = 0.2
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: %s\r\ncontent-type: application/json\r\n"
    head = head % KEY["authorization"].encode() + b"content-length: %d\r\n\r\n" % len(STREAM)
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as client:
        client.sendall(head + STREAM)
        got = b""
        while b"data: " not in got:
            got += client.recv(65536)
    _until(lambda: provider.gone_early == 1)
    decision = got.lower().split(b"x-llmcp-decision-id:")[1].split(b"\r\n")[0].strip().decode()
    assert daemon.record(decision)["error_type"] == "client_closed"


def test_pieces_arrive_as_they_are_sent(daemon: Daemon, provider: ProviderServer) -> None:
    """A stream is not held back until its end: the first piece is here while the provider still writes."""
    provider.pause_s = 0.1
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: %s\r\ncontent-type: application/json\r\n"
    head = head % KEY["authorization"].encode() + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(STREAM)
    reads = []
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as client:
        client.sendall(head + STREAM)
        while data := client.recv(65536):
            reads.append(data)
    assert len([r for r in reads if b"data: " in r]) >= 5


def _until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    until = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    assert condition()
