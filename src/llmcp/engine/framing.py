"""Cut a response body into events, whatever the sizes of the chunks it arrives in.

Rules:
1. The `raw` of all frames, joined, is the input byte for byte, once `close` has been called.
2. The events (name and data) do not depend on how the input was chunked.
3. Every byte is looked at a bounded number of times: an event that arrives byte by byte costs linear time.
4. At most `max_event_bytes` are kept back. A longer event passes as one frame whose data is `OVERSIZE`, which no dialect can
   read, followed by frames without data for the rest of it.
5. No input raises.

Source: WHATWG HTML, section 9.2.6 (event streams); newline-delimited JSON; RFC 8259 for arrays.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import msgspec

from llmcp.ports import Frame, Framing

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_EVENT_BYTES = 16 * 1024 * 1024
# Not JSON and not empty: every dialect counts it as an event that it could not read.
OVERSIZE = b"\x00"
_CR = b"\r"
_BOM = b"\xef\xbb\xbf"
# Two line ends in a row. Atomic groups: CR LF must never be taken for two of them.
_BLANK_LINE = re.compile(rb"(?>\r\n|[\r\n])(?>\r\n|[\r\n])")
_LONGEST_PARTIAL = 2  # CR LF
_STRUCTURAL = re.compile(rb'[\[\]{}",]')
_IN_STRING = re.compile(rb'["\\]')
_SSE_START = re.compile(rb"\s*(?:data|event|id|retry)?:")
_SSE_FIELDS = (b"data:", b"event:", b"id:", b"retry:")
_NDJSON_TYPES = (b"ndjson", b"jsonl", b"json-lines", b"jsonlines", b"stream+json", b"json-seq")
_SPACE = b" \t\r\n"
_QUOTE, _BACKSLASH, _COMMA, _OPENING = 0x22, 0x5C, 0x2C, (0x5B, 0x7B)


class Framer(Protocol):
    """An incremental decoder of one response body."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next chunk and return the events it completes."""

    def close(self) -> list[Frame]:
        """Return what is left; the body has ended."""

    def pending(self) -> bytes:
        """Return the bytes taken but not yet returned in a frame."""


def framer_for(framing: Framing, max_event_bytes: int = MAX_EVENT_BYTES) -> Framer:
    """Return a fresh decoder for `framing`."""
    if framing is Framing.AWS_EVENTSTREAM:
        # Only Bedrock needs it.
        from llmcp.engine.aws_eventstream import AwsEventStreamFramer  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

        decoder: Framer = AwsEventStreamFramer()
        return decoder
    return _FRAMERS[framing](max_event_bytes)


def sniff(content_type: bytes, first_bytes: bytes, stream_requested: bool) -> Framing:  # noqa: FBT001
    """Tell how a body is cut into events. The bytes are believed before the content type, which is often wrong.

    `first_bytes` may be short; while `undecided` says so, more of them may change the answer.
    """
    kind = content_type.partition(b";")[0].strip().lower()
    if kind == b"application/vnd.amazon.eventstream":
        return Framing.AWS_EVENTSTREAM
    head = _after_bom(first_bytes)
    if _SSE_START.match(head):
        return Framing.SSE
    start = head.lstrip(_SPACE)[:1]
    if any(word in kind for word in _NDJSON_TYPES):
        return Framing.NDJSON
    if start == b"[":
        return Framing.JSON_ARRAY if stream_requested else Framing.WHOLE
    if start == b"{":
        return Framing.NDJSON if stream_requested and _first_line_is_json(head) else Framing.WHOLE
    return Framing.SSE if kind == b"text/event-stream" else Framing.WHOLE


def undecided(content_type: bytes, first_bytes: bytes, stream_requested: bool) -> bool:  # noqa: FBT001
    """Tell whether more bytes could change what `sniff` says."""
    kind = content_type.partition(b";")[0].strip().lower()
    if kind == b"application/vnd.amazon.eventstream" or len(first_bytes) > 65536:  # noqa: PLR2004 - a line longer than any header event
        return False
    if len(first_bytes) < len(_BOM) and _BOM.startswith(first_bytes):
        return True
    head = _after_bom(first_bytes).lstrip(_SPACE)
    if not head:
        return True
    if head[:1] == b"{":
        return stream_requested and b"\n" not in head
    return any(field.startswith(head) for field in _SSE_FIELDS)


def _after_bom(data: bytes) -> bytes:
    return data.removeprefix(_BOM)


def _first_line_is_json(head: bytes) -> bool:
    line, newline, _ = head.lstrip(_SPACE).partition(b"\n")
    if not newline:
        return False
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


