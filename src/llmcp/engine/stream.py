"""Reads a response as it passes, and holds back what a rule may still refuse.

Rules:
1. Without a gate the client gets the very bytes of the upstream, as they come; reading happens beside it.
2. With a gate whole events pass, in order and unchanged, each only after it was read; a tool call whose name is not known yet is
   withheld with all that follows it.
3. What cannot be read is named in `skipped`, never silently passed over.
4. Nothing grows without end: a whole body is kept for reading up to `max_bytes`.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from llmcp.core.http import header
from llmcp.engine.encoding import decoder_for, readable
from llmcp.engine.framing import Framer, framer_for, sniff, undecided
from llmcp.ports import Framing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmcp.core.decide import Decision
    from llmcp.core.http import Headers
    from llmcp.core.messages import Observation
    from llmcp.ports import Endpoint, Frame

_STREAM_TYPES = (b"text/event-stream", b"application/vnd.amazon.eventstream", b"application/x-ndjson", b"application/stream+json")


def declares_stream(headers: Headers) -> bool:
    """Tell whether the content type itself says that the body is a stream of events."""
    return is_stream(header(headers, b"content-type"))


def is_stream(content_type: bytes) -> bool:
    """Tell whether a content type says that the body is a stream of events."""
    return content_type.strip().lower().startswith(_STREAM_TYPES)


class ResponseReader:
    """Reads one response body into an `Observation`.

    `gate` is asked by name about every tool call before it is let go; its first denial is kept in `denied`, after which nothing
    more is let go. `let_go` tells whether the client got anything of the body yet.
    """

    __slots__ = (
        "_asked", "_content_type", "_decoder", "_endpoint", "_framer", "_gate", "_headers", "_max_bytes", "_parts", "_read_event",
        "_reading", "_seen", "_size", "_status", "_stream", "_whole", "_withheld", "bytes", "denied", "framing", "let_go", "skipped",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - what a response is read by; all but two by name
        self,
        endpoint: Endpoint,
        seen: Observation,
        *,
        status: int,
        headers: Headers,
        stream: bool,
        max_bytes: int,
        gate: Callable[[str], Decision | None] | None = None,
    ) -> None:
        self.denied: Decision | None = None
        self.framing = Framing.WHOLE
        self.skipped: list[tuple[str, str]] = []
        self.bytes = 0
        self.let_go = False
        self._endpoint = endpoint
        self._seen = seen
        self._status = status
        self._headers = headers
        self._stream = stream
        self._max_bytes = max_bytes
        self._gate = gate
        self._framer: Framer | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._whole = False
        self._withheld: list[bytes] = []
        self._asked: list[str] = []
        self._read_event = endpoint.dialect.read_event
        self._content_type = content_type = header(headers, b"content-type")
        coding = header(headers, b"content-encoding")
        self._reading = endpoint.inspectable
        if not endpoint.inspectable:
            self.skipped.append(("body", "no dialect reads this endpoint"))
        elif coding and not readable(coding):
            self._skip("its content encoding cannot be read")
        self._decoder = decoder_for(coding) if coding and self._reading else None
        if self._reading and is_stream(content_type):
            self._begin(sniff(content_type, b"", stream))

    @property
    def at_event_boundary(self) -> bool:
        """Whether all bytes so far make whole events, so that another event may be appended."""
        return self._framer is not None and not self._framer.pending()

    def ungate(self) -> None:
        """Let everything pass from here on: the rules have been asked and let a body pass that cannot be read."""
        self._gate = None

    def feed(self, data: bytes) -> bytes:
        """Read a piece of the body; return what may go to the client now."""
        self.bytes += len(data)
        if self._gate is None:
            if self._reading:
                framer = self._framer
                for frame in framer.feed(data) if framer is not None and self._decoder is None else self._frames(data):
                    self._read_event(self._endpoint, frame, self._seen)
            self.let_go = True
            return data
        return self._pass(self._frames(data))

    def close(self) -> bytes:
        """Read what is left at the end of the body; return what may still go to the client."""
        if not self._reading:
            return b""
        if self._framer is None and not self._whole and self._stream:
            self._begin(sniff(self._content_type, b"".join(self._parts), self._stream))
        if self._framer is None:
            return self._close_whole()
        frames = self._framer.close()
        if self._gate is not None:
            passed = self._pass(frames)
            if self.denied is None:
                passed += b"".join(self._withheld)
                self._withheld.clear()
            return passed
        self._take(frames)
        return b""

    def _close_whole(self) -> bytes:
        body = b"".join(self._parts)
        self._parts.clear()
        # An answer that begins like an object and was not asked for as a stream is one document.
        plain = body[:1] == b"{" and not self._stream
        framing = Framing.WHOLE if plain else sniff(self._content_type, body[:4096], self._stream)
        if framing is not Framing.WHOLE:
            # Said to be one document, but it is a stream of events: some servers mislabel them.
            self.framing = framing
            framer = framer_for(framing)
            self._take(framer.feed(body))
            self._take(framer.close())
        else:
            self._endpoint.dialect.read_body(self._endpoint, self._status, self._headers, body, self._seen)
        return body if self._gate is not None and self._ask() else b""

    def _begin(self, framing: Framing) -> Framer | None:
        self.framing = framing
        self._whole = framing is Framing.WHOLE
        self._framer = None if self._whole else framer_for(framing)
        return self._framer

    def _take(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            self._read_event(self._endpoint, frame, self._seen)

    def _frames(self, data: bytes) -> list[Frame]:
        """Return the whole events that `data` completes; a whole body is collected instead."""
        if self._decoder is not None:
            try:
                data = self._decoder.feed(data)
            except zlib.error:
                self._skip("its content encoding is corrupt")
                return []
        if self._framer is not None:
            return self._framer.feed(data)
        self._size += len(data)
        if self._size > self._max_bytes:
            self._skip("it is larger than the limit for reading")
            return []
        self._parts.append(data)
        if self._whole or not self._stream:
            return []
        first = b"".join(self._parts)
        if undecided(self._content_type, first, self._stream):
            return []
        framer = self._begin(sniff(self._content_type, first, self._stream))
        if framer is None:
            return []
        self._parts.clear()
        return framer.feed(first)

    def _pass(self, frames: Iterable[Frame]) -> bytes:
        """Read `frames` one by one and return the bytes of those that may go."""
        out = bytearray()
        for frame in frames:
            if self.denied is not None:
                break
            self._read_event(self._endpoint, frame, self._seen)
            if not self._ask():
                break
            self._withheld.append(frame.raw)
            if all(call.name for call in self._seen.tools):
                out += b"".join(self._withheld)
                self._withheld.clear()
        self.let_go = self.let_go or bool(out)
        return bytes(out)

    def _ask(self) -> bool:
        """Ask the gate about every tool call whose name is new or has grown."""
        assert self._gate is not None  # noqa: S101 - only called with a gate; narrows the type
        for index, call in enumerate(self._seen.tools):
            if index < len(self._asked) and self._asked[index] == call.name:
                continue
            if index >= len(self._asked):
                self._asked.append("")
            if not call.name:
                continue
            self._asked[index] = call.name
            self.denied = self._gate(call.name)
            if self.denied is not None:
                return False
        return True

    def _skip(self, why: str) -> None:
        self._reading = False
        self._parts.clear()
        self.skipped.append(("body", why))
