"""Takes the chunked coding off a request body.

Own code and not httptools: llhttp cannot say where a message ended inside the bytes it was fed, so a pipelined request behind
a chunked body could not be told apart; and it lets chunk extensions of any size through.

Rules:
1. A size is hexadecimal digits and nothing else; what follows it is CR LF or a short extension, which is ignored.
2. Trailer lines are checked like headers, bounded, and dropped: nothing behind the gateway waits for them.
3. One call reads a bounded number of lines: a body of a hundred thousand chunks must not hold up everybody else.
4. After an error the decoder is not used again.

Source: RFC 9112 section 7.1.
"""

from __future__ import annotations

import re

from llmcp.runtime.http1 import HttpRefusalError

# 15 hexadecimal digits stay below 2**60: no overflow in anybody's arithmetic.
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e]{0,256})?")
_LINE_MAX = 512
_TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+")
_LINES_MAX = 1024
_TRAILERS_MAX = 8192
_TRAILER_LINE_MAX = 4096


class ChunkedDecoder:
    """Feed it bytes; it gives the body's. `rest` was not read: it is to be fed again, or once `done` stands behind the message."""

    __slots__ = ("_left", "_part", "_trailer_bytes", "_trailers", "done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self._part = b""
        self._left = 0  # bytes of the current chunk still to come, its CR LF counted
        self._trailers = False
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """Decode `data`.

        Raises: HttpRefusalError (400) where the coding is broken.
        """
        if self._part:
            data, self._part = self._part + data, b""
        out: list[bytes] = []
        at = lines = 0
        while at < len(data) and lines < _LINES_MAX and not self.done:
            if self._left:
                at = self._take(data, at, out)
                continue
            end = data.find(b"\n", at) + 1
            if end:
                self._line(data[at:end])
                lines += 1
            else:
                self._keep(data[at:])
                end = len(data)
            at = end
        self.rest = data[at:]
        return out[0] if len(out) == 1 else b"".join(out)

    def _take(self, data: bytes, at: int, out: list[bytes]) -> int:
        """Take body bytes of the current chunk, then its line end."""
        payload = min(self._left - 2, len(data) - at)
        if payload > 0:
            out.append(data[at : at + payload])
            self._left -= payload
            return at + payload
        expected = b"\r\n"[2 - self._left : 3 - self._left]
        if data[at : at + 1] != expected:
            raise HttpRefusalError(400, "a chunk of the request body is longer than its size says")
        self._left -= 1
        return at + 1

    def _keep(self, part: bytes) -> None:
        if len(part) > (_TRAILER_LINE_MAX if self._trailers else _LINE_MAX):
            raise HttpRefusalError(400, "a chunk line of the request body is too long")
        if b"\r" in part[:-1]:
            raise HttpRefusalError(400, "chunk lines must end in CR LF")
        self._part = part

    def _line(self, line: bytes) -> None:
        if line[-2:] != b"\r\n":
            raise HttpRefusalError(400, "chunk lines must end in CR LF")
        line = line[:-2]
        if self._trailers:
            self._trailer(line)
            return
        matched = _SIZE_LINE.fullmatch(line)
        if matched is None:
            raise HttpRefusalError(400, "a chunk size of the request body is malformed")
        size = int(matched[1], 16)
        if size:
            self._left = size + 2
        else:
            self._trailers = True

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        self._trailer_bytes += len(line)
        if self._trailer_bytes > _TRAILERS_MAX:
            raise HttpRefusalError(431, f"the trailers of the request body are larger than {_TRAILERS_MAX} bytes")
        if _TRAILER_LINE.fullmatch(line) is None:
            raise HttpRefusalError(400, "a trailer line of the request body is malformed")
