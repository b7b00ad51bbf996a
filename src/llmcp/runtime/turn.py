"""One request's way between the client's connection, its exchange and the provider.

Owns the exchange's calls and the client's response framing; parsing, pipelining and timeouts are the connection's.

Rules:
1. Everything is synchronous: a chunk from the provider goes through the exchange to the client's transport in one call, in one write.
2. Every exception out of the exchange is a bug and ends here: 503 if nothing was sent, else a broken connection; the provider's
   side is cancelled, nothing is forwarded, and `finished` is still called, once.
3. The client's response has the length that its head announced, or the connection breaks.
4. A slow client pauses the provider, a slow provider pauses the client's upload.
5. A response that ends before the request's body did ends the connection too.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING, assert_never

from llmcp.core.http import Cut, Forward, Hold, ReadBody, Replay, Respond, ResponseStart
from llmcp.errors import WrongStateError
from llmcp.ports import RefusalKind
from llmcp.runtime.client_response import ClientResponse
from llmcp.runtime.exchange_port import Later
from llmcp.runtime.render import CONTINUE, own_answer, respond_bytes

if TYPE_CHECKING:
    from llmcp.runtime.client_connection import ClientConnection
    from llmcp.runtime.exchange_port import ExchangePort
    from llmcp.runtime.http1 import IncomingRequest
    from llmcp.runtime.upstream_call import ResponseHead, UpstreamCall


class Stage(Enum):
    """How far the client's response is."""

    WAITING = auto()
    HELD = auto()
    STARTED = auto()
    OVER = auto()


