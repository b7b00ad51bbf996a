"""Refusals in OpenAI's words, so that its SDKs raise their own exceptions.

Rules:
1. The body is `{"error": {"message", "type", "param", "code"}}`; `code` is llmcp's stable one.
2. A refusal that a retry cannot change carries `x-should-retry: false`, which both Python SDKs obey.
3. Inside a stream the error is the last event: `data: {"error": …}`, for the Responses API a `response.failed` event with
   the code `invalid_prompt`, the only one that Codex does not retry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from llmcp.core.http import Respond
from llmcp.ports import Framing, RefusalKind

if TYPE_CHECKING:
    from llmcp.core.http import Headers
    from llmcp.ports import Refusal

_TYPE: dict[RefusalKind, str] = {
    RefusalKind.POLICY: "permission_error",
    RefusalKind.APPROVAL: "permission_error",
    RefusalKind.RATE: "rate_limit_error",
    RefusalKind.BUDGET: "insufficient_quota",
    RefusalKind.UNAUTHENTICATED: "authentication_error",
    RefusalKind.UNAVAILABLE: "server_error",
    RefusalKind.UPSTREAM_FAILED: "server_error",
    RefusalKind.UPSTREAM_TIMEOUT: "server_error",
}
_RETRY_HELPS = frozenset({RefusalKind.RATE, RefusalKind.UNAVAILABLE, RefusalKind.UPSTREAM_FAILED, RefusalKind.UPSTREAM_TIMEOUT})


def refuse(refusal: Refusal) -> Respond:
    """Word `refusal` as an HTTP answer."""
    headers: Headers = ((b"content-type", b"application/json"),)
    if refusal.kind not in _RETRY_HELPS:
        headers += ((b"x-should-retry", b"false"),)
    elif refusal.kind is RefusalKind.RATE:
        headers += ((b"retry-after", b"1"), (b"retry-after-ms", b"1000"))
    return Respond(refusal.status, headers, msgspec.json.encode({"error": _error(refusal)}))


def refuse_in_stream(refusal: Refusal, framing: Framing) -> bytes:
    """Word `refusal` as the last event of a chat or completions stream."""
    body = msgspec.json.encode({"error": _error(refusal)})
    if framing is Framing.SSE:
        return b"data: " + body + b"\n\n"
    return body + b"\n" if framing is Framing.NDJSON else b""


def fail_response(refusal: Refusal, framing: Framing, *, response_id: str = "") -> bytes:
    """Word `refusal` as the last event of a Responses API stream."""
    if framing is not Framing.SSE:
        return refuse_in_stream(refusal, framing)
    event = {
        "type": "response.failed",
        "sequence_number": 0,
        "response": {
            "id": response_id or f"resp_{refusal.decision_id}",
            "object": "response",
            "created_at": 0,
            "status": "failed",
            "error": {"code": "invalid_prompt", "message": refusal.message},
            "incomplete_details": None,
            "model": "",
            "output": [],
            "usage": None,
        },
    }
    return b"event: response.failed\ndata: " + msgspec.json.encode(event) + b"\n\n"


def _error(refusal: Refusal) -> dict[str, str | None]:
    kind = _TYPE.get(refusal.kind, "invalid_request_error")
    return {"message": refusal.message, "type": kind, "param": None, "code": refusal.kind.value}
