"""One client's connection: bytes into requests, one after the other, and its limits in size and time.

Owns parsing state, pipelining, half-closed clients and slow ones; what a request means is the turn's.

Rules:
1. One request is in work at a time. What a client pipelines behind it waits in a bounded buffer, then the socket is not read.
2. A client that ends its sending side still gets its answer. Whether it left altogether cannot be seen in that end, so it is
   probed with bytes that mean nothing to a living client; the reset they draw from a dead one cancels the provider.
3. Deadlines are looked at by the gateway's tick: the whole head, the pause between two pieces of a body, the pause between two
   requests, and a response that the client does not read.
4. A request that breaks the protocol is answered once and the connection ends; unread input is drained for a moment, because a
   reset would take the answer with it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from enum import Enum, auto
from typing import TYPE_CHECKING, cast

from llmcp.runtime.half_closed import HalfClosed
from llmcp.runtime.http1 import HeadReader, HttpRefusalError, check_partial
from llmcp.runtime.render import own_answer, refusal_answer, respond_bytes
from llmcp.runtime.request_body import RequestBody
from llmcp.runtime.turn import Turn

if TYPE_CHECKING:
    from llmcp.core.http import Respond
    from llmcp.runtime.gateway import Gateway
    from llmcp.runtime.http1 import IncomingRequest
    from llmcp.runtime.upstream import UpstreamPool

# Steps (a head, a piece of a body) taken from one client before the others have their turn.
_STEPS_MAX = 8
_LINGER_S = 2.0
# The form of SO_LINGER that makes a close a reset: on, for no time.
_RESET = struct.pack("ii", 1, 0)


class _Phase(Enum):
    """What the next bytes from the client are."""

    HEAD = auto()
    BODY = auto()
    COMPLETE = auto()  # a request is in work, the next one may wait in the buffer
    LINGER = auto()  # the last answer is written, input is dropped
    CLOSED = auto()


_ENDING = frozenset({_Phase.LINGER, _Phase.CLOSED})


class ClientConnection(asyncio.Protocol):
    """See the module's rules."""

    def __init__(self, gateway: Gateway) -> None:
        self.write_paused = False
        self._gateway = gateway
        self._transport: asyncio.Transport | None = None
        self._client_ip = ""
        self._phase = _Phase.HEAD
        self._buffer = b""
        self._scanned = 0
        self._heads = HeadReader()
        self._blank = False
        self._body = RequestBody(0)
        self._turn: Turn | None = None
        self._request: IncomingRequest | None = None
        self._served = False
        self._since = gateway.now
        self._pumping = False
        self._reading_paused = False
        self._eof = False
        self._unsent = 0
        self._unsent_since = 0.0

    # --- what the turn needs

    @property
    def pool(self) -> UpstreamPool:
        """The pool of provider connections."""
        return self._gateway.pool

    @property
    def date(self) -> bytes:
        """The `date` header line of now."""
        return self._gateway.date

    def report_bug(self, exc: Exception) -> None:
        """Tell the daemon's log."""
        self._gateway.on_bug(exc)

    def write(self, data: bytes) -> None:
        """Write to the client, unless it is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def may_persist(self) -> bool:
        """Tell whether the connection can carry another request after this one."""
        request = self._request
        if request is None or not request.keep_alive or self._gateway.draining or (self._eof and not self._buffer):
            return False
        if self._phase is not _Phase.BODY:
            return True
        return self._body.may_be_dropped() and not request.expects_continue

    def turn_done(self, *, close: bool) -> None:
        """Go on with the next request, or end."""
        self._turn = None
        self._served = True
        if self._transport is None or self._phase is _Phase.CLOSED:
            return
        if close or self._gateway.draining:
            self._linger(unread=self._phase is _Phase.BODY or bool(self._buffer))
            return
        if self._phase is _Phase.COMPLETE:
            self._next()
        self.pump()

    def _next(self) -> None:
        self._phase = _Phase.HEAD
        self._request = None
        self._since = self._gateway.now

    def break_off(self, *, reset: bool) -> None:
        """End the connection in the middle of a response; `reset` drops what is not sent yet and leaves no doubt."""
        self._turn = None
        self._phase = _Phase.CLOSED
        self._since = self._gateway.now
        transport = self._transport
        if transport is None:
            return
        if not reset:
            transport.close()
            return
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client, or say that there are too many."""
        # A cast, not a check: uvloop's transports are no subclass.
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._client_ip = str(peer[0]) if isinstance(peer, tuple) else ""
        self._heads = HeadReader(self._client_ip)
        admitted = self._gateway.admit(self)
        # Only now is the gateway's clock right: it stands still while nobody is connected.
        self._since = self._gateway.now
        if not admitted:
            self._answer(own_answer(503, "llmcp: too many connections", "llmcp_unavailable"), close=True)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's form
        """Tell the turn that nobody reads any more."""
        self._phase = _Phase.CLOSED
        self._transport = None
        self._buffer = b""
        self._gateway.forget(self)
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.abandon()

    def data_received(self, data: bytes) -> None:
        """Take bytes in."""
        phase = self._phase
        if phase is _Phase.LINGER or phase is _Phase.CLOSED:
            return
        if phase is _Phase.BODY or not self._buffer:
            self._since = self._gateway.now
        self._buffer = self._buffer + data if self._buffer else data
        self.pump()

    def eof_received(self) -> bool:
        """Keep the sending side open where an answer is owed (rule 2)."""
        self._eof = True
        transport = self._transport
        if transport is None or self._phase in (_Phase.LINGER, _Phase.CLOSED):
            return False
        self.pump()
        if transport.is_closing() or transport.get_extra_info("sslcontext") is not None:
            return False
        HalfClosed(transport, self._probe_bytes).watch()
        return True

    def _probe_bytes(self, *, gently: bool) -> bytes:
        """Return what may be sent to find out whether the client still reads; `gently`: nothing before its answer has begun."""
        turn = self._turn
        if turn is None or self.write_paused or (gently and not turn.has_begun()):
            return b""
        return turn.probe()

    def pause_writing(self) -> None:
        """Stop the provider: this client reads too slowly."""
        self.write_paused = True
        self._unsent = -1
        self._unsent_since = self._gateway.now
        if self._turn is not None:
            self._turn.client_blocked(blocked=True)

    def resume_writing(self) -> None:
        """Let the provider go on."""
        self.write_paused = False
        if self._turn is not None:
            self._turn.client_blocked(blocked=False)
        self.pump()

    # --- bytes into requests

    def pump(self) -> None:
        """Take from the buffer as long as something comes of it. A loop, not recursion: requests can be many and tiny."""
        if self._pumping:
            return
        self._pumping = True
        try:
            steps = 0
            while self._buffer and self._step():
                steps += 1
                if steps == _STEPS_MAX:
                    asyncio.get_running_loop().call_soon(self.pump)
                    break
            else:
                if self._eof:
                    self._input_over()
        except HttpRefusalError as exc:
            self._refuse(exc)
        finally:
            self._pumping = False
        self._balance()

    def _step(self) -> bool:
        if self._phase is _Phase.BODY:
            return self._read_body()
        return self._phase is _Phase.HEAD and not self.write_paused and self._read_head()

    def _balance(self) -> None:
        """Stop reading while more waits than a head may have; go on when it was taken."""
        full = len(self._buffer) > self._gateway.read_ahead
        transport = self._transport
        if full is self._reading_paused or transport is None or transport.is_closing() or self._eof:
            return
        self._reading_paused = full
        if full:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def _read_head(self) -> bool:
        buffer = self._buffer
        if not self._scanned and buffer.startswith(b"\r\n"):
            # RFC 9112 section 2.2: an empty line before the request line is an old client's habit.
            if self._blank:
                raise HttpRefusalError(400, "empty lines came instead of a request")
            self._blank = True
            buffer = self._buffer = buffer[2:]
            if not buffer:
                return False
        limit = self._gateway.limits.header_bytes
        end = buffer.find(b"\r\n\r\n", self._scanned)
        if end < 0:
            check_partial(buffer, limit)
            self._scanned = max(1, len(buffer) - 3)
            return False
        if end > limit:
            raise HttpRefusalError(431, f"the request head is larger than {limit} bytes")
        end += 4
        self._buffer = buffer[end:]
        self._scanned = 0
        self._begin(self._heads.read(buffer[:end]))
        return True

    def _begin(self, request: IncomingRequest) -> None:
        """Find out who answers a new request, and let it."""
        self._request = request
        self._blank = False
        self._body = RequestBody(request.length)
        self._phase = _Phase.BODY if request.length else _Phase.COMPLETE
        gateway = self._gateway
        answer = self._local_answer(request)
        if answer is not None:
            self._answer(answer, close=request.upgrade)
            return
        try:
            exchange = gateway.open_exchange(self._client_ip)
        except Exception as exc:  # noqa: BLE001  # boundary: fails closed
            self._answer(self._fault(exc), close=True)
            return
        turn = self._turn = Turn(self, exchange, request)
        turn.begin()

    def _fault(self, exc: Exception) -> Respond:
        self.report_bug(exc)
        return own_answer(503, "llmcp: an internal fault; the request was refused", "llmcp_unavailable")

    def _local_answer(self, request: IncomingRequest) -> Respond | None:
        """Ask for an answer that needs no exchange: health, a foreign host, an upgrade that nobody serves."""
        try:
            answer = self._gateway.local(request.head)
        except Exception as exc:  # noqa: BLE001  # boundary: fails closed
            return self._fault(exc)
        if answer is None and request.upgrade:
            return own_answer(426, "llmcp: no upgrade is served here, use plain HTTP/1.1", "llmcp_bad_request")
        return answer

    def _read_body(self) -> bool:
        """Take a piece of the request's body from the buffer."""
        turn = self._turn
        if turn is not None and turn.blocked:
            return False
        data, self._buffer = self._body.take(self._buffer)
        done = self._body.done
        if done:
            self._phase = _Phase.COMPLETE
        if turn is not None:
            turn.receive_body(data, done=done)
        elif done:
            self._next()
        return True

    # --- own answers and ends

    def _answer(self, respond: Respond, *, close: bool) -> None:
        """Answer without an exchange."""
        keep_alive = not close and self.may_persist()
        head_only = self._request is not None and self._request.head.method == "HEAD"
        self.write(respond_bytes(respond, head_only=head_only, close=not keep_alive, date=self.date))
        self.turn_done(close=not keep_alive)

    def _refuse(self, refusal: HttpRefusalError) -> None:
        """Answer a request that breaks the protocol, and end."""
        turn, self._turn = self._turn, None
        begun = turn is not None and turn.has_begun()
        if turn is not None:
            turn.abandon()
        if begun:
            self.break_off(reset=True)
            return
        self.write(respond_bytes(refusal_answer(refusal), head_only=False, close=True, date=self.date))
        self._linger(unread=True)

    def _linger(self, *, unread: bool) -> None:
        """Close in order; first drain what the client may still be sending."""
        transport = self._transport
        self._buffer = b""
        self._since = self._gateway.now
        if transport is None or transport.is_closing():
            return
        if unread and not self._eof and transport.can_write_eof():
            self._phase = _Phase.LINGER
            if self._reading_paused:
                self._reading_paused = False
                transport.resume_reading()
            transport.write_eof()
        else:
            self._phase = _Phase.CLOSED
            transport.close()

    def _input_over(self) -> None:
        """The client sends no more: close where nothing is owed to it."""
        if self.write_paused:
            return
        waiting_for_head = self._phase is _Phase.HEAD
        cut_short = self._phase is _Phase.BODY and not (self._turn is not None and self._turn.blocked)
        if (waiting_for_head or cut_short) and self._transport is not None:
            self._phase = _Phase.CLOSED
            self._since = self._gateway.now
            self._transport.close()

    # --- time

    def tick(self, now: float) -> None:
        """Look at the deadlines (rule 3)."""
        transport = self._transport
        if transport is None:
            return
        limits = self._gateway.limits
        if (self.write_paused or self._phase in _ENDING) and transport.get_write_buffer_size():
            if self._stuck(transport, now):
                transport.abort()
            return
        waited = now - self._since
        match self._phase:
            case _Phase.HEAD if self._buffer and not self.write_paused:
                if waited > limits.header_timeout_s:
                    self._refuse(HttpRefusalError(408, f"the request head was not complete within {limits.header_timeout_s:g} s"))
            case _Phase.HEAD:
                if waited > (limits.keep_alive_s if self._served else limits.header_timeout_s) and not self.write_paused:
                    transport.close()
            case _Phase.BODY if self._turn is not None and self._turn.blocked:
                self._since = now
            case _Phase.BODY if self._turn is None:
                # The request was answered already; this is the rest of its body, to be dropped.
                if waited > limits.body_idle_timeout_s:
                    transport.close()
            case _Phase.BODY:
                if waited > limits.body_idle_timeout_s:
                    self._refuse(HttpRefusalError(408, f"the request body paused for {limits.body_idle_timeout_s:g} s"))
            case _Phase.LINGER if waited > _LINGER_S:
                transport.abort()
            case _:
                pass

    def _stuck(self, transport: asyncio.Transport, now: float) -> bool:
        """Tell whether unsent bytes have not become fewer for too long."""
        unsent = transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent = unsent
            self._unsent_since = now
            return False
        return now - self._unsent_since > self._gateway.limits.client_write_timeout_s

    def close_if_idle(self) -> None:
        """Close a connection that waits for its next request."""
        if self._phase is _Phase.HEAD and not self._buffer and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Cut, whatever is in work."""
        if self._transport is not None:
            self._transport.abort()
