"""A provider that quotes the stored credential in its answer tells it to nobody."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fakes.accesses import STORED, access, credential, make_token
from fakes.planes import exchange, plane
from llmcp import data
from llmcp.core.http import ReadBody, RequestHead
from llmcp.core.pricing import PriceTable
from llmcp.core.records import canonical
from llmcp.engine.settlement import settle

KEY, TOKEN = make_token()
BEARER = (b"authorization", b"Bearer " + KEY.encode())
JSON = (b"content-type", b"application/json")
CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'


def answered(
    status: int, body: bytes, *headers: tuple[bytes, bytes], bearer: tuple[bytes, bytes] = BEARER, secret: str = STORED
) -> tuple[bytes, Any, str]:
    """Let a provider answer; return what the client gets of body and head, and the record."""
    run = exchange(plane(), access=access(TOKEN, credentials=(credential(secret=secret),)))
    head = RequestHead("POST", "/openai/v1/chat/completions", (bearer, JSON, (b"content-length", b"9")), "127.0.0.1")
    assert isinstance(run.receive_head(head), ReadBody)
    run.receive_body(CHAT)
    start: Any = run.receive_response_head(status, (JSON, (b"content-length", b"%d" % len(body)), *headers))
    out: Any = run.receive_response_data(body)
    out += run.receive_response_end()
    run.finished()
    record = settle(run, prices=PriceTable.load(data.prices()), now=datetime(2026, 11, 21, tzinfo=UTC), ended_ns=1)
    assert record is not None
    return out, start, canonical(record).decode()


@pytest.mark.parametrize("status", [200, 401, 500])
def test_what_quotes_the_credential_is_blotted_out(status: int) -> None:
    """In the body, with its length kept, in headers of errors, and in what the record takes of it."""
    error = {"message": f"Incorrect API key provided: {STORED}", "type": f"bad {STORED}", "code": STORED}
    body = json.dumps({"model": STORED, "error": error}).encode()
    out, start, record = answered(status, body, (b"x-echo", b"Bearer " + STORED.encode()) if status != 200 else (b"x", b"y"))
    assert STORED.encode() not in out
    assert len(out) == len(body)
    assert STORED.encode() not in b"".join(value for _, value in start.headers)
    assert STORED not in record


def test_the_clients_own_key_comes_back_to_it_as_it_is() -> None:
    """Bytes are passed on: it is no secret to its owner."""
    own = b"sk-" + b"own" * 10
    out, _, _ = answered(401, b'{"error":{"message":"%s"}}' % own, bearer=(b"authorization", b"Bearer " + own))
    assert own in out


def test_a_word_that_only_stands_for_a_key_is_left_alone() -> None:
    """Local servers are given `none`, and answers have such words."""
    body = b'{"model":"gpt-4o","choices":[{"message":{"content":"none of it"}}]}'
    assert answered(200, body, secret="none")[0] == body
