"""What is not edited reaches the other side as the very bytes; what is edited changes in that place only."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from fakes.provider_server import ProviderServer, anthropic_messages, gemini_generate, openai_chat, openai_responses

if TYPE_CHECKING:
    from e2e.daemon import Daemon

KEY = {"authorization": "Bearer sk-" + "k" * 40}
CLAUDE_KEY = {"x-api-key": "sk-ant-" + "k" * 40, "anthropic-version": "2023-06-01"}
GEMINI_KEY = {"x-goog-api-key": "AIza" + "k" * 35}

ODD_BODIES = [
    b'{"model":"gpt-4o","messages":[{"role":"user","content":"plain"}]}',
    b'{ "messages" : [ { "content" : "spaces and a newline" , "role" : "user" } ] ,\r\n\t"model" : "gpt-4o" }\n',
    b'{"model":"gpt-4o","messages":[{"role":"user","content":"\\u00e9\\ud83d\\ude42 \\/ \\b\\f"}]}',
    '{"model":"gpt-4o","messages":[{"role":"user","content":"é🙂東京\u2028"}]}'.encode(),
    b'{"model":"gpt-4o","temperature":1.0e0,"seed":123456789012345678901234567890,"top_p":0.10,"messages":[{"role":"user","content":""}]}',
    b'{"model":"gpt-4o","x_unknown":{"b":1,"a":[null,true,{}]},"messages":[{"role":"user","content":[{"type":"text","text":"part"}],"extra":-0}]}',
    b'{"model":"gpt-4o","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{not json"}}]}]}',
]


@pytest.mark.parametrize("target", ["/v1/chat/completions", "/openai/v1/chat/completions"])
@pytest.mark.parametrize("body", ODD_BODIES)
def test_a_request_that_nothing_edits_reaches_the_provider_byte_for_byte(
    daemon: Daemon,
    provider: ProviderServer,
    target: str,
    body: bytes,
) -> None:
    """White space, escapes, number forms, key order and unknown fields are the client's own."""
    assert daemon.call("POST", target, body, KEY).status == 200
    assert [r.body for r in provider.received] == [body]
    assert provider.received[0].target == "/v1/chat/completions"


def test_a_chunked_request_body_is_put_together_again(daemon: Daemon, provider: ProviderServer) -> None:
    """How the client framed its body is the connection's business, not the body's."""
    body = ODD_BODIES[3]
    head = (
        b"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: %s\r\ncontent-type: application/json\r\n"
    )
    head %= KEY["authorization"].encode()
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as client:
        client.sendall(head + b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n")
        for at in range(0, len(body), 5):
            piece = body[at : at + 5]
            client.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        client.sendall(b"0\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert [r.body for r in provider.received] == [body]


def test_a_capped_field_is_the_only_thing_that_changes(daemon: Daemon, provider: ProviderServer) -> None:
    """The number is replaced where it stands; everything around it is untouched, and the record says what was edited."""
    body = '{ "max_tokens" :  5000 ,"model":"capped-model","messages":[{"role":"user","content":"5000 \\u00e9 é"}] , "n":1.0}\n'.encode()
    answer = daemon.call("POST", "/openai/v1/chat/completions", body, KEY)
    assert answer.status == 200
    assert provider.received[0].body == body.replace(b":  5000 ,", b":  100 ,", 1)
    record = daemon.record(answer.headers["x-llmcp-decision-id"])
    assert record["outcome"] == "edited"
    assert [r["id"] for r in record["rules"]] == ["cap"]


def test_a_missing_cap_is_inserted_and_nothing_else_moves(daemon: Daemon, provider: ProviderServer) -> None:
    """Silence about `max_tokens` counts as no limit, so the cap is put in; the client's bytes stand before and behind it."""
    body = '{"model":"capped-model", "messages":[{"role":"user","content":"\\u00e9 é"}]}'.encode()
    assert daemon.call("POST", "/openai/v1/chat/completions", body, KEY).status == 200
    got = provider.received[0].body
    added = len(got) - len(body)
    kept = next(n for n in range(len(body) + 1) if body[n:] == got[n + added :] and body[:n] == got[:n])
    assert b"100" in got[kept : kept + added]
    assert 100 in json.loads(got).values()


@pytest.mark.parametrize(
    ("target", "headers", "body", "reply"),
    [
        (
            "/v1/chat/completions",
            KEY,
            {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}], "stream": True},
            openai_chat,
        ),
        ("/v1/responses", KEY, {"model": "gpt-4o", "input": "x", "stream": True}, openai_responses),
        (
            "/v1/messages",
            CLAUDE_KEY,
            {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "stream": True},
            anthropic_messages,
        ),
    ],
    ids=["chat", "responses", "messages"],
)
@pytest.mark.usefixtures("provider")
def test_a_stream_reaches_the_client_byte_for_byte(
    daemon: Daemon, target: str, headers: dict[str, str], body: dict, reply: object
) -> None:  # type: ignore[type-arg]
    """Events, comments and white space of a stream are the provider's own."""
    answer = daemon.call("POST", target, json.dumps(body).encode(), headers)
    assert answer.body == b"".join(reply(body).parts)  # type: ignore[operator]
    assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("query", ["?alt=sse", ""])
@pytest.mark.usefixtures("provider")
def test_a_gemini_stream_reaches_the_client_byte_for_byte(daemon: Daemon, query: str) -> None:
    """As SSE, and as the JSON array that it is without `alt=sse`."""
    body = {"contents": [{"parts": [{"text": "x"}]}]}
    target = f"/v1beta/models/gemini-2.5-flash:streamGenerateContent{query}"
    answer = daemon.call("POST", "/gemini" + target, json.dumps(body).encode(), GEMINI_KEY)
    assert answer.body == b"".join(gemini_generate(body, target).parts)


def test_unknown_headers_and_the_query_are_passed_on(daemon: Daemon, provider: ProviderServer) -> None:
    """Headers are an open list: what llmcp does not know belongs to the provider."""
    given = {
        **CLAUDE_KEY,
        "anthropic-beta": "a-2025,b-2026",
        "x-custom-thing": "Value with  spaces",
        "x-stainless-lang": "python",
    }
    body = b'{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"x"}]}'
    assert daemon.call("POST", "/v1/messages?beta=true", body, given).status == 200
    got = provider.received[0]
    assert got.target == "/v1/messages?beta=true"
    assert {k: got.headers[k] for k in given} == given
