"""The framing of one response to a client: length, chunks, or the connection's end.

Rules:
1. The body has the length that its head announced; more or less is `WrongStateError`, a bug of whoever lets the bytes go.
2. HEAD, 204 and 304 have no body, whatever is let go for them.
3. HTTP/1.0 knows no chunks: there the end of the connection ends the body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.errors import WrongStateError
from llmcp.runtime.render import BODILESS, LAST_CHUNK, chunk, response_head

if TYPE_CHECKING:
    from llmcp.core.http import ResponseStart
    from llmcp.runtime.http1 import IncomingRequest


class ClientResponse:
    """A response whose head is `head`. `left` counts the announced bytes still to come; -1: no length was announced."""

    __slots__ = ("bodiless", "chunked", "head", "keep_alive", "left")

    def __init__(self, start: ResponseStart, request: IncomingRequest, *, keep_alive: bool, date: bytes) -> None:
        length = start.content_length
        self.bodiless = request.head.method == "HEAD" or start.status in BODILESS
        self.chunked = not self.bodiless and length is None and request.minor > 0
        self.left = -1 if self.bodiless or length is None else length
        self.keep_alive = keep_alive and (self.bodiless or self.chunked or length is not None)
        framing = b""
        if self.chunked:
            framing = b"transfer-encoding: chunked\r\n"
        elif length is not None and start.status not in BODILESS:
            framing = b"content-length: %d\r\n" % length
        self.head = response_head(start.status, start.headers, framing=framing, close=not self.keep_alive, date=date)

    def frame(self, data: bytes) -> bytes:
        """Return `data` as it goes on the wire."""
        if not data or self.bodiless:
            return b""
        if self.chunked:
            return chunk(data)
        if self.left >= 0:
            if len(data) > self.left:
                msg = "more of a response was let go"
                raise WrongStateError(msg, why="than its announced length")
            self.left -= len(data)
        return data

    def end(self) -> bytes:
        """Return what ends the body on the wire."""
        if self.left > 0:
            msg = "less of a response was let go"
            raise WrongStateError(msg, why="than its announced length")
        return LAST_CHUNK if self.chunked else b""

    def can_end_early(self) -> bool:
        """Tell whether the body may end now without looking truncated."""
        return self.left <= 0

    def close_shows_break(self) -> bool:
        """Tell whether an orderly close in mid-body is seen as a truncation: without length or chunks it would look like the end."""
        return self.chunked or self.left > 0
