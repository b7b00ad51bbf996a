"""Writes HTTP/1.1 heads, bodies in chunks, and the gateway's own short answers.

Rules:
1. Framing and connection headers are the shell's alone: what the engine says of them is left out.
2. A head with a line break or a NUL inside a value is never written: `ValueError`, which the caller treats as a bug.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from llmcp.core.http import Forward, Headers, Respond, header
from llmcp.runtime.http1 import CHUNKED

if TYPE_CHECKING:
    from llmcp.core.http import Origin
    from llmcp.runtime.http1 import HttpRefusalError

LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BODILESS = frozenset({204, 304})

_SHELL_OWNS = frozenset({b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"proxy-connection", b"expect"})
_STATUS_LINES = {s.value: b"HTTP/1.1 %d %b\r\n" % (s.value, s.phrase.encode("ascii")) for s in HTTPStatus}
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_TARGET = re.compile(r"[!-~]+")
_METHOD = re.compile(r"[A-Z-]+")
_REMEMBERED = 128
_ERROR_TYPES = {408: "timeout_error", 503: "api_error"}


def chunk(data: bytes) -> bytes:
    """Return `data` (not empty) as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _header_block(headers: Headers) -> bytes:
    lines = [b": ".join(pair) for pair in headers if pair[0] not in _SHELL_OWNS]
    if not lines:
        return b""
    block = b"\r\n".join(lines)
    breaks = len(lines) - 1
    if block.count(b"\n") != breaks or block.count(b"\r") != breaks or b"\0" in block:
        msg = "a header with a line break or a NUL was to be written"
        raise ValueError(msg)
    return block + b"\r\n"


def response_head(status: int, headers: Headers, *, framing: bytes, close: bool, date: bytes) -> bytes:
    """Return a response's head. `framing` is the finished header line (`content-length: …` with CR LF), or nothing."""
    line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status
    dated = b"" if header(headers, b"date") else date
    return b"".join((line, _header_block(headers), dated, framing, b"connection: close\r\n\r\n" if close else b"\r\n"))


def respond_bytes(respond: Respond, *, head_only: bool, close: bool, date: bytes) -> bytes:
    """Return a whole answer. `head_only`: the request was HEAD, so the body is named but not sent."""
    bodiless = respond.status in BODILESS
    framing = b"" if bodiless else b"content-length: %d\r\n" % len(respond.body)
    head = response_head(respond.status, respond.headers, framing=framing, close=close, date=date)
    return head if head_only or bodiless else head + respond.body


def _request_framing(method: str, length: int | None) -> bytes:
    if length == CHUNKED:
        return b"transfer-encoding: chunked\r\n\r\n"
    if length or (length is not None and method in _BODY_METHODS):
        return b"content-length: %d\r\n\r\n" % length
    return b"\r\n"


def _request_part(forward: Forward) -> bytes:
    """Return the request line and the headers: all but the framing."""
    if _TARGET.fullmatch(forward.target) is None or _METHOD.fullmatch(forward.method) is None:
        msg = "a request line with a space or a control byte was to be written"
        raise ValueError(msg)
    line = f"{forward.method} {forward.target} HTTP/1.1\r\n".encode("ascii")
    host = b"" if header(forward.headers, b"host") else b"host: %b\r\n" % forward.origin.authority().encode("ascii")
    return b"".join((line, host, _header_block(forward.headers)))


class RequestHeads:
    """Writes the heads of upstream requests, and remembers.

    The engine hands out one tuple for all requests with equal headers: that object is what a head is known by.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        # By the tuple's identity; the entry keeps it alive, so no other tuple can get its number.
        self._known: dict[int, tuple[Headers, str, str, Origin, bytes]] = {}

    def write(self, forward: Forward, length: int | None) -> bytes:
        """Return the head of the upstream request. `length` is the body's size, `CHUNKED`, or None where there is no body.

        Raises: ValueError (rule 2).
        """
        headers, method, target, origin = forward.headers, forward.method, forward.target, forward.origin
        known = self._known.get(id(headers))
        if known is not None and known[0] is headers and (known[1], known[2], known[3]) == (method, target, origin):
            return known[4] + _request_framing(method, length)
        part = _request_part(forward)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[id(headers)] = (headers, method, target, origin, part)
        return part + _request_framing(method, length)


def own_answer(status: int, message: str, code: str) -> Respond:
    """Return an answer of the shell itself, for requests that reach no dialect."""
    kind = _ERROR_TYPES.get(status, "invalid_request_error")
    body = msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": code}})
    headers: Headers = ((b"content-type", b"application/json"),)
    if status == HTTPStatus.UPGRADE_REQUIRED:
        headers += ((b"upgrade", b"HTTP/1.1"),)
    return Respond(status, headers, body)


def refusal_answer(refusal: HttpRefusalError) -> Respond:
    """Return the answer to a request that was refused by its form."""
    return own_answer(refusal.status, f"llmcp: {refusal.what}", refusal.code)
