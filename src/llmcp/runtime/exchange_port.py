"""What the sockets need of one request's governor, and the small one that serves a plain function.

Rules:
1. Every method is synchronous and quick: it is called between two reads of a socket.
2. `finished` is called exactly once per exchange, last: after the last byte was handed to the client's transport, or the client was lost.
3. An exception out of any method is a bug: the client gets 503 if nothing was sent, else a broken connection; nothing is forwarded.
4. `Respond` and `Replay` may answer response bytes only while the response is held; `Cut` only once it has begun.
5. What would make the loop wait (a read of the store) is answered `Later`, by a thread of whoever answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from llmcp.core.http import Cut, Forward, Headers, Hold, ReadBody, Replay, RequestHead, Respond, ResponseStart
from llmcp.errors import WrongStateError
from llmcp.ports import RefusalKind
from llmcp.runtime.render import own_answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future


@dataclass(frozen=True, slots=True)
class Later:
    """Answer with what `answer` brings. It is cancelled where the client does not wait; an exception in it is a bug (rule 3)."""

    answer: Future[Respond]


class ExchangePort(Protocol):
    """One request and its response, as the sockets see it."""

    def receive_head(self, head: RequestHead) -> Respond | ReadBody | Forward:
        """Decide on the head alone, or ask for the body. `Forward.body` None streams the client's body through."""

    def receive_body(self, body: bytes) -> Respond | Forward | Later:
        """Decide on the whole body: de-chunked, content encoding untouched."""

    def body_too_large(self) -> Respond:
        """Word the refusal of a body above `ReadBody.limit`; the connection closes after it."""

    def receive_response_head(self, status: int, headers: Headers) -> ResponseStart | Hold:
        """Begin the client's response or hold it. `headers` are the provider's, hop-by-hop ones included."""

    def receive_response_data(self, data: bytes) -> bytes | Cut | Respond:
        """Return what the client gets of `data` now."""

    def receive_response_end(self) -> bytes | Cut | Respond | Replay:
        """Return what is left for the client."""

    def upstream_failed(self, kind: RefusalKind, why: str) -> Respond | Cut:
        """Answer for a provider that failed: `Respond` while the client's response has not begun, else `Cut`."""

    def client_gone(self) -> None:
        """Learn that nobody reads any more; the upstream is cancelled already."""

    def finished(self) -> None:
        """Settle."""


def _no_upstream() -> WrongStateError:
    return WrongStateError("a handler's exchange was called out of order", why="it has no upstream and answers after the body")


class HandlerExchange:
    """Serves a `handler(head, body)` that answers at once or later, and knows no upstream."""

    __slots__ = ("_body_limit", "_handler", "_head")

    def __init__(self, handler: Callable[[RequestHead, bytes], Respond | Later], body_limit: int) -> None:
        self._handler = handler
        self._body_limit = body_limit
        self._head: RequestHead | None = None

    def receive_head(self, head: RequestHead) -> Respond | ReadBody | Forward:
        """Ask for the body of every request."""
        self._head = head
        return ReadBody(self._body_limit)

    def receive_body(self, body: bytes) -> Respond | Forward | Later:
        """Let the handler answer."""
        if self._head is None:
            raise _no_upstream()
        return self._handler(self._head, body)

    def body_too_large(self) -> Respond:
        """Answer 413."""
        return own_answer(413, f"the request body is larger than {self._body_limit} bytes", RefusalKind.TOO_LARGE)

    def receive_response_head(self, status: int, headers: Headers) -> ResponseStart | Hold:  # noqa: ARG002  # the port's form
        """Never called: nothing is forwarded."""
        raise _no_upstream()

    def receive_response_data(self, data: bytes) -> bytes | Cut | Respond:  # noqa: ARG002  # the port's form
        """Never called: nothing is forwarded."""
        raise _no_upstream()

    def receive_response_end(self) -> bytes | Cut | Respond | Replay:
        """Never called: nothing is forwarded."""
        raise _no_upstream()

    def upstream_failed(self, kind: RefusalKind, why: str) -> Respond | Cut:  # noqa: ARG002  # the port's form
        """Never called: nothing is forwarded."""
        raise _no_upstream()

    def client_gone(self) -> None:
        """Nothing to cancel."""

    def finished(self) -> None:
        """Nothing to settle."""


def serve_handler(
    handler: Callable[[RequestHead, bytes], Respond | Later],
    *,
    body_limit: int = 1024 * 1024,
) -> Callable[[str], ExchangePort]:
    """Return an `open_exchange` for the gateway that serves `handler`."""

    def open_exchange(_client_ip: str) -> ExchangePort:
        return HandlerExchange(handler, body_limit)

    return open_exchange
