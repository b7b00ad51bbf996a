"""An anchor behind a URL: each checkpoint is posted as text; reading asks for all of them, in lines or one after the other."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from llmcp.core.signed_note import split_notes
from llmcp.errors import UnreachableError
from llmcp.stores.anchors.file import parse_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIMEOUT_S: Final = 10
_MAX_BYTES: Final = 64 << 20


class HttpAnchor:
    """An `Anchor` that posts. The URL was checked by whoever made it."""

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"

    def append(self, note: str) -> None:
        """Keep a note for good: any answer of 2xx says that it is kept. Raises: UnreachableError."""
        self._ask(note.encode())

    def notes(self) -> Iterator[str]:
        """Yield all notes that the place answers a GET with: a JSON document a line, or notes as they are."""
        answer = self._ask(None)
        if answer.lstrip().startswith(b"{"):
            yield from parse_lines(iter(answer.splitlines()))
        else:
            yield from split_notes(answer.decode("utf-8", "replace"))

    def _ask(self, data: bytes | None) -> bytes:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            self._url, data=data, headers={"content-type": "text/plain; charset=utf-8"} if data else {}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
        try:
            with opener.open(request, timeout=_TIMEOUT_S) as response:
                answer: bytes = response.read(_MAX_BYTES)
        except urllib.error.HTTPError as error:
            raise self._unreachable(f"it answered {error.code}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise self._unreachable(getattr(reason, "strerror", None) or type(reason).__name__) from error
        return answer

    def _unreachable(self, why: str) -> UnreachableError:
        return UnreachableError(
            f"the anchor `{self.name}` cannot be used", why=why, fix="checkpoints are kept in the store and anchored later",
            code="anchor-unreachable",
        )  # fmt: skip


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - the library's signature
        """Follow nothing."""
