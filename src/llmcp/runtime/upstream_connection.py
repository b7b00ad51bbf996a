"""One keep-alive connection to a provider: writes requests, reads answers with httptools, watches its deadlines.

Rules:
1. An answer is framed by its status, by one `content-length` of digits, by `transfer-encoding: chunked` and nothing else, or by
   the connection's end; whatever says two of these is invalid, never guessed at.
2. Bytes that nobody asked for (after an answer, or while idle) make the connection unfit for another request.
3. Interim answers (1xx) are dropped and counted; a switch of protocols is invalid.
4. One read of the socket is one call of the listener, however many chunks it held.
5. Deadlines are looked at by the pool's tick, never by a timer of their own. While the client is slow to read none but the
   total runs; the first byte is waited for from the moment the request was sent whole.
"""

from __future__ import annotations

import asyncio
import select
import socket
from typing import TYPE_CHECKING, cast

import httptools

from llmcp.ports import RefusalKind
from llmcp.runtime.render import BODILESS

if TYPE_CHECKING:
    from llmcp.core.http import Origin
    from llmcp.runtime.upstream import UpstreamPool
    from llmcp.runtime.upstream_call import ResponseHead, UpstreamCall

_INTERIM_MAX = 16
_LENGTH_DIGITS_MAX = 18
_HEAD_TOO_LARGE = "its headers are too large"
_FIRST_FINAL_STATUS = 200


class _InvalidResponseError(Exception):
    """Raised inside a parser callback; its words reach the client."""


