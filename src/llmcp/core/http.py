"""HTTP values that cross the line between the pure engine and its shells.

Rules:
1. Header names are lower-case bytes, values are bytes as received; order and repetition are kept.
2. `target` is the request target as the client sent it: path and query, never decoded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

type Headers = tuple[tuple[bytes, bytes], ...]


def header(headers: Headers, name: bytes, default: bytes = b"") -> bytes:
    """Return the first value of `name` (lower-case), or `default`."""
    for key, value in headers:
        if key == name:
            return value
    return default


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request line and its headers. `client_ip` is the peer's address as text."""

    method: str
    target: str
    headers: Headers
    client_ip: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an upstream request goes: scheme `http` or `https`, host, port."""

    scheme: str
    host: str
    port: int

    def authority(self) -> str:
        """Return the `Host` header's value: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Deadlines of one upstream attempt, in seconds; 0 means none."""

    connect_s: float = 10.0
    first_byte_s: float = 600.0
    idle_s: float = 300.0
    total_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Forward:
    """Send this upstream. `body` None: the client's body is streamed through as it comes (with its own framing headers).

    `headers` are complete but for `content-length` / `transfer-encoding`, which the shell sets from the body it sends.
    """

    origin: Origin
    method: str
    target: str
    headers: Headers
    body: bytes | None
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer the client with this and send nothing upstream. The shell adds `content-length`, `date` and `connection`."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class ReadBody:
    """Read the whole request body (at most `limit` bytes, after de-chunking) and call `receive_body`."""

    limit: int


@dataclass(frozen=True, slots=True)
class ResponseStart:
    """Begin the client's response. `content_length` None: the length is not known beforehand, so the shell uses chunked framing."""

    status: int
    headers: Headers
    content_length: int | None


@dataclass(frozen=True, slots=True)
class Hold:
    """Send nothing to the client yet: the whole response is wanted before anything is let go."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Send `data` (the dialect's terminal event, may be empty), end the client's response, cancel the upstream.

    `clean` False: the response is broken off instead (no last chunk, connection closed), so that the client sees a truncation.
    """

    data: bytes
    clean: bool = True


@dataclass(frozen=True, slots=True)
class Replay:
    """A held response, let go whole."""

    start: ResponseStart
    body: bytes
