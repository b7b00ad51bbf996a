"""Request heads: what is taken, what is refused and how, and that both parsers are asked."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.runtime.http1 import CHUNKED, HeadReader, HttpRefusalError, IncomingRequest, check_partial

LINE = b"POST /v1/x?y=1 HTTP/1.1\r\n"
HOST = b"Host: localhost:8900\r\n"
LIMIT = 4096


def read(raw: bytes) -> IncomingRequest:
    """Read one head as the first of a connection."""
    return HeadReader("127.0.0.1").read(raw)


def refusal(raw: bytes) -> HttpRefusalError:
    """Return why `raw` is refused."""
    with pytest.raises(HttpRefusalError) as caught:
        read(raw)
    return caught.value


def test_a_plain_head_is_read_with_lower_case_names_and_values_as_sent() -> None:
    """Names are lowered, order and repetition stay, white space round a value goes."""
    got = read(LINE + HOST + b"X-A:  One, two \r\nx-a:\tThree\r\nX-Empty:\r\n\r\n")
    assert (got.head.method, got.head.target, got.minor, got.length) == ("POST", "/v1/x?y=1", 1, 0)
    assert got.head.headers == (
        (b"host", b"localhost:8900"),
        (b"x-a", b"One, two"),
        (b"x-a", b"Three"),
        (b"x-empty", b""),
    )
    assert got.head.client_ip == "127.0.0.1"
    assert got.keep_alive
    assert not got.upgrade


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        (b"", 0),
        (b"content-length: 0\r\n", 0),
        (b"Content-Length: 12\r\n", 12),
        (b"Transfer-Encoding: chunked\r\n", CHUNKED),
        (b"transfer-encoding: CHUNKED\r\n", CHUNKED),
    ],
)
def test_the_body_is_framed_by_its_one_length(lines: bytes, length: int) -> None:
    """No header, a length, or chunks."""
    assert read(LINE + HOST + lines + b"\r\n").length == length


SMUGGLING = {
    "both lengths": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "both lengths, other way round": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "two different lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "the same length twice": b"Content-Length: 5\r\nContent-Length: 5\r\n",
    "a list of lengths": b"Content-Length: 5, 5\r\n",
    "a signed length": b"Content-Length: +5\r\n",
    "a negative length": b"Content-Length: -5\r\n",
    "a hexadecimal length": b"Content-Length: 0x5\r\n",
    "an empty length": b"Content-Length:\r\n",
    "a length with a space": b"Content-Length: 1 2\r\n",
    "a huge length": b"Content-Length: 99999999999999999999\r\n",
    "a coding before chunked": b"Transfer-Encoding: gzip, chunked\r\n",
    "a coding after chunked": b"Transfer-Encoding: chunked, identity\r\n",
    "chunked twice in a line": b"Transfer-Encoding: chunked, chunked\r\n",
    "chunked in two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "identity": b"Transfer-Encoding: identity\r\n",
    "a vertical tab before chunked": b"Transfer-Encoding: \x0bchunked\r\n",
    "chunked in quotes": b'Transfer-Encoding: "chunked"\r\n',
    "an empty coding": b"Transfer-Encoding:\r\n",
    "a parameter on chunked": b"Transfer-Encoding: chunked;q=1\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\n",
    "a folded line": b"X-A: one\r\n two\r\n",
    "a folded line with a tab": b"X-A: one\r\n\ttwo\r\n",
    "a folded coding": b"Transfer-Encoding:\r\n chunked\r\n",
    "a bare LF": b"X-A: one\nX-B: two\r\n",
    "a bare CR": b"X-A: one\rX-B: two\r\n",
    "a CR before the end": b"X-A: one\r\r\n",
    "a NUL in a value": b"X-A: o\0ne\r\n",
    "a NUL in a name": b"X\0A: one\r\n",
    "a control byte in a value": b"X-A: o\x01ne\r\n",
    "a DEL in a value": b"X-A: o\x7fne\r\n",
    "an empty name": b": one\r\n",
    "no colon": b"X-A\r\n",
    "a name with a bracket": b"X(A): one\r\n",
    "a name with a high byte": b"X\xc3\xa4: one\r\n",
    "a second host": b"Host: other\r\n",
    "a line of spaces": b"   \r\n",
}


@pytest.mark.parametrize("lines", SMUGGLING.values(), ids=SMUGGLING)
def test_what_two_parsers_could_read_differently_is_refused(lines: bytes) -> None:
    """Each input of the smuggling table is a 400, before and behind the host line, and when its lines are known one by one."""
    assert refusal(LINE + HOST + lines + b"\r\n").status == 400
    assert refusal(LINE + lines + HOST + b"\r\n").status == 400
    warm = HeadReader()
    for line in lines.split(b"\r\n"):
        try:
            warm.read(LINE + HOST + line + b"\r\n\r\n")
        except HttpRefusalError:
            continue
    with pytest.raises(HttpRefusalError):
        warm.read(LINE + HOST + lines + b"\r\n")


FIRST_LINES = {
    "no version": (b"GET /", 400),
    "HTTP/2": (b"GET / HTTP/2.0", 400),
    "the HTTP/2 preface": (b"PRI * HTTP/2.0", 400),
    "HTTP/1.2": (b"GET / HTTP/1.2", 400),
    "a lower-case version": (b"GET / http/1.1", 400),
    "two spaces": (b"GET  / HTTP/1.1", 400),
    "a tab": (b"GET\t/ HTTP/1.1", 400),
    "a space in front": (b" GET / HTTP/1.1", 400),
    "a space behind": (b"GET / HTTP/1.1 ", 400),
    "a space in the target": (b"GET /a b HTTP/1.1", 400),
    "absolute form": (b"GET http://example.com/ HTTP/1.1", 400),
    "authority form": (b"CONNECT example.com:443 HTTP/1.1", 400),
    "a star for GET": (b"GET * HTTP/1.1", 400),
    "a relative target": (b"GET index.html HTTP/1.1", 400),
    "a fragment": (b"GET /a#b HTTP/1.1", 400),
    "a raw high byte": (b"GET /\xc3\xa4 HTTP/1.1", 400),
    "a NUL": (b"GET /\0 HTTP/1.1", 400),
    "a method that is no token": (b"GE(T / HTTP/1.1", 400),
    "an unknown method": (b"FETCH / HTTP/1.1", 501),
    "a method that shows what was sent": (b"TRACE / HTTP/1.1", 501),
    "a tunnel by a path": (b"CONNECT /v1/x HTTP/1.1", 501),
    "a method of other servers": (b"PROPFIND / HTTP/1.1", 501),
    "a lower-case method": (b"get / HTTP/1.1", 501),
    "a long target": (b"GET /" + b"a" * 17000 + b" HTTP/1.1", 414),
}


@pytest.mark.parametrize(("line", "status"), FIRST_LINES.values(), ids=FIRST_LINES)
def test_a_request_line_that_is_not_exact_is_refused(line: bytes, status: int) -> None:
    """The table of request lines."""
    assert refusal(line + b"\r\n" + HOST + b"\r\n").status == status


@pytest.mark.parametrize("value", [b"", b"a b", b"a/b", b"\xc3\xa4", b"a@b", b"x" * 300])
def test_a_host_that_is_no_authority_is_refused(value: bytes) -> None:
    """Empty, with a path, with user information, too long."""
    assert refusal(LINE + b"Host: " + value + b"\r\n\r\n").status == 400


def test_http_1_1_needs_a_host_and_http_1_0_does_not() -> None:
    """RFC 9112 section 3.2."""
    assert refusal(b"GET / HTTP/1.1\r\n\r\n").status == 400
    old = read(b"GET / HTTP/1.0\r\n\r\n")
    assert (old.minor, old.keep_alive) == (0, False)
    assert refusal(b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n").status == 400


def test_http_1_0_knows_no_chunks() -> None:
    """A transfer coding in HTTP/1.0 is read in two ways in the wild."""
    assert refusal(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").status == 400


def test_only_the_expectation_of_a_continue_is_known() -> None:
    """Any other is 417; without a body there is nothing to continue with."""
    assert read(LINE + HOST + b"Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n").expects_continue
    assert not read(LINE + HOST + b"Expect: 100-continue\r\n\r\n").expects_continue
    assert refusal(LINE + HOST + b"Expect: 200-ok\r\n\r\n").status == 417


@pytest.mark.parametrize(
    ("value", "upgrade"), [(b"websocket", True), (b"h2c", False), (b"h2c, websocket", True), (b"TLS/1.0", True)]
)
def test_an_upgrade_is_noticed_but_for_h2c(value: bytes, upgrade: bool) -> None:
    """An offer of h2c is ignored, as HTTP demands."""
    lines = b"Connection: Upgrade\r\nUpgrade: " + value + b"\r\n\r\n"
    assert read(LINE + HOST + lines).upgrade is upgrade


def test_close_is_found_among_connection_options() -> None:
    """Options are a list without case."""
    assert not read(LINE + HOST + b"Connection: foo, Close\r\n\r\n").keep_alive
    assert read(LINE + HOST + b"Connection: keep-alive\r\n\r\n").keep_alive


def test_too_many_header_lines_are_431() -> None:
    """A bound of its own: many tiny lines stay below the bound in bytes."""
    assert refusal(LINE + HOST + b"a:\r\n" * 300 + b"\r\n").status == 431
    assert len(read(LINE + HOST + b"".join(b"a%d:\r\n" % n for n in range(200)) + b"\r\n").head.headers) == 201


def test_a_head_that_grows_too_large_is_431_before_it_is_complete() -> None:
    """Nothing is collected beyond the limit."""
    check_partial(LINE + b"X: " + b"a" * 100, LIMIT)
    with pytest.raises(HttpRefusalError) as caught:
        check_partial(LINE + b"X: " + b"a" * LIMIT, LIMIT)
    assert caught.value.status == 431


@pytest.mark.parametrize(
    "part",
    [
        b"GET /\r\n",
        b"GET / HTTP/1.1\nHost",
        b"GET / HTTP/1.1\rHost",
        b"\x16\x03\x01\x02\x00",
        b"\r\n\r\n",
        b"{",
        b"PRI * HTTP/2.0\r\n",
        b"A" * 40,
    ],
)
def test_what_cannot_become_good_is_refused_before_it_is_complete(part: bytes) -> None:
    """HTTP/0.9, bare line ends, a TLS hello, the HTTP/2 preface: nobody waits for a timeout."""
    with pytest.raises(HttpRefusalError):
        check_partial(part, LIMIT)


_GOOD = LINE + HOST + b"X-A: one\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n"


@given(st.integers(1, len(_GOOD) - 1))
def test_no_beginning_of_a_good_head_is_refused(cut: int) -> None:
    """The early check never refuses what the whole would pass."""
    check_partial(_GOOD[:cut], LIMIT)


_NAMES = st.text("abcXYZ-_~!", min_size=1, max_size=12).map(str.encode)
_VALUES = st.binary(max_size=20).map(lambda b: bytes(c for c in b if c >= 0x20 and c != 0x7F))


@settings(max_examples=100)
@given(st.lists(st.lists(st.tuples(_NAMES, _VALUES), max_size=8), min_size=1, max_size=4))
def test_known_lines_change_nothing(heads: list[list[tuple[bytes, bytes]]]) -> None:
    """A reader that has seen other heads reads each as a fresh one does."""
    reused = HeadReader()
    for pairs in heads:
        raw = LINE + HOST + b"".join(b"%b:%b\r\n" % pair for pair in pairs) + b"\r\n"
        assert reused.read(raw) == HeadReader().read(raw)


@settings(max_examples=200)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_hostile_bytes_are_a_request_or_a_refusal(first: bytes, second: bytes) -> None:
    """No other exception comes out."""
    for raw in (first + b"\r\n\r\n", LINE + first + second + b"\r\n\r\n", LINE + HOST + second + b"\r\n\r\n"):
        with contextlib.suppress(HttpRefusalError):
            read(raw)
            check_partial(raw[:-2], LIMIT)


def test_a_head_that_repeats_the_last_one_is_read_the_same_and_its_expectation_anew() -> None:
    """What the last turn struck off its request must not be missing from the next one."""
    reader = HeadReader("127.0.0.1")
    plain = LINE + HOST + b"content-length: 3\r\n\r\n"
    expecting = LINE + HOST + b"content-length: 3\r\nexpect: 100-continue\r\n\r\n"
    for raw in (plain, plain, expecting, expecting, plain):
        got = reader.read(raw)
        assert got == read(raw)
        got.expects_continue = False
