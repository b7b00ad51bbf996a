"""How an exchange words what it says itself: refusals, its own headers, the last event of a stream that it ends.

Rules:
1. A message names the rules that refuse, never those that only matched; the decision's id is added by the exchange.
2. The text of an exception that is not ours is never repeated: it may hold a body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from llmcp.core.http import Respond
from llmcp.core.policy import DEFAULT_DENY
from llmcp.errors import LlmcpError, MalformedRequestError, NotEditableError
from llmcp.ports import REFUSAL_STATUS, Framing, RefusalKind

if TYPE_CHECKING:
    from llmcp.core.decide import Decision
    from llmcp.core.http import Headers
    from llmcp.engine.stream import ResponseReader
    from llmcp.ports import Endpoint, Refusal

_REFUSING = frozenset(("deny", "tools"))


def not_served(closed: str) -> Respond:
    """Answer at a path that names no provider, in the shape that most clients read; `closed` says why nothing is served at all."""
    kind = RefusalKind.UNAVAILABLE if closed else RefusalKind.NOT_FOUND
    why = closed or "llmcp serves nothing at this path; `llmcp provider list` names the prefixes"
    error = {"message": why, "type": "invalid_request_error", "param": None, "code": str(kind)}
    return Respond(REFUSAL_STATUS[kind], ((b"content-type", b"application/json"),), msgspec.json.encode({"error": error}))


def denial(decision: Decision) -> str:
    """Word a denial: the rule's message, and the rules that refuse."""
    named = ", ".join(f"{hit.policy}/{hit.id}" for hit in decision.rules if hit.effect in _REFUSING or hit.id == DEFAULT_DENY)
    return f"{decision.message} [{named}]" if decision.message else f"refused by policy [{named}]"


def fault(error: Exception) -> tuple[RefusalKind, str]:
    """Word an exception on the way in: the client's own mistake, an edit that cannot be made, or a failure of llmcp's."""
    match error:
        case NotEditableError():
            kind = RefusalKind.POLICY
        case MalformedRequestError():
            kind = RefusalKind.BAD_REQUEST
        case _:
            return RefusalKind.UNAVAILABLE, "llmcp failed to check this request and refuses what it cannot check"
    said = ": ".join(part for part in (error.what, error.why) if part)
    return kind, f"{said}. {error.fix}".rstrip(". ") if error.fix else said


def last_event(endpoint: Endpoint, refusal: Refusal, reader: ResponseReader | None) -> bytes:
    """Return the dialect's event that ends a stream, so that it parses also where nothing came before it."""
    framing = reader.framing if reader is not None else Framing.SSE
    event = endpoint.dialect.refuse_in_stream(endpoint, refusal, framing)
    if framing is Framing.JSON_ARRAY and reader is not None and not reader.let_go:
        return b"[" + event.lstrip(b",\n")
    return event


def warning_headers(decision: Decision) -> Headers:
    """Return a header for each rule that only warns."""
    return tuple((b"x-llmcp-warning", f"{hit.policy}/{hit.id}".encode("ascii", "replace")) for hit in decision.warnings)


def error_name(error: Exception) -> str:
    """Name an exception for a record: a stable code for ours, the class for others. Never its text, which may hold a body."""
    return error.code if isinstance(error, LlmcpError) else type(error).__name__
