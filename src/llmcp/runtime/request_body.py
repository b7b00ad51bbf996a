"""Where one request's body ends among the bytes that a client sends.

Rules:
1. A body has the length that its head announced, or chunks; what stands behind it belongs to the next request.
2. Only a body of known, small size may be read and dropped unasked.
"""

from __future__ import annotations

from llmcp.runtime.chunked import ChunkedDecoder
from llmcp.runtime.http1 import CHUNKED

_DROP_MAX = 65536


class RequestBody:
    """The body of a request whose head announced `length`. `done` once all of it was taken."""

    __slots__ = ("_decoder", "_left", "done")

    def __init__(self, length: int) -> None:
        self.done = length == 0
        self._left = length
        self._decoder = ChunkedDecoder() if length == CHUNKED else None

    def take(self, buffer: bytes) -> tuple[bytes, bytes]:
        """Return the body's bytes at the beginning of `buffer`, and what was not taken.

        Raises: HttpRefusalError where chunks are malformed.
        """
        decoder = self._decoder
        if decoder is not None:
            data = decoder.feed(buffer)
            self.done = decoder.done
            return data, decoder.rest
        left = self._left
        data, rest = (buffer, b"") if len(buffer) <= left else (buffer[:left], buffer[left:])
        self._left = left - len(data)
        self.done = not self._left
        return data, rest

    def may_be_dropped(self) -> bool:
        """Tell whether what is left may be read for nothing, so that the connection can live on."""
        return self._decoder is None and self._left <= _DROP_MAX
