"""`GET /healthz` and `GET /readyz`, the same on the gateway and on the admin listener.

Rules:
1. `healthz` is 200 as long as the process serves; it says nothing about policies.
2. `readyz` is 200 `ready`, 200 `degraded` while the last good revision stands in for a broken one, 503 otherwise.
3. Neither asks for a token, neither says more than that word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.core.http import Respond
from llmcp.runtime.state import Readiness

if TYPE_CHECKING:
    from llmcp.core.http import RequestHead
    from llmcp.runtime.state import DaemonState

_TEXT = ((b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"))
_SERVES = frozenset({Readiness.READY, Readiness.DEGRADED})


def health(head: RequestHead, state: DaemonState) -> Respond | None:
    """Answer a health check, or return None for every other request."""
    target = head.target
    if target not in {"/healthz", "/readyz"}:
        return None
    if head.method not in {"GET", "HEAD"}:
        return Respond(405, (*_TEXT, (b"allow", b"GET, HEAD")), b"only GET is answered here")
    if target == "/healthz":
        return Respond(200, _TEXT, b"ok")
    readiness = state.readiness
    return Respond(200 if readiness in _SERVES else 503, _TEXT, readiness.value.encode())