class Turn:
    """See the module's rules. `blocked`: the request's body cannot be taken now."""

    __slots__ = (
        "_call",
        "_collected",
        "_collected_bytes",
        "_connection",
        "_exchange",
        "_later",
        "_limit",
        "_request",
        "_response",
        "_stage",
        "_streaming",
        "_written",
        "blocked",
    )

    def __init__(self, connection: ClientConnection, exchange: ExchangePort, request: IncomingRequest) -> None:
        self.blocked = False
        self._connection = connection
        self._exchange = exchange
        self._request = request
        self._call: UpstreamCall | None = None
        self._later: asyncio.Future[Respond] | None = None
        self._stage = Stage.WAITING
        self._limit = -1  # no body was asked for: what comes is dropped
        self._collected: list[bytes] = []
        self._collected_bytes = 0
        self._streaming = False
        self._response: ClientResponse | None = None
        self._written = False

    # --- the request

    def begin(self) -> None:
        """Ask the exchange about the head."""
        try:
            step = self._exchange.receive_head(self._request.head)
            if isinstance(step, ReadBody):
                self._read_body(step.limit)
            else:
                self._act(step)
        except Exception as exc:  # noqa: BLE001  # boundary: a bug in the exchange refuses the request
            self._bug(exc)

    def _read_body(self, limit: int) -> None:
        self._limit = limit
        length = self._request.length
        if length == 0:
            self._act(self._exchange.receive_body(b""))
        elif length > limit:
            self._respond(self._exchange.body_too_large(), close=True)
        else:
            self._invite_body()

    def _invite_body(self) -> None:
        if self._request.expects_continue:
            self._request.expects_continue = False
            self._connection.write(CONTINUE)

    def receive_body(self, data: bytes, *, done: bool) -> None:
        """Take a piece of the request's body."""
        if self._streaming:
            call = self._call
            if call is not None:
                call.send_body(data)
                if done:
                    call.end_body()
            return
        if self._limit < 0:
            return
        try:
            self._collect(data, done=done)
        except Exception as exc:  # noqa: BLE001  # boundary: as in `begin`
            self._bug(exc)

    def _collect(self, data: bytes, *, done: bool) -> None:
        self._collected_bytes += len(data)
        if self._collected_bytes > self._limit:
            self._collected = []
            self._respond(self._exchange.body_too_large(), close=True)
            return
        if data:
            self._collected.append(data)
        if done:
            pieces, self._collected = self._collected, []
            self._act(self._exchange.receive_body(pieces[0] if len(pieces) == 1 else b"".join(pieces)))

    def _act(self, step: Respond | Forward | Later) -> None:
        match step:
            case Respond():
                self._respond(step)
            case Forward():
                self._forward(step)
            case Later():
                self._later = asyncio.wrap_future(step.answer)
                self._later.add_done_callback(self._answered)
            case _:
                assert_never(step)

    def _answered(self, later: asyncio.Future[Respond]) -> None:
        """Answer with what a thread found, unless nobody waits for it any more."""
        self._later = None
        if later.cancelled() or self.is_over():
            return
        try:
            self._respond(later.result())
        except Exception as exc:  # noqa: BLE001  # boundary: as in `begin`
            self._bug(exc)

    def _forward(self, forward: Forward) -> None:
        connection = self._connection
        length = self._request.length
        self._streaming = forward.body is None and length != 0
        self._call = connection.pool.send(forward, self, length if self._streaming else 0)
        if connection.write_paused:
            self._call.pause()
        if self._streaming:
            self.blocked = self._call.connection is None
            self._invite_body()

    # --- the provider's side (UpstreamListener)

    def upstream_ready(self) -> None:
        """Let the upload flow."""
        self.upstream_blocked(blocked=False)

    def upstream_blocked(self, *, blocked: bool) -> None:
        """Pause the client's upload, or let it flow again."""
        self.blocked = blocked
        if not blocked:
            self._connection.pump()

    def receive_upstream(self, head: ResponseHead | None, data: bytes, *, ended: bool) -> None:
        """Pass on what one read of the provider's socket brought."""
        if self.is_over():
            return
        if ended:
            self._call = None
        try:
            out = b"" if head is None else self._start(self._exchange.receive_response_head(*head))
            if data:
                out = self._step(out, self._exchange.receive_response_data(data))
            if ended and not self.is_over():
                out = self._step(out, self._exchange.receive_response_end())
                if not self.is_over():
                    self._end(out)
            else:
                self._write(out)
        except Exception as exc:  # noqa: BLE001  # boundary: as in `begin`
            self._bug(exc)

    def upstream_failed(self, kind: RefusalKind, why: str) -> None:
        """Let the exchange word the failure."""
        self._call = None
        if self._stage is Stage.OVER:
            return
        try:
            step = self._exchange.upstream_failed(kind, why)
            if isinstance(step, Respond):
                self._respond(step)
            else:
                self._cut(b"", step)
        except Exception as exc:  # noqa: BLE001  # boundary: as in `begin`
            self._bug(exc)

    # --- the response

    def _start(self, start: ResponseStart | Hold) -> bytes:
        """Return the client's response head, or nothing while the response is held."""
        if isinstance(start, Hold):
            self._stage = Stage.HELD
            return b""
        connection = self._connection
        response = ClientResponse(start, self._request, keep_alive=connection.may_persist(), date=connection.date)
        self._response = response
        self._stage = Stage.STARTED
        return response.head

    def _step(self, out: bytes, step: bytes | Cut | Respond | Replay) -> bytes:
        """Append what the exchange lets go to `out`; the other steps end the turn."""
        if isinstance(step, bytes):
            return out + self._started().frame(step) if step else out
        if isinstance(step, Cut):
            self._cut(out, step)
        elif isinstance(step, Respond):
            self._respond(step)
        elif self._stage is Stage.HELD:
            head = self._start(step.start)
            self._end(head + self._started().frame(step.body))
        else:
            msg = "a response that was not held cannot be replayed"
            raise WrongStateError(msg, why=self._stage.name)
        return b""

    def _started(self) -> ClientResponse:
        response = self._response
        if response is None or self._stage is not Stage.STARTED:
            msg = "bytes were let go of a response that has not begun"
            raise WrongStateError(msg, why=self._stage.name)
        return response

    def _write(self, out: bytes) -> None:
        if out:
            self._written = True
            self._connection.write(out)

    def _end(self, out: bytes) -> None:
        """Write the last of a started response and finish."""
        response = self._started()
        self._write(out + response.end())
        self._finish(close=not response.keep_alive)

    def _cut(self, out: bytes, cut: Cut) -> None:
        """End a started response early. An announced length cannot be kept: then it is a break, whatever the exchange wishes."""
        response = self._started()
        out += response.frame(cut.data if response.left < 0 else cut.data[: response.left])
        if cut.clean and response.can_end_early():
            self._end(out)
        else:
            self._write(out)
            self._break_off(response)

    def _break_off(self, response: ClientResponse) -> None:
        self._stage = Stage.OVER
        self._cancel()
        self._connection.break_off(reset=not response.close_shows_break())
        self._settle()

    def _respond(self, respond: Respond, *, close: bool = False) -> None:
        """Answer with the gateway's own words."""
        if self._stage is Stage.STARTED:
            msg = "a response that has begun cannot be answered anew"
            raise WrongStateError(msg, why=self._stage.name)
        self._cancel()
        keep_alive = not close and self._connection.may_persist()
        head_only = self._request.head.method == "HEAD"
        answer = respond_bytes(respond, head_only=head_only, close=not keep_alive, date=self._connection.date)
        self._stage = Stage.STARTED
        self._write(answer)
        self._finish(close=not keep_alive)

    # --- ends

    def _cancel(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        later, self._later = self._later, None
        if later is not None:
            later.cancel()

    def _finish(self, *, close: bool) -> None:
        self._stage = Stage.OVER
        self._cancel()
        self._settle()
        self._connection.turn_done(close=close)

    def _settle(self) -> None:
        try:
            self._exchange.finished()
        except Exception as exc:  # noqa: BLE001  # boundary: the client has its answer
            self._connection.report_bug(exc)

    def _bug(self, exc: Exception) -> None:
        self._connection.report_bug(exc)
        if self._stage is Stage.OVER:
            return
        self._cancel()
        if self._written and self._response is not None:
            self._break_off(self._response)
            return
        self._stage = Stage.WAITING
        self._respond(own_answer(503, "llmcp: an internal fault; the request was refused", RefusalKind.UNAVAILABLE), close=True)

    def abandon(self) -> None:
        """The client is gone, or broke its side of the protocol: cancel, tell the exchange, settle."""
        if self._stage is Stage.OVER:
            return
        self._stage = Stage.OVER
        self._cancel()
        try:
            self._exchange.client_gone()
        except Exception as exc:  # noqa: BLE001  # boundary: nobody is left to answer
            self._connection.report_bug(exc)
        self._settle()

    # --- the client's side

    def is_over(self) -> bool:
        """Tell whether the exchange is finished."""
        return self._stage is Stage.OVER

    def has_begun(self) -> bool:
        """Tell whether bytes of the response were written."""
        return self._written

    def client_blocked(self, *, blocked: bool) -> None:
        """Pause the provider while the client does not read."""
        if self._call is not None:
            if blocked:
                self._call.pause()
            else:
                self._call.resume()

    def probe(self) -> bytes:
        """Return bytes that mean nothing to a client that still reads: a leading zero of the next chunk's size, or an interim answer."""
        if not self._request.minor:
            return b""
        response = self._response
        if response is None:
            return CONTINUE
        return b"0" if response.chunked else b""
