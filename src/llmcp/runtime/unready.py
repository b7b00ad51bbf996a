"""What answers while there is no revision to decide by: every request is refused with 503, in its caller's dialect.

Rules:
1. Nothing goes upstream, nothing is read of the body.
2. The caller's dialect is taken from the path where it names one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.core.http import Respond
from llmcp.errors import WrongStateError
from llmcp.ports import Endpoint, Refusal, RefusalKind

if TYPE_CHECKING:
    from llmcp.core.http import Cut, Forward, Headers, Hold, ReadBody, Replay, RequestHead, ResponseStart
    from llmcp.ports import Surface


def _never() -> WrongStateError:
    return WrongStateError("a refused exchange was asked to go on")


class RefusingExchange:
    """One request that is refused at its head. `why` is told to the client."""

    __slots__ = ("_decision_id", "_surface", "_why")

    def __init__(self, surface: Surface, *, decision_id: str, why: str) -> None:
        self._surface = surface
        self._decision_id = decision_id
        self._why = why

    def receive_head(self, head: RequestHead) -> Respond | ReadBody | Forward:
        """Refuse."""
        refusal = Refusal(RefusalKind.UNAVAILABLE, f"llmcp refuses this request: {self._why}", self._decision_id)
        named = self._surface.resolve(head)
        if isinstance(named, Endpoint):
            return named.dialect.refuse(refusal)
        if isinstance(named, Respond):
            return named
        body = f'{{"error":{{"message":"{refusal.message}","type":"api_error","code":"{refusal.kind}","param":null}}}}'
        return Respond(refusal.status, ((b"content-type", b"application/json"),), body.encode())

    def receive_body(self, body: bytes) -> Respond | Forward:  # noqa: ARG002 - the port's form
        """Never called."""
        raise _never()

    def body_too_large(self) -> Respond:
        """Never called."""
        raise _never()

    def receive_response_head(self, status: int, headers: Headers) -> ResponseStart | Hold:  # noqa: ARG002 - the port's form
        """Never called."""
        raise _never()

    def receive_response_data(self, data: bytes) -> bytes | Cut | Respond:  # noqa: ARG002 - the port's form
        """Never called."""
        raise _never()

    def receive_response_end(self) -> bytes | Cut | Respond | Replay:
        """Never called."""
        raise _never()

    def upstream_failed(self, kind: RefusalKind, why: str) -> Respond | Cut:  # noqa: ARG002 - the port's form
        """Never called."""
        raise _never()

    def client_gone(self) -> None:
        """Nothing to cancel."""

    def finished(self) -> None:
        """Nothing to settle."""
