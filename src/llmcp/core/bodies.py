"""Bodies that a `record` rule keeps: what is held of them until they are sealed.

Rules:
1. A body never stands in a record: the record names it by a salted hash (`Bodies`), and the salt lies with the sealed body, so
   that without it the name says nothing.
2. What is kept of one body is bounded; `truncated` says that there was more.
3. No `repr` shows a body.
"""

from __future__ import annotations

import msgspec


class Body(msgspec.Struct, gc=False):
    """One body as it crossed the wire: the client's request, the provider's answer."""

    data: bytes = b""
    content_type: str = ""
    content_encoding: str = ""
    truncated: bool = False

    def __repr__(self) -> str:
        """Say how much there is."""
        return f"Body({len(self.data)} bytes)"


class Kept:
    """What one exchange keeps while it runs."""

    __slots__ = ("_limit", "_parts", "_room", "request", "response")

    def __init__(self, limit: int) -> None:
        self.request: Body | None = None
        self.response: Body | None = None
        self._limit = limit
        self._parts: list[bytes] = []
        self._room = limit

    def take_request(self, data: bytes | None, *, content_type: bytes, content_encoding: bytes) -> None:
        """Keep the request's body; None is an upload that was streamed through."""
        kept = data[: self._limit] if data is not None else b""
        truncated = data is None or len(data) > self._limit
        self.request = Body(kept, _text(content_type), _text(content_encoding), truncated)

    def begin_response(self, *, content_type: bytes, content_encoding: bytes) -> None:
        """Begin to keep the provider's answer."""
        self.response = Body(b"", _text(content_type), _text(content_encoding))

    def take_response(self, data: bytes) -> None:
        """Keep a piece of the provider's answer."""
        if self.response is None:
            return
        if len(data) > self._room:
            self.response.truncated = True
            data = data[: self._room]
        self._room -= len(data)
        if data:
            self._parts.append(data)

    def finish(self) -> None:
        """Join the pieces of the answer."""
        if self.response is not None and self._parts:
            self.response.data = b"".join(self._parts)
            self._parts.clear()

    def size(self) -> int:
        """Return how many bytes are held."""
        return sum(len(body.data) for body in (self.request, self.response) if body is not None) + sum(map(len, self._parts))


def _text(value: bytes) -> str:
    return value[:256].decode("latin-1")
