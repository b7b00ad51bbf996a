"""Content encodings that llmcp reads: identity, gzip and deflate, incrementally and bounded.

Rules:
1. A coding that is not read is named, so that the record can say what was not inspected.
2. Output is bounded: a small body that grows without end is refused, not held.
"""

from __future__ import annotations

import zlib
from typing import Protocol

from llmcp.errors import MalformedRequestError

_READABLE = frozenset((b"", b"identity", b"gzip", b"x-gzip", b"deflate"))


class Decoder(Protocol):
    """Takes a content encoding off, piece by piece."""

    def feed(self, data: bytes) -> bytes:
        """Return what `data` decodes to. Raises zlib.error on corrupt data."""


class _Zlib:
    """gzip (also several members) and deflate: zlib-wrapped as the standard says, or raw as some servers send it."""

    def __init__(self, *, gzip: bool) -> None:
        self._wbits = 31 if gzip else 0
        self._inner = zlib.decompressobj(31) if gzip else None
        self._first = b""

    def feed(self, data: bytes) -> bytes:
        if self._inner is None:
            # The first two bytes tell (RFC 1950): a method of 8, and a multiple of 31 together.
            data = self._first + data
            if len(data) < 2:  # noqa: PLR2004 - see above
                self._first = data
                return b""
            wrapped = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0  # noqa: PLR2004 - see above
            self._wbits = 15 if wrapped else -15
            self._inner = zlib.decompressobj(self._wbits)
        out = bytearray()
        while data:
            if self._inner.eof:
                self._inner = zlib.decompressobj(self._wbits)
            out += self._inner.decompress(data)
            data = self._inner.unused_data
        return bytes(out)


def readable(coding: bytes) -> bool:
    """Tell whether the `content-encoding` value is one that llmcp can take off."""
    return coding.strip().lower() in _READABLE


def decoder_for(coding: bytes) -> Decoder | None:
    """Return a decoder, or None for identity. The coding must be readable."""
    match coding.strip().lower():
        case b"gzip" | b"x-gzip":
            return _Zlib(gzip=True)
        case b"deflate":
            return _Zlib(gzip=False)
        case _:
            return None


def decode_request(body: bytes, coding: bytes, limit: int) -> bytes:
    """Return a request body without its content encoding.

    Raises: MalformedRequestError on an unreadable coding, corrupt data, or more than `limit` bytes of output.
    """
    name = coding.strip().lower()
    if name in {b"", b"identity"}:
        return body
    if name not in _READABLE:
        raise MalformedRequestError(
            "the request body's content encoding cannot be read",
            why="llmcp must read a request before it lets it pass; it reads gzip and deflate",
            fix="send the body without `content-encoding`, or with gzip",
            code="unsupported-encoding",
        )
    wbits = 31 if name in {b"gzip", b"x-gzip"} else 15
    inner = zlib.decompressobj(wbits)
    try:
        out = inner.decompress(body, limit + 1)
        if len(out) <= limit and not inner.eof:
            out += inner.flush()
    except zlib.error as error:
        raise MalformedRequestError("the request body does not decompress", why=str(error), fix="send it uncompressed") from None
    if len(out) > limit:
        raise MalformedRequestError("the request body decompresses to more than the limit", why=f"the limit is {limit} bytes")
    if not inner.eof or inner.unused_data:
        raise MalformedRequestError("the request body does not decompress", why="the compressed data is incomplete or has a tail")
    return out
