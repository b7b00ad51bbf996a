"""Reads HTTP/1.1 request heads: an own strict pass over the bytes, then httptools (llhttp). Both must accept.

Owns what a client may send as a head and how its body is framed; sockets, limits in time and answers live elsewhere.

Rules:
1. One grammar for the whole head, exact: single spaces, CRLF line ends, token names, no folded lines, no control bytes.
2. The body's length is said once: one `content-length` of digits only, or `transfer-encoding: chunked` and nothing else.
3. One `host`, an origin-form target (`*` for OPTIONS alone): the gateway is no forward proxy.
4. A head that can never become good is refused before it is complete.
5. Only methods that providers have are served: TRACE would have an upstream show the stored credential that went along.
6. A refusal says what is wrong with the form, and never repeats the bytes.

Source: RFC 9112 sections 2.2, 3, 5, 6, 11.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import httptools

from llmcp.core.http import RequestHead
from llmcp.errors import LlmcpError

CHUNKED = -1
"""`IncomingRequest.length` of a body whose length is not known beforehand."""

# A request line longer than this is 414: no provider's path comes near it.
_TARGET_MAX = 16384
_METHOD_MAX = 32
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# llhttp has no bound of its own; 256 is twice what any SDK sends.
_HEADERS_MAX = 256
_LENGTH_DIGITS_MAX = 18
_KNOWN_MAX = 64

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]"
_HEADER_LINE = re.compile(_TOKEN + rb"++:" + _VALUE + rb"*+")
# Possessive quantifiers: linear time whatever the bytes.
_HEAD = re.compile(
    rb"(" + _TOKEN + rb"{1,%d}+) ([!-\"$-~]{1,%d}+) HTTP/1\.([01])\r\n" % (_METHOD_MAX, _TARGET_MAX)
    + rb"(?:" + _TOKEN + rb"++:" + _VALUE + rb"*+\r\n)*+\r\n",
)  # fmt: skip
_PARTIAL_LINE = re.compile(_TOKEN + rb"{1,%d}+(?: |\Z)" % _METHOD_MAX)
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb"{1,%d}+) ([!-\"$-~]++) HTTP/1\.[01]" % _METHOD_MAX)
# No comma: a repeated host would pass as one.
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+;=\-\[\]:]{1,255}")
_SPECIAL = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"})

_CRLF_WORDS = "lines of a request must end in CR LF"


class HttpRefusalError(LlmcpError):
    """A request that is refused before any dialect sees it. `status` is the HTTP status; the connection closes after it."""

    exit_code = 1
    default_code = "llmcp_bad_request"

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


@dataclass(slots=True)
class IncomingRequest:
    """A head that passed every rule. `length` is the body's size in bytes (0: none) or `CHUNKED`; `minor` is 0 for HTTP/1.0."""

    head: RequestHead
    minor: int
    length: int
    keep_alive: bool
    expects_continue: bool
    upgrade: bool


class _Callbacks:
    """What llhttp reports."""

    __slots__ = ("headers", "url")

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.url = b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))


class HeadReader:
    """Reads the heads of one connection.

    A client repeats most of its lines from request to request: those that both parsers accepted once are known by their bytes,
    and a head that repeats the last one whole is that one.
    """

    __slots__ = ("_client_ip", "_known", "_last", "_line", "_raw", "_request_line")

    def __init__(self, client_ip: str = "") -> None:
        self._client_ip = client_ip
        self._known: dict[bytes, tuple[bytes, bytes]] = {}
        self._line = b""
        self._request_line = ("", "", 1)
        self._raw = b""
        self._last: IncomingRequest | None = None

    def read(self, raw: bytes) -> IncomingRequest:
        """Read a whole head, its empty line included.

        Raises: HttpRefusalError with the status to answer.
        """
        last = self._last
        if last is not None and raw == self._raw:
            return last
        first, *lines = raw[:-4].split(b"\r\n")
        known = self._known
        try:
            if first != self._line:
                self._learn(first, lines)
            headers = tuple(map(known.__getitem__, lines))
        except KeyError:
            self._learn(first, lines)
            headers = tuple(map(known.__getitem__, lines))
        if len(known) > _KNOWN_MAX:
            known.clear()
        method, target, minor = self._request_line
        request = _frame(RequestHead(method, target, headers, self._client_ip), minor)
        # The expectation is struck off once it is met, so such a request is not the same twice.
        self._raw, self._last = (b"", None) if request.expects_continue else (raw, request)
        return request

    def _learn(self, first: bytes, lines: list[bytes]) -> None:
        """Let both parsers read the lines that are new, under the request line."""
        if len(lines) > _HEADERS_MAX:
            raise HttpRefusalError(431, f"the request has more than {_HEADERS_MAX} header lines")
        known = self._known
        fresh = [line for line in lines if line not in known]
        part = b"\r\n".join((first, *fresh, b"", b""))
        matched = _HEAD.fullmatch(part)
        if matched is None:
            raise _diagnose(first, fresh)
        callbacks = _Callbacks()
        try:
            httptools.HttpRequestParser(callbacks).feed_data(part)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserInvalidMethodError as exc:
            raise HttpRefusalError(501, "the request method is not known here") from exc
        except httptools.HttpParserError as exc:
            raise HttpRefusalError(400, f"the request head is malformed ({exc})") from exc
        if callbacks.url != matched[2] or len(callbacks.headers) != len(fresh):
            raise HttpRefusalError(400, "the request head can be read in more than one way")
        method, target = matched[1].decode("ascii"), matched[2].decode("ascii")
        if not (target.startswith("/") or (target == "*" and method == "OPTIONS")):
            raise HttpRefusalError(400, "the request target must be a path: this is a gateway, not a forward proxy")
        if method not in _METHODS:
            raise HttpRefusalError(501, "the request method is not served here")
        self._line = first
        self._request_line = (method, target, int(matched[3]))
        known.update(zip(fresh, callbacks.headers, strict=True))


