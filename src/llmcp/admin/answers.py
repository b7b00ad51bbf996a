"""The admin listener's answers in JSON, and its errors in one form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from llmcp.core.http import Respond, header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmcp.core.http import RequestHead

_JSON: Final = (b"content-type", b"application/json")
NO_STORE: Final = (b"cache-control", b"no-store")
CHALLENGE: Final = (b"www-authenticate", b"Bearer")


def document(status: int, said: Mapping[str, object]) -> Respond:
    """Answer with one object."""
    return encoded(status, json.dumps(said).encode())


def encoded(status: int, body: bytes) -> Respond:
    """Answer with a JSON text."""
    return Respond(status, (_JSON, NO_STORE), body)


def error(status: int, code: str, message: str, *headers: tuple[bytes, bytes], hint: str = "") -> Respond:
    """Answer with what went wrong."""
    said = {"code": code, "message": message} | ({"hint": hint} if hint else {})
    return Respond(status, (_JSON, NO_STORE, *headers), json.dumps({"error": said}).encode())


def is_json(head: RequestHead) -> bool:
    """Tell whether a request says that its body is JSON."""
    return header(head.headers, b"content-type").partition(b";")[0].strip().lower() == b"application/json"


def bearer(head: RequestHead) -> bytes:
    """Return the Bearer credential of a request, or b""."""
    scheme, _, shown = header(head.headers, b"authorization").partition(b" ")
    return shown.strip() if scheme.lower() == b"bearer" else b""