class SseFramer:
    """Server-sent events. An event without a blank line after it is let go by `close`."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._max = max_event_bytes
        self._first = True
        self._oversize = False
        self._has_cr = False

    def feed(self, data: bytes) -> list[Frame]:
        """See `Framer.feed`."""
        if not self._has_cr and _CR in data:
            self._has_cr = True
        if not self._buffer and not self._has_cr and type(data) is bytes and 0 <= data.find(b"\n\n") == len(data) - 2:
            # By far the commonest chunk: one whole event, and nothing else.
            return [self._event(data)]
        if self._buffer:
            self._buffer += data
            source: bytes | bytearray = self._buffer
        else:
            source = data
        frames: list[Frame] = []
        start, position = 0, self._scanned
        size = len(source)
        while (end := self._boundary(source, position, size)) > 0:
            frames.append(self._event(bytes(source[start:end])))
            start = position = end
        position = max(-end, start)
        if source is data:
            self._buffer += data[start:]
        else:
            del self._buffer[:start]
        self._scanned = position - start
        if size - start > self._max:
            frames.append(self._overflow())
        return frames

    def _boundary(self, source: bytes | bytearray, position: int, size: int) -> int:
        """Return where the first event that ends after `position` ends, or minus where to look again when more has come."""
        if not self._has_cr:
            found = source.find(b"\n\n", position)
            return found + 2 if found >= 0 else -max(position, size - 1)
        match = _BLANK_LINE.search(source, position)
        if match is None:
            return -max(position, size - _LONGEST_PARTIAL)
        # A last CR is not the end yet: its LF may still come.
        return -match.start() if match.end() == size and source[-1:] == _CR else match.end()

    def close(self) -> list[Frame]:
        """See `Framer.close`."""
        rest, self._buffer, self._scanned = bytes(self._buffer), bytearray(), 0
        return [self._event(rest)] if rest else []

    def pending(self) -> bytes:
        """See `Framer.pending`."""
        return bytes(self._buffer)

    def _overflow(self) -> Frame:
        keep = len(self._buffer) - _LONGEST_PARTIAL
        raw = bytes(self._buffer[:keep])
        del self._buffer[:keep]
        self._scanned = max(0, self._scanned - keep)
        data = b"" if self._oversize else OVERSIZE
        self._oversize, self._first = True, False
        return Frame(raw, "", data)

    def _event(self, raw: bytes) -> Frame:
        if self._oversize:
            self._oversize = False
            return Frame(raw, "", b"")
        if len(raw) > self._max:
            return Frame(raw, "", OVERSIZE)
        text = raw
        if self._first:
            self._first = False
            text = _after_bom(raw)
        end = len(text) - 2
        if not self._has_cr:
            # By far the commonest forms: one data line, perhaps the event's name before it, LF LF.
            first = text.find(b"\n")
            if first == end and text.startswith(b"data: "):
                return Frame(raw, "", text[6:end])
            data = first + 1
            if text.startswith(b"event: ") and text.startswith(b"data: ", data) and text.find(b"\n", data) == end:
                return Frame(raw, text[7:first].decode("utf-8", "replace"), text[data + 6 : end])
        return _sse_event(raw, text)


def _sse_event(raw: bytes, text: bytes) -> Frame:
    name = b""
    lines: list[bytes] = []
    for line in text.splitlines():
        field, _, value = line.partition(b":")
        if field == b"data":
            lines.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return Frame(raw, name.decode("utf-8", "replace"), b"\n".join(lines))


class NdjsonFramer:
    """One JSON text a line; blank lines are frames without data."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._max = max_event_bytes
        self._first = True
        self._oversize = False

    def feed(self, data: bytes) -> list[Frame]:
        """See `Framer.feed`."""
        frames: list[Frame] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._keep(data[start : end + 1])
            frames.append(self._line())
            start = end + 1
        self._keep(data[start:])
        if self._size > self._max:
            raw = self._take()
            frames.append(Frame(raw, "", b"" if self._oversize else OVERSIZE))
            self._oversize = True
        return frames

    def close(self) -> list[Frame]:
        """See `Framer.close`."""
        return [self._line()] if self._size else []

    def pending(self) -> bytes:
        """See `Framer.pending`."""
        return b"".join(self._parts)

    def _keep(self, part: bytes) -> None:
        if part:
            self._parts.append(part)
            self._size += len(part)

    def _take(self) -> bytes:
        raw = b"".join(self._parts)
        self._parts, self._size = [], 0
        return raw

    def _line(self) -> Frame:
        raw = self._take()
        if self._oversize:
            self._oversize = False
            return Frame(raw, "", b"")
        if len(raw) > self._max:
            return Frame(raw, "", OVERSIZE)
        text = raw
        if self._first:
            self._first = False
            text = _after_bom(raw)
        return Frame(raw, "", text.strip(_SPACE))


