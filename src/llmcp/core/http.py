"""HTTP values that cross the line between the pure engine and its shells.

Rules:
1. Header names are lower-case bytes, values are bytes as received; order and repetition are kept.
2. `target` is the request target as the client sent it: path and query, never decoded.
"""

from __future__ import annotations

import msgspec

type Headers = tuple[tuple[bytes, bytes], ...]


def header(headers: Headers, name: bytes, default: bytes = b"") -> bytes:
    """Return the first value of `name` (lower-case), or `default`."""
    for key, value in headers:
        if key == name:
            return value
    return default


class RequestHead(msgspec.Struct, frozen=True, gc=False):
    """A request line and its headers. `client_ip` is the peer's address as text."""

    method: str
    target: str
    headers: Headers
    client_ip: str = ""


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where an upstream request goes: scheme `http` or `https`, host, port."""

    scheme: str
    host: str
    port: int

    def authority(self) -> str:
        """Return the `Host` header's value: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


class Timeouts(msgspec.Struct, frozen=True, gc=False):
    """Deadlines of one upstream attempt, in seconds; 0 means none."""

    connect_s: float = 10.0
    first_byte_s: float = 600.0
    idle_s: float = 300.0
    total_s: float = 3600.0


class Forward(msgspec.Struct, frozen=True, gc=False):
    """Send this upstream. `body` None: the client's body is streamed through as it comes (with its own framing headers).

    `headers` are complete but for `content-length` / `transfer-encoding`, which the shell sets from the body it sends.
    """

    origin: Origin
    method: str
    target: str
    headers: Headers
    body: bytes | None
    timeouts: Timeouts = msgspec.field(default_factory=Timeouts)


class Respond(msgspec.Struct, frozen=True, gc=False):
    """Answer the client with this and send nothing upstream. The shell adds `content-length`, `date` and `connection`."""

    status: int
    headers: Headers
    body: bytes


class ReadBody(msgspec.Struct, frozen=True, gc=False):
    """Read the whole request body (at most `limit` bytes, after de-chunking) and call `receive_body`."""

    limit: int


class ResponseStart(msgspec.Struct, frozen=True, gc=False):
    """Begin the client's response. `content_length` None: the length is not known beforehand, so the shell uses chunked framing."""

    status: int
    headers: Headers
    content_length: int | None


class Hold(msgspec.Struct, frozen=True, gc=False):
    """Send nothing to the client yet: the whole response is wanted before anything is let go."""


class Cut(msgspec.Struct, frozen=True, gc=False):
    """Send `data` (the dialect's terminal event, may be empty), end the client's response, cancel the upstream.

    `clean` False: the response is broken off instead (no last chunk, connection closed), so that the client sees a truncation.
    """

    data: bytes
    clean: bool = True


class Replay(msgspec.Struct, frozen=True, gc=False):
    """A held response, let go whole."""

    start: ResponseStart
    body: bytes
