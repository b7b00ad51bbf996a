"""One attempt to have a provider answer one request: what the pool, a connection and the listener share of it.

Rules:
1. The listener hears `receive_upstream` until `ended`, or `upstream_failed` once, and nothing after either or after `cancel`.
2. Cancelling closes the connection: bytes of an answer that nobody reads must not meet the next request.
3. A request is sent a second time only where the first cannot have had an effect: on a reused connection that died before any
   byte of an answer, once, with a method that is safe (RFC 9110 section 9.2.1) and a body that is still here.
   A POST is never repeated: whether the provider began to work on it cannot be known, and tokens cost money.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from llmcp.core.http import Headers
from llmcp.runtime.render import LAST_CHUNK, chunk

if TYPE_CHECKING:
    import asyncio

    from llmcp.core.http import Origin, Timeouts
    from llmcp.ports import RefusalKind
    from llmcp.runtime.upstream_connection import UpstreamConnection

type ResponseHead = tuple[int, Headers]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class UpstreamListener(Protocol):
    """Who waits for the answer. Never called from inside `UpstreamPool.send`."""

    def upstream_ready(self) -> None:
        """Learn that the request's head went out: a streamed body may follow now."""

    def upstream_blocked(self, *, blocked: bool) -> None:
        """Learn that the provider reads slower than the body comes, or that it caught up."""

    def receive_upstream(self, head: ResponseHead | None, data: bytes, *, ended: bool) -> None:
        """Take what one read of the socket brought."""

    def upstream_failed(self, kind: RefusalKind, why: str) -> None:
        """Learn that there will be no (further) answer."""


class UpstreamCall:
    """A request on its way. `streamed`: the body comes through `send_body`, in chunks if `chunked`."""

    __slots__ = (
        "chunked",
        "connection",
        "listener",
        "method",
        "origin",
        "paused",
        "pieces",
        "retried",
        "sent_all",
        "streamed",
        "task",
        "timeouts",
    )

    def __init__(self, listener: UpstreamListener, method: str, origin: Origin, timeouts: Timeouts) -> None:
        self.listener: UpstreamListener | None = listener
        self.method = method
        self.origin = origin
        self.timeouts = timeouts
        self.pieces: tuple[bytes, ...] = ()
        self.streamed = False
        self.chunked = False
        self.sent_all = True
        self.retried = False
        self.paused = False
        self.connection: UpstreamConnection | None = None
        self.task: asyncio.Task[None] | None = None

    def repeatable(self) -> bool:
        """Tell whether rule 3 lets the request be sent again (given that the connection was a reused, silent one)."""
        return not self.retried and not self.streamed and self.method in _SAFE_METHODS

    def send_body(self, data: bytes) -> None:
        """Send a piece of a streamed body."""
        if self.connection is not None and data:
            self.connection.write(chunk(data) if self.chunked else data)

    def end_body(self) -> None:
        """Say that the streamed body is complete."""
        self.sent_all = True
        if self.connection is not None:
            if self.chunked:
                self.connection.write(LAST_CHUNK)
            self.connection.request_sent()

    def pause(self) -> None:
        """Stop reading the answer: the client does not keep up."""
        if not self.paused:
            self.paused = True
            if self.connection is not None:
                self.connection.pause()

    def resume(self) -> None:
        """Read on."""
        if self.paused:
            self.paused = False
            if self.connection is not None:
                self.connection.resume()

    def cancel(self) -> None:
        """Give up: nothing more is told to the listener."""
        self.listener = None
        if self.task is not None:
            self.task.cancel()
            self.task = None
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.abort()