class UpstreamConnection(asyncio.Protocol):
    """See the module's rules. `call` is the request in work, None while idle."""

    def __init__(self, pool: UpstreamPool, origin: Origin) -> None:
        self.origin = origin
        self.call: UpstreamCall | None = None
        self.idle_since = 0.0
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._reused = False
        self._reading_paused = False
        self._write_paused = False
        self._until_close = False
        self._started_at = 0.0
        self._quiet_since = 0.0
        self._heard = False
        self._silent = True
        self._reset()

    def _reset(self) -> None:
        """Forget the last answer."""
        self._head: ResponseHead | None = None
        self._fresh_head: ResponseHead | None = None
        self._keep_alive = False
        self._head_bytes = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._interims = 0
        self._interim = False
        self._bodiless = False
        self._done = False
        self._excess = False
        self._until_close = False

    # --- the pool's side

    def begin(self, call: UpstreamCall, now: float) -> None:
        """Send `call`'s head (and body, where it is known) in one write."""
        self.call = call
        call.connection = self
        self._started_at = self._quiet_since = now
        self._heard = False
        self._silent = True
        transport = self._transport
        if transport is None:
            return
        if len(call.pieces) == 1:
            transport.write(call.pieces[0])
        else:
            transport.writelines(call.pieces)
        if call.paused:
            self.pause()

    def fit(self) -> bool:
        """Tell whether an idle connection is still good: open, and nothing to read (an end or bytes nobody asked for)."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and (self._poll is None or not self._poll.poll(0))

    def tick(self, now: float) -> None:
        """Look at the deadlines of the call in work."""
        call = self.call
        if call is None:
            return
        limits = call.timeouts
        if limits.total_s and now - self._started_at > limits.total_s:
            self._fail(RefusalKind.UPSTREAM_TIMEOUT, f"the provider took longer than {limits.total_s:g} s in all")
            return
        if self._heard and self._head is not None:
            self._heard = False
            self._quiet_since = now
        if self._reading_paused or (not call.sent_all and not self._write_paused):
            self._quiet_since = now
            return
        quiet = now - self._quiet_since
        if self._head is not None or not call.sent_all:
            if limits.idle_s and quiet > limits.idle_s:
                self._fail(RefusalKind.UPSTREAM_TIMEOUT, f"the provider was silent for {limits.idle_s:g} s in mid-exchange")
        elif limits.first_byte_s and quiet > limits.first_byte_s:
            self._fail(RefusalKind.UPSTREAM_TIMEOUT, f"the provider did not begin to answer within {limits.first_byte_s:g} s")

    # --- the call's side

    def write(self, data: bytes) -> None:
        """Write a piece of a streamed body."""
        if self._transport is not None:
            self._transport.write(data)

    def request_sent(self) -> None:
        """Start the clock of the first byte: the streamed body is complete."""
        self._quiet_since = self._pool.now()

    def pause(self) -> None:
        """Stop reading."""
        if self._transport is not None and not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and self._reading_paused:
            self._reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def abort(self) -> None:
        """Close without a word to the call."""
        self.call = None
        self._pool.forget(self)
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and a poll object to look at the socket before it is used again."""
        # A cast, not a check: uvloop's transports are no subclass.
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(sock.fileno(), select.POLLIN)
            if hasattr(socket, "SO_KEEPALIVE"):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Parse, then tell the listener once."""
        call = self.call
        if call is None or self._parser is None:
            self.abort()
            return
        self._heard = True
        self._silent = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._invalid("it switched protocols")
            return
        except httptools.HttpParserError as exc:
            cause = exc.__context__
            if not self._done:
                self._invalid(str(cause) if isinstance(cause, _InvalidResponseError) else str(exc))
                return
            self._excess = True
        if self._head is not None:
            self._deliver(call)
            return
        self._head_bytes += len(data)
        if self._head_bytes > self._pool.header_bytes:
            self._invalid(_HEAD_TOO_LARGE)

    def _deliver(self, call: UpstreamCall) -> None:
        """Hand over what was parsed; give the connection back first, so that the next request may have it."""
        listener = call.listener
        pieces = self._pieces
        body = b"" if not pieces else pieces[0] if len(pieces) == 1 else b"".join(pieces)
        head, ended = self._fresh_head, self._done
        self._fresh_head = None
        self._pieces = []
        if ended:
            self._release(call)
        if listener is not None and (body or ended or head is not None):
            listener.receive_upstream(head, body, ended=ended)

    def _release(self, call: UpstreamCall) -> None:
        """End the call; keep the connection where it can carry another."""
        call.listener = None
        call.connection = None
        self.call = None
        reusable = (
            self._keep_alive
            and not self._excess
            and call.sent_all
            and self._transport is not None
            and not self._transport.is_closing()
        )
        if not reusable:
            self.abort()
            return
        if self._bodiless:
            # llhttp would wait for the body that the headers announce.
            self._parser = httptools.HttpResponseParser(self)
        self._reset()
        self._reused = True
        self.resume()
        self._pool.give_back(self)

    def pause_writing(self) -> None:
        """Tell the uploader to wait."""
        self._write_paused = True
        self._quiet_since = self._pool.now()
        if self.call is not None and self.call.listener is not None:
            self.call.listener.upstream_blocked(blocked=True)

    def resume_writing(self) -> None:
        """Let the uploader go on."""
        self._write_paused = False
        if self.call is not None and self.call.listener is not None:
            self.call.listener.upstream_blocked(blocked=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Find out what the end means for the call in work."""
        call, self.call = self.call, None
        self._parser = None
        self._transport = None
        self._pool.forget(self)
        if call is None or call.listener is None:
            return
        call.connection = None
        if self._until_close and exc is None:
            listener, call.listener = call.listener, None
            listener.receive_upstream(None, b"", ended=True)
        elif self._reused and self._silent and call.repeatable():
            self._pool.repeat(call)
        else:
            when = "in the middle of its answer" if self._head is not None else "before it answered"
            self._tell(call, RefusalKind.UPSTREAM_FAILED, f"the provider closed the connection {when}")

    # --- httptools' side

    def on_message_begin(self) -> None:
        """Notice bytes behind the answer."""
        if self._done:
            self._excess = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; trailers are counted and dropped."""
        if self._head is None:
            self._headers.append((name.lower(), value))
            return
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > self._pool.header_bytes:
            raise _InvalidResponseError(_HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Decide how the body is framed."""
        call, parser = self.call, self._parser
        if self._done or call is None or parser is None:
            return
        status = parser.get_status_code()
        if status < _FIRST_FINAL_STATUS:
            self._interims += 1
            if status == 101 or status < 100 or self._interims > _INTERIM_MAX:  # noqa: PLR2004  # RFC 9110 section 15.2
                msg = "its interim answers are not understood"
                raise _InvalidResponseError(msg)
            self._interim = True
            self._headers = []
            return
        until_close = _read_framing(self._headers, parser.get_http_version(), self._pool.header_bytes)
        self._head = self._fresh_head = (status, tuple(self._headers))
        self._keep_alive = parser.should_keep_alive()
        self._bodiless = call.method == "HEAD" or status in BODILESS
        if self._bodiless:
            self._done = True
        else:
            self._until_close = until_close

    def on_body(self, body: bytes) -> None:
        """Collect a piece of the body."""
        if self._done:
            self._excess = True
        else:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """Note the end, of an interim answer or of the answer."""
        if self._interim:
            self._interim = False
        else:
            self._done = True

    # --- ends

    def _invalid(self, why: str) -> None:
        self._fail(RefusalKind.UPSTREAM_FAILED, f"the provider's answer is not valid HTTP: {why}")

    def _fail(self, kind: RefusalKind, why: str) -> None:
        call = self.call
        self.abort()
        if call is not None:
            call.connection = None
            self._tell(call, kind, why)

    @staticmethod
    def _tell(call: UpstreamCall, kind: RefusalKind, why: str) -> None:
        listener, call.listener = call.listener, None
        if listener is not None:
            listener.upstream_failed(kind, why)


def _read_framing(headers: list[tuple[bytes, bytes]], version: str, limit: int) -> bool:
    """Check an answer's size and framing headers; tell whether its body lasts until the connection closes."""
    if version not in {"1.0", "1.1"}:
        msg = "its version is not HTTP/1.1"
        raise _InvalidResponseError(msg)
    said = size = 0
    for name, value in headers:
        size += len(name) + len(value)
        if name == b"content-length":
            said += 1
            length = value.rstrip(b" \t")
            if not length.isdigit() or len(length) > _LENGTH_DIGITS_MAX:
                msg = "its content-length is malformed"
                raise _InvalidResponseError(msg)
        elif name == b"transfer-encoding":
            said += 1
            if value.rstrip(b" \t").lower() != b"chunked" or version != "1.1":
                msg = "its transfer-encoding is not known here"
                raise _InvalidResponseError(msg)
    if said > 1:
        msg = "its length is said more than once"
        raise _InvalidResponseError(msg)
    if size > limit:
        raise _InvalidResponseError(_HEAD_TOO_LARGE)
    return not said
