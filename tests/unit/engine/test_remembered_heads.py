"""What is remembered of headers: as little as two requests of one client have in common."""

from __future__ import annotations

from llmcp.core.http import RequestHead
from llmcp.engine.heads import Heads


def head(length: int, key: bytes = b"one") -> RequestHead:
    """Return a head with a body of `length` bytes."""
    headers = ((b"host", b"x"), (b"authorization", b"Bearer " + key), (b"content-length", b"%d" % length))
    return RequestHead("POST", "/openai/v1/chat/completions", headers, "127.0.0.1")


def test_bodies_of_different_length_share_what_their_headers_say() -> None:
    """A conversation grows with each turn; its headers do not."""
    heads = Heads()
    first, second = heads.read(head(10), "127.0.0.1"), heads.read(head(11), "127.0.0.1")
    assert first is second
    assert (b"authorization", b"Bearer one") in first.whole_headers


def test_another_key_or_address_is_another_client() -> None:
    """Nothing of one client's headers goes upstream with another's request."""
    heads = Heads()
    first = heads.read(head(10), "127.0.0.1")
    assert (b"authorization", b"Bearer two") in heads.read(head(10, b"two"), "127.0.0.1").whole_headers
    assert heads.read(head(10), "127.0.0.2") is not first