def _frame(head: RequestHead, minor: int) -> IncomingRequest:
    """Read the headers that say where the body ends and what becomes of the connection."""
    special = [pair for pair in head.headers if pair[0] in _SPECIAL]
    said = dict(special)
    if len(said) != len(special):
        # A repeated header means the list of its values (RFC 9110 section 5.3); where one value is due the list is refused.
        said = {name: b",".join([value for key, value in special if key == name]) for name in said}
    host = said.get(b"host")
    if host is None:
        if minor:
            raise HttpRefusalError(400, "a request must have a host header")
    elif _HOST.fullmatch(host) is None:
        raise HttpRefusalError(400, "a request must have exactly one host header, and a valid one")
    length = _read_length(said.get(b"content-length"), said.get(b"transfer-encoding"), minor)
    connection = said.get(b"connection", b"")
    keep_alive = minor == 1 and (connection == b"keep-alive" or b"close" not in _tokens(connection))
    expect = said.get(b"expect")
    if expect is not None and expect.lower() != b"100-continue":
        raise HttpRefusalError(417, "only the expectation `100-continue` is known here")
    expects_continue = expect is not None and minor == 1 and length != 0
    upgrade = said.get(b"upgrade")
    upgrades = upgrade is not None and any(token != b"h2c" for token in _tokens(upgrade))
    return IncomingRequest(head, minor, length, keep_alive, expects_continue, upgrades)


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip(b" \t") for token in value.lower().split(b",")]


def _read_length(length: bytes | None, coding: bytes | None, minor: int) -> int:
    """Read the body's length out of its two headers' values."""
    if coding is not None:
        if length is not None:
            raise HttpRefusalError(400, "content-length and transfer-encoding must not stand together")
        if coding.lower() != b"chunked" or not minor:
            raise HttpRefusalError(400, "the only transfer-encoding known here is one `chunked`, in HTTP/1.1")
        return CHUNKED
    if length is None:
        return 0
    if not length.isdigit() or len(length) > _LENGTH_DIGITS_MAX:
        raise HttpRefusalError(400, "content-length must be one decimal number")
    return int(length)


def check_partial(part: bytes, limit: int) -> None:
    """Refuse a head that is not complete yet and cannot become good: too long, or wrong already in what is there.

    Raises: HttpRefusalError.
    """
    if len(part) > limit:
        raise HttpRefusalError(431, f"the request head is larger than {limit} bytes")
    if part == b"\r":
        return
    lines = part.count(b"\r\n")
    if part.count(b"\n") != lines or part.count(b"\r") - part.endswith(b"\r") != lines:
        raise HttpRefusalError(400, _CRLF_WORDS)
    first, ended, _ = part.partition(b"\r\n")
    if ended:
        _check_request_line(first)
    elif len(first) > _TARGET_MAX + _METHOD_MAX:
        raise HttpRefusalError(414, f"the request line is longer than {_TARGET_MAX} bytes")
    elif _PARTIAL_LINE.match(first) is None:
        raise HttpRefusalError(400, "this is not an HTTP/1.1 request")


def _check_request_line(line: bytes) -> None:
    matched = _REQUEST_LINE.fullmatch(line)
    if matched is None:
        raise HttpRefusalError(400, "the request line must be `METHOD /path HTTP/1.1`")
    if len(matched[2]) > _TARGET_MAX:
        raise HttpRefusalError(414, f"the request target is longer than {_TARGET_MAX} bytes")


def _diagnose(first: bytes, lines: list[bytes]) -> HttpRefusalError:
    """Find the words for a head that the grammar refused."""
    if any(b"\n" in line or b"\r" in line for line in (first, *lines)):
        return HttpRefusalError(400, _CRLF_WORDS)
    try:
        _check_request_line(first)
    except HttpRefusalError as exc:
        return exc
    if any(line[:1] in (b" ", b"\t") for line in lines):
        return HttpRefusalError(400, "a header value must not continue on a new line")
    if any(_HEADER_LINE.fullmatch(line) is None for line in lines):
        return HttpRefusalError(400, "a header line must be `name: value` without control bytes or a space before the colon")
    return HttpRefusalError(400, "the request head is malformed")
