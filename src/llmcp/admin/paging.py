"""Pages of what a read path lists: bounds on their size, and cursors for lists that lie in memory.

Rules:
1. A page has 100 rows unless `limit` says otherwise, at most 1000.
2. A cursor is the sort key of the last row shown: rows that come or go meanwhile are neither shown twice nor skipped.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any, Final

from llmcp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 1000


def page_size(text: str) -> int:
    """Return the size that `limit` asks for. Raises: UsageError."""
    if not text:
        return DEFAULT_PAGE
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PAGE)) and 1 <= int(text) <= MAX_PAGE):
        raise UsageError(
            "the `limit` cannot be taken", why=f"expected 1 to {MAX_PAGE}", fix="ask for more pages", code="bad-limit"
        )
    return int(text)


def page(rows: Sequence[tuple[str, dict[str, Any]]], size: int, cursor: str) -> tuple[list[dict[str, Any]], str]:
    """Return a page of `rows` (sort key and document, sorted) and the cursor of the next, "" at the end. Raises: UsageError."""
    after = _decoded(cursor) if cursor else None
    left = [(key, row) for key, row in rows if after is None or key > after]
    shown = left[:size]
    return [row for _, row in shown], _encoded(shown[-1][0]) if len(left) > size else ""


def _encoded(key: str) -> str:
    return urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _decoded(cursor: str) -> str:
    try:
        return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        raise UsageError(
            "this cursor cannot be used here", why="it is not one that llmcp wrote", fix="leave it out", code="bad-cursor"
        ) from None
