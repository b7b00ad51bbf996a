"""The admin listener: who may ask what, and the answers that need no store.

Rules:
1. Health and metrics need no token; everything under `/v1` needs the Bearer token, compared in constant time. On read paths
   (`admin.reading`) a virtual key serves as well and shows its own org; everything else is the operator's alone.
2. Who may talk to the listener at all is `engine.admission`'s to say, and is asked first.
3. Nothing here waits: `reload` and `stop` are begun and answered 202, reads are answered later by a thread. A reload's answer says
   what `loads` in the status will be when it is done.
4. No answer names a file's content, a header or a key.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmcp.admin.answers import CHALLENGE, NO_STORE, bearer, document, error, is_json
from llmcp.admin.reading import readable, refused
from llmcp.core.http import Respond
from llmcp.engine.admission import admission
from llmcp.errors import LlmcpError
from llmcp.runtime.health import health
from llmcp.telemetry.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.admin.later import LaterAnswers
    from llmcp.admin.reading import Reading
    from llmcp.core.http import RequestHead
    from llmcp.core.settings import ListenSettings
    from llmcp.runtime.exchange_port import Later
    from llmcp.runtime.state import DaemonState
    from llmcp.telemetry.metrics import Registry

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


@dataclass(frozen=True, slots=True)
class Reads:
    """What read paths need. `scope_of` returns the org that a virtual key is of, None where it proves nothing; it may block."""

    reading: Reading
    later: LaterAnswers
    scope_of: Callable[[bytes], str | None]

    def answer(self, head: RequestHead, key: bytes, *, operator: bool) -> Respond | Later:
        """Answer a read path."""

        def work() -> Respond:
            try:
                scope = None if operator else self.scope_of(key)
            except LlmcpError as raised:
                return refused(raised)
            if scope is None and not operator:
                return _not_known()
            return self.reading.answer(head.target, scope)

        return self.later.answer(work)


class AdminApp:
    """See the module's rules. `reload` and `stop` only begin what they name; without `reads` there are no read paths."""

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
        reads: Reads | None = None,
    ) -> None:
        self._state = state
        self._registry = registry
        self._listen = listen
        self._token = token.encode()
        self._status = status
        self._reload = reload
        self._stop = stop
        self._reads = reads

    def __call__(self, head: RequestHead, body: bytes) -> Respond | Later:
        """Answer one request."""
        local = admission(head, self._listen) or health(head, self._state)
        if local is not None:
            return local
        path = head.target.partition("?")[0]
        reads = self._reads if readable(path) else None
        method = _METHODS.get(path) if reads is None else "GET"
        if method is None:
            return error(404, "not-found", "nothing is served here")
        if head.method != method and not (head.method == "HEAD" and method == "GET"):
            return error(405, "method", f"only {method} is answered here", (b"allow", method.encode()))
        if path == "/metrics":
            return Respond(200, ((b"content-type", CONTENT_TYPE.encode()), NO_STORE), self._registry.render().encode())
        shown = bearer(head)
        operator = bool(self._token) and hmac.compare_digest(shown, self._token)
        if not operator and (reads is None or not shown):
            return error(401, "not-permitted", "the admin token is missing or wrong", CHALLENGE)
        if body and not is_json(head):
            return error(415, "media-type", "send `content-type: application/json`, or no body")
        return self._answer(path) if reads is None else reads.answer(head, shown, operator=operator)

    def _answer(self, path: str) -> Respond:
        if path == "/v1/status":
            return document(200, self._status())
        if path == "/v1/reload":
            return document(202, {"loads": self._reload()})
        self._stop()
        return document(202, {"state": "draining"})


def _not_known() -> Respond:
    return error(401, "not-permitted", "neither the admin token nor a valid virtual key was sent", CHALLENGE)
