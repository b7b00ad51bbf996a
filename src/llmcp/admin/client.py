"""How the CLI speaks to a running daemon: loopback HTTP with the token from the home.

Rules:
1. Proxies of the environment are not used: the token goes to the daemon or nowhere.
2. Whatever goes wrong on the way is `UnreachableError`; a refusal is `NotPermittedError`.
"""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from llmcp.errors import NotPermittedError, UnreachableError

_TIMEOUT_S = 5.0
_ACCEPTED = frozenset({200, 202})


class AdminClient:
    """Asks one daemon. `url` is its admin listener's."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def status(self) -> dict[str, Any]:
        """Return the status document. Raises: UnreachableError, NotPermittedError."""
        return self._ask("GET", "/v1/status")

    def reload(self) -> dict[str, Any]:
        """Begin a load; return the number of loads so far."""
        return self._ask("POST", "/v1/reload")

    def stop(self) -> dict[str, Any]:
        """Begin to drain."""
        return self._ask("POST", "/v1/stop")

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        parts = urlsplit(self._url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
        try:
            connection.request(method, path, headers={"authorization": f"Bearer {self._token}"})
            answer = connection.getresponse()
            body = answer.read()
            document = json.loads(body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnreachableError(
                "the daemon does not answer", why=f"{self._url}: {type(error).__name__}", fix="see `llmcp status`"
            ) from error
        finally:
            connection.close()
        if answer.status in {401, 403}:
            raise NotPermittedError(
                "the daemon refuses the admin token", why="it was started with another one", fix="see `LLMCP_ADMIN_TOKEN`"
            )
        if answer.status not in _ACCEPTED or not isinstance(document, dict):
            raise UnreachableError("the daemon gave an answer that is not understood", why=f"{path}: status {answer.status}")
        return document
