"""AWS event-stream framing (`application/vnd.amazon.eventstream`): cut it into messages, and encode an exception message.

Rules:
1. The `raw` of all frames, joined, is the input byte for byte, for any chunking.
2. A message whose checksums or headers are wrong becomes a frame without name and data; dialects count it as unreadable.
3. After a prelude that cannot be right nothing behind it has a known boundary: the rest passes as such frames, unread.
4. No more than `max_message_bytes` are held; no input raises.

Layout: total length (4 bytes), headers length (4), CRC-32 of these (4), headers, payload, CRC-32 of all before (4); big-endian.
Source: AWS "Event stream encoding" (Amazon Transcribe developer guide), shared by Bedrock's runtime.
"""

from __future__ import annotations

import struct
from zlib import crc32

from llmcp.ports import Frame

# The format itself allows 24 MiB in total; Bedrock's messages are far smaller.
MAX_MESSAGE_BYTES = 24 * 1024 * 1024
_PRELUDE = struct.Struct(">III")
_WORD = struct.Struct(">I")
_OVERHEAD = _PRELUDE.size + _WORD.size
_STRING = 7
_SIZED_TYPES = frozenset({6, _STRING})
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_NAMES = (":event-type", ":exception-type", ":error-code")


class AwsEventStreamFramer:
    """An incremental decoder of one response body."""

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max = max_message_bytes
        self._buffer = bytearray()
        self._lost = False
        # Nearly all messages of one stream have the same headers.
        self._last_headers: tuple[bytes, str] = (b"", "")

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes and return the messages that they completed."""
        if self._lost:
            return [Frame(data, "", b"")] if data else []
        self._buffer += data
        frames: list[Frame] = []
        start = 0
        while len(self._buffer) - start >= _PRELUDE.size:
            total, headers, checksum = _PRELUDE.unpack_from(self._buffer, start)
            if not self._plausible(total, headers) or crc32(self._buffer[start : start + 8]) != checksum:
                self._lost = True
                frames.append(Frame(bytes(self._buffer[start:]), "", b""))
                start = len(self._buffer)
                break
            if len(self._buffer) - start < total:
                break
            frames.append(self._frame(bytes(self._buffer[start : start + total]), _PRELUDE.size + headers))
            start += total
        if start:
            del self._buffer[:start]
        return frames

    def close(self) -> list[Frame]:
        """Return what is left of a message that was cut short; the body has ended."""
        rest = self.pending()
        self._buffer.clear()
        return [Frame(rest, "", b"")] if rest else []

    def pending(self) -> bytes:
        """Return the bytes taken but not yet returned in a frame."""
        return bytes(self._buffer)

    def _frame(self, raw: bytes, end: int) -> Frame:
        """Check one whole message and name it; its headers go up to `end`."""
        if crc32(raw[:-4]) != _WORD.unpack_from(raw, len(raw) - 4)[0]:
            return Frame(raw, "", b"")
        block = raw[_PRELUDE.size : end]
        if block != self._last_headers[0]:
            headers = _string_headers(block)
            if headers is None:
                return Frame(raw, "", b"")
            self._last_headers = block, next((headers[key] for key in _NAMES if key in headers), "")
        return Frame(raw, self._last_headers[1], raw[end:-4])

    def _plausible(self, total: int, headers: int) -> bool:
        return _OVERHEAD + headers <= total <= self._max


def exception_message(exception_type: str, payload: bytes) -> bytes:
    """Encode an exception as the service would: `:exception-type`, a JSON payload, right checksums."""
    return encode_message(
        ((":exception-type", exception_type), (":content-type", "application/json"), (":message-type", "exception")),
        payload,
    )


def encode_message(headers: tuple[tuple[str, str], ...], payload: bytes) -> bytes:
    """Encode one message with string headers."""
    block = b"".join(_string_header(name.encode(), value.encode()) for name, value in headers)
    prelude = struct.pack(">II", _OVERHEAD + len(block) + len(payload), len(block))
    message = prelude + _WORD.pack(crc32(prelude)) + block + payload
    return message + _WORD.pack(crc32(message))


def _string_header(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + bytes((_STRING,)) + struct.pack(">H", len(value)) + value


def _string_headers(raw: bytes) -> dict[str, str] | None:
    """Return the string-valued headers, or None where the block is damaged."""
    found: dict[str, str] = {}
    position, end = 0, len(raw)
    while position < end:
        name_end = position + 1 + raw[position]
        if name_end >= end:
            return None
        name, kind, position = raw[position + 1 : name_end], raw[name_end], name_end + 1
        if kind in _SIZED_TYPES:
            if position + 2 > end:
                return None
            size = int.from_bytes(raw[position : position + 2])
            position += 2
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            return None
        if position + size > end:
            return None
        if kind == _STRING:
            found[name.decode("utf-8", "replace")] = raw[position : position + size].decode("utf-8", "replace")
        position += size
    return found
