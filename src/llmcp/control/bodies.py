"""The use case behind `audit show --bodies`: what a record's rule kept, in a form that a person or a program can read.

Rules:
1. A body is text where it is UTF-8, else base64; its content encoding is taken off where that is possible.
2. What was pruned is null: the record still names it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from llmcp.engine.encoding import decode_request
from llmcp.errors import LlmcpError

if TYPE_CHECKING:
    from llmcp.core.bodies import Body
    from llmcp.ports.stores import BodyStore

_MOST_BYTES: Final = 64 * 1024 * 1024


def readable_bodies(store: BodyStore, record: dict[str, Any]) -> dict[str, Any]:
    """Return `request` and `response` of a record, each as a document or null. Raises: ConflictError where one was altered."""
    names = record.get("bodies", {})
    found = {}
    for direction in ("request", "response"):
        ref = names.get(direction, "")
        body = store.read(ref) if ref else None
        found[direction] = None if body is None else _document(body)
    return found


def _document(body: Body) -> dict[str, Any]:
    document: dict[str, Any] = {"content_type": body.content_type, "truncated": body.truncated}
    data, coding = body.data, body.content_encoding
    if coding:
        try:
            data, coding = decode_request(data, coding.encode("latin-1", "replace"), _MOST_BYTES), ""
        except LlmcpError:
            # Cut off, or in a coding that is not read here: as it came.
            document["content_encoding"] = coding
    try:
        return document | {"text": data.decode("utf-8")}
    except UnicodeDecodeError:
        return document | {"base64": base64.b64encode(data).decode("ascii")}
