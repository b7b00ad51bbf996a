"""Writing heads: framing is the shell's own, and nothing breaks out of a header value."""

from __future__ import annotations

import pytest

from llmcp.core.http import Forward, Origin, RequestHead, Respond, ResponseStart
from llmcp.errors import WrongStateError
from llmcp.runtime.client_response import ClientResponse
from llmcp.runtime.http1 import CHUNKED, IncomingRequest
from llmcp.runtime.render import RequestHeads, own_answer, respond_bytes, response_head

ORIGIN = Origin("https", "api.example.com", 443)
DATE = b"date: today\r\n"


def forward(method: str = "POST", target: str = "/v1/x", headers: tuple[tuple[bytes, bytes], ...] = ()) -> Forward:
    """Return something to send."""
    return Forward(ORIGIN, method, target, headers, b"")


def request_head(forward: Forward, length: int | None) -> bytes:
    """Write one head as the first."""
    return RequestHeads().write(forward, length)


def test_the_shell_alone_frames_a_request() -> None:
    """What the engine says of lengths is left out; a missing host is the origin's."""
    got = request_head(forward(headers=((b"content-length", b"9"), (b"transfer-encoding", b"chunked"), (b"x-a", b"b"))), 5)
    assert got == b"POST /v1/x HTTP/1.1\r\nhost: api.example.com\r\nx-a: b\r\ncontent-length: 5\r\n\r\n"
    assert request_head(forward(), CHUNKED).endswith(b"transfer-encoding: chunked\r\n\r\n")
    assert b"content-length: 0" in request_head(forward(), 0)
    assert b"content-length" not in request_head(forward("GET"), 0)
    assert b"content-length" not in request_head(forward("GET"), None)


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\nb", b"a\rb", b"a\0b", b"a\r\n"])
def test_a_line_break_in_a_header_is_never_written(value: bytes) -> None:
    """Neither upstream nor to the client."""
    with pytest.raises(ValueError, match="line break"):
        request_head(forward(headers=((b"x-a", b"1"), (b"x-b", value))), None)
    with pytest.raises(ValueError, match="line break"):
        response_head(200, ((b"x-a", value),), framing=b"", close=False, date=DATE)


@pytest.mark.parametrize(
    ("method", "target"), [("GET", "/a b"), ("GET", "/a\r\nx: y"), ("GE T", "/"), ("GET\r\n", "/"), ("GET", "")]
)
def test_a_request_line_is_never_split(method: str, target: str) -> None:
    """A space or a control byte in target or method is a bug that sends nothing."""
    with pytest.raises(ValueError, match="request line"):
        request_head(forward(method, target), None)


def test_a_date_is_added_where_there_is_none() -> None:
    """The provider's own stays."""
    assert DATE in response_head(200, (), framing=b"", close=False, date=DATE)
    assert DATE not in response_head(200, ((b"date", b"x"),), framing=b"", close=True, date=DATE)


def test_head_names_the_body_and_does_not_send_it() -> None:
    """The length is that of the answer to GET."""
    got = respond_bytes(Respond(200, (), b"hello"), head_only=True, close=False, date=DATE)
    assert b"content-length: 5\r\n" in got
    assert not got.endswith(b"hello")
    assert b"content-length" not in respond_bytes(Respond(204, (), b""), head_only=False, close=False, date=DATE)


def test_426_names_the_protocol_to_use() -> None:
    """RFC 9110 section 15.5.22 demands an `upgrade` header."""
    assert (b"upgrade", b"HTTP/1.1") in own_answer(426, "x", "y").headers


def incoming(method: str = "GET", minor: int = 1) -> IncomingRequest:
    """Return a request to be answered."""
    head = RequestHead(method, "/", ())
    return IncomingRequest(head=head, minor=minor, length=0, keep_alive=minor == 1, expects_continue=False, upgrade=False)


def response(status: int, length: int | None, request: IncomingRequest) -> ClientResponse:
    """Begin a response."""
    return ClientResponse(ResponseStart(status, (), length), request, keep_alive=request.keep_alive, date=DATE)


def test_a_response_has_the_length_that_its_head_announced() -> None:
    """More and less are both bugs."""
    got = response(200, 3, incoming())
    assert got.frame(b"ab") == b"ab"
    with pytest.raises(WrongStateError):
        got.end()
    with pytest.raises(WrongStateError):
        got.frame(b"cd")
    assert got.frame(b"c") + got.end() == b"c"


def test_an_unknown_length_is_chunks_or_for_http_1_0_the_connections_end() -> None:
    """The old client's connection cannot go on."""
    new, old = response(200, None, incoming()), response(200, None, incoming(minor=0))
    assert new.frame(b"ab") + new.end() == b"2\r\nab\r\n0\r\n\r\n"
    assert new.keep_alive
    assert old.frame(b"ab") + old.end() == b"ab"
    assert not old.keep_alive
    assert b"connection: close" in old.head


@pytest.mark.parametrize(("status", "method"), [(204, "GET"), (304, "GET"), (200, "HEAD")])
def test_a_response_without_body_sends_none(status: int, method: str) -> None:
    """Whatever is let go."""
    got = response(status, None, incoming(method))
    assert got.frame(b"ab") + got.end() == b""
    assert b"transfer-encoding" not in got.head
    assert got.keep_alive


def test_a_remembered_head_says_what_a_fresh_one_says() -> None:
    """Equal headers may be one object; method, target, origin and length are each request's own."""
    headers = ((b"x-a", b"1"), (b"x-b", b"2"))
    heads = RequestHeads()
    other = Forward(Origin("http", "127.0.0.1", 9), "POST", "/v1/x", headers, b"")
    asked = [forward("POST", "/v1/x", headers), forward("GET", "/v1/x", headers), forward("POST", "/v1/y", headers), other]
    for one in asked * 2:
        for length in (5, 0, None, CHUNKED):
            assert heads.write(one, length) == request_head(one, length)


def test_many_headers_are_not_remembered_for_ever_and_none_for_another() -> None:
    """A tuple that takes the place of a freed one is not mistaken for it."""
    heads = RequestHeads()
    for number in range(1000):
        one = forward(headers=((b"x-a", b"%d" % number),))
        assert b"x-a: %d\r\n" % number in heads.write(one, 1)
