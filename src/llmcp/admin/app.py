"""The admin listener's answers: one synchronous function from request to response.

Rules:
1. Health and metrics need no token; everything under `/v1` needs the Bearer token, compared in constant time.
2. Who may talk to the listener at all is `engine.admission`'s to say, and is asked first.
3. Nothing here waits: `reload` and `stop` are begun and answered 202. A reload's answer says what `loads` in the status will be
   when it is done.
4. No answer names a file's content, a header or a key.
"""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING

from llmcp.core.http import Respond, header
from llmcp.engine.admission import admission
from llmcp.runtime.health import health
from llmcp.telemetry.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.core.http import RequestHead
    from llmcp.core.settings import ListenSettings
    from llmcp.runtime.state import DaemonState
    from llmcp.telemetry.metrics import Registry

_JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")
_METHODS = {"/metrics": "GET", "/v1/status": "GET", "/v1/reload": "POST", "/v1/stop": "POST"}


def status_document(state: DaemonState, *, pid: int, version: str) -> dict[str, object]:
    """Return what `llmcp status --json` shows, and `loads` besides."""
    return {
        "pid": pid,
        "gateway": state.urls.get("gateway"),
        "proxy": state.urls.get("proxy"),
        "admin": state.urls.get("admin"),
        "revision": state.revision,
        "version": version,
        "state": str(state.readiness),
        "problems": state.problem_documents(),
        "loads": state.loads,
    }


class AdminApp:
    """See the module's rules. `reload` and `stop` only begin what they name."""

    def __init__(  # noqa: PLR0913 - everything it needs is injected
        self,
        *,
        state: DaemonState,
        registry: Registry,
        listen: ListenSettings,
        token: str,
        status: Callable[[], dict[str, object]],
        reload: Callable[[], int],
        stop: Callable[[], None],
    ) -> None:
        self._state = state
        self._registry = registry
        self._listen = listen
        self._token = token.encode()
        self._status = status
        self._reload = reload
        self._stop = stop

    def __call__(self, head: RequestHead, body: bytes) -> Respond:
        """Answer one request."""
        refused = admission(head, self._listen) or health(head, self._state)
        if refused is not None:
            return refused
        path = head.target.partition("?")[0]
        method = _METHODS.get(path)
        if method is None:
            return _error(404, "not-found", "nothing is served here")
        if head.method != method and not (head.method == "HEAD" and method == "GET"):
            return _error(405, "method", f"only {method} is answered here", (b"allow", method.encode()))
        if path == "/metrics":
            return Respond(200, ((b"content-type", CONTENT_TYPE.encode()), _NO_STORE), self._registry.render().encode())
        if not self._authorized(head):
            return _error(401, "not-permitted", "the admin token is missing or wrong", (b"www-authenticate", b"Bearer"))
        if body and not _is_json(head):
            return _error(415, "media-type", "send `content-type: application/json`, or no body")
        return self._answer(path)

    def _answer(self, path: str) -> Respond:
        if path == "/v1/status":
            return _document(200, self._status())
        if path == "/v1/reload":
            return _document(202, {"loads": self._reload()})
        self._stop()
        return _document(202, {"state": "draining"})

    def _authorized(self, head: RequestHead) -> bool:
        scheme, _, shown = header(head.headers, b"authorization").partition(b" ")
        return scheme.lower() == b"bearer" and bool(self._token) and hmac.compare_digest(shown.strip(), self._token)


def _is_json(head: RequestHead) -> bool:
    return header(head.headers, b"content-type").partition(b";")[0].strip().lower() == b"application/json"


def _document(status: int, document: dict[str, object]) -> Respond:
    return Respond(status, (_JSON, _NO_STORE), json.dumps(document).encode())


def _error(status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> Respond:
    return Respond(status, (_JSON, _NO_STORE, *headers), json.dumps({"error": {"code": code, "message": message}}).encode())