class JsonArrayFramer:
    """The elements of one JSON array, each as soon as it is complete; also JSON values that merely follow each other.

    Brackets, commas and white space before an element go with its frame.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._element = 0  # where the current element begins in the buffer
        self._depth = 0
        self._base = -1  # the depth of elements: 1 inside an array, 0 for bare values; -1 before the first token
        self._in_string = False
        self._escaped = False
        self._max = max_event_bytes
        self._oversize = False

    def feed(self, data: bytes) -> list[Frame]:
        """See `Framer.feed`."""
        self._buffer += data
        frames: list[Frame] = []
        start = 0
        for begin, end in self._elements():
            frames.append(self._cut(start, max(begin, start), end))
            start = end
        if start:
            del self._buffer[:start]
            self._element -= start
        self._scanned = len(self._buffer)
        if self._scanned > self._max:
            frames.append(Frame(bytes(self._buffer), "", b"" if self._oversize else OVERSIZE))
            self._buffer, self._scanned, self._element, self._oversize = bytearray(), 0, 0, True
        return frames

    def close(self) -> list[Frame]:
        """See `Framer.close`."""
        if not self._buffer:
            return []
        frame = self._cut(0, max(self._element, 0), len(self._buffer))
        self._buffer, self._scanned, self._element = bytearray(), 0, 0
        return [frame]

    def pending(self) -> bytes:
        """See `Framer.pending`."""
        return bytes(self._buffer)

    def _cut(self, start: int, begin: int, end: int) -> Frame:
        raw = bytes(self._buffer[start:end])
        if self._oversize:
            self._oversize = False
            return Frame(raw, "", b"")
        if len(raw) > self._max:
            return Frame(raw, "", OVERSIZE)
        return Frame(raw, "", raw[begin - start :].strip(_SPACE))

    def _elements(self) -> Iterator[tuple[int, int]]:
        """Yield begin and end of each element that ends in the part of the buffer not looked at yet."""
        buffer = self._buffer
        position = self._scanned
        if self._escaped and position < len(buffer):
            position += 1
            self._escaped = False
        while (match := (_IN_STRING if self._in_string else _STRUCTURAL).search(buffer, position)) is not None:
            at, position = match.start(), match.end()
            token = buffer[at]
            if token == _BACKSLASH:
                self._escaped = position == len(buffer)
                position += 1
            elif token == _QUOTE:
                self._in_string = not self._in_string
                self._base = max(self._base, 0)
            elif token in _OPENING:
                self._open(token, at)
            else:
                yield from self._end(token, at)

    def _open(self, token: int, at: int) -> None:
        self._depth += 1
        if self._base < 0:
            self._base = 1 if token == _OPENING[0] else 0
            self._element = at + self._base

    def _end(self, token: int, at: int) -> Iterator[tuple[int, int]]:
        """Handle a comma or a closing bracket."""
        if token == _COMMA:
            if self._depth == self._base:
                if self._has_scalar(at):
                    yield self._element, at
                self._element = at + 1
            return
        self._depth = max(self._depth - 1, 0)
        if self._base == 1 and self._depth == 0:
            if self._has_scalar(at):
                yield self._element, at
            yield at + 1, at + 1
            self._base, self._element = -1, at + 1
        elif self._depth == self._base:
            yield self._element, at + 1
            self._element = at + 1

    def _has_scalar(self, at: int) -> bool:
        return self._oversize or bool(self._buffer[max(self._element, 0) : at].strip(_SPACE))


class WholeFramer:
    """A body that is one event. Past the bound it is let through unread."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._max = max_event_bytes
        self._oversize = False

    def feed(self, data: bytes) -> list[Frame]:
        """See `Framer.feed`."""
        if data:
            self._parts.append(data)
            self._size += len(data)
        return [self._take()] if self._size > self._max or (self._oversize and data) else []

    def close(self) -> list[Frame]:
        """See `Framer.close`."""
        return [self._take()] if self._size else []

    def pending(self) -> bytes:
        """See `Framer.pending`."""
        return b"".join(self._parts)

    def _take(self) -> Frame:
        raw = b"".join(self._parts)
        data = b"" if self._oversize else OVERSIZE if self._size > self._max else raw
        self._oversize = self._oversize or self._size > self._max
        self._parts, self._size = [], 0
        return Frame(raw, "", data)


_FRAMERS: dict[Framing, type[SseFramer | NdjsonFramer | JsonArrayFramer | WholeFramer]] = {
    Framing.SSE: SseFramer,
    Framing.NDJSON: NdjsonFramer,
    Framing.JSON_ARRAY: JsonArrayFramer,
    Framing.WHOLE: WholeFramer,
}
