# ruff: noqa: D102, ASYNC110 - the exchange follows its port; waits are bounded by `run`
"""A gateway on a loopback socket, a scripted provider behind it, and an exchange that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import uvloop

from llmcp.core.http import (
    Cut,
    Forward,
    Headers,
    Hold,
    Origin,
    ReadBody,
    Replay,
    RequestHead,
    Respond,
    ResponseStart,
    Timeouts,
    header,
)
from llmcp.core.settings import LimitSettings
from llmcp.ports import RefusalKind
from llmcp.runtime.gateway import Gateway
from llmcp.runtime.upstream import UpstreamPool

LOOPS = ("uvloop", "asyncio")
HOP = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te", b"trailer", b"host", b"expect"})
NOON = 1_700_000_000.0

type Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run[T](loop_kind: str, scenario: Coroutine[Any, Any, T]) -> T:
    """Run `scenario` on a fresh loop of `loop_kind`; nothing takes longer than 20 seconds."""
    factory = uvloop.new_event_loop if loop_kind == "uvloop" else asyncio.new_event_loop

    async def bounded() -> T:
        unhandled: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
        try:
            result = await asyncio.wait_for(scenario, 20)
        except TimeoutError:
            assert not unhandled, unhandled
            raise
        assert not unhandled, unhandled
        return result

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(bounded())


@dataclass
class Exchange:
    """Passes everything through to `origin`, writes down what it was told, and lets a test replace any step."""

    origin: Origin
    timeouts: Timeouts = field(default_factory=Timeouts)
    read_limit: int | None = 1_000_000  # None: the body is streamed through
    told: list[Any] = field(default_factory=list)
    on_head: Callable[[RequestHead], Respond | ReadBody | Forward] | None = None
    on_body: Callable[[bytes], Respond | Forward] | None = None
    on_response_head: Callable[[int, Headers], ResponseStart | Hold] | None = None
    on_data: Callable[[bytes], bytes | Cut | Respond] | None = None
    on_end: Callable[[], bytes | Cut | Respond | Replay] | None = None
    on_failed: Callable[[RefusalKind, str], Respond | Cut] | None = None
    head: RequestHead | None = None
    begun: bool = False

    def forward(self, body: bytes | None) -> Forward:
        assert self.head is not None
        headers = tuple(h for h in self.head.headers if h[0] not in HOP)
        return Forward(self.origin, self.head.method, self.head.target, headers, body, self.timeouts)

    def receive_head(self, head: RequestHead) -> Respond | ReadBody | Forward:
        self.head = head
        self.told.append(("head", head.method, head.target))
        if self.on_head:
            return self.on_head(head)
        return self.forward(None) if self.read_limit is None else ReadBody(self.read_limit)

    def receive_body(self, body: bytes) -> Respond | Forward:
        self.told.append(("body", len(body)))
        return self.on_body(body) if self.on_body else self.forward(body)

    def body_too_large(self) -> Respond:
        self.told.append("too large")
        return Respond(413, (), b"too large")

    def receive_response_head(self, status: int, headers: Headers) -> ResponseStart | Hold:
        self.told.append(("status", status))
        if self.on_response_head:
            start = self.on_response_head(status, headers)
        else:
            length = header(headers, b"content-length")
            kept = tuple(h for h in headers if h[0] not in HOP and h[0] != b"content-length")
            start = ResponseStart(status, kept, int(length) if length else None)
        self.begun = isinstance(start, ResponseStart)
        return start

    def receive_response_data(self, data: bytes) -> bytes | Cut | Respond:
        self.told.append(("data", len(data)))
        return self.on_data(data) if self.on_data else data

    def receive_response_end(self) -> bytes | Cut | Respond | Replay:
        self.told.append("end")
        return self.on_end() if self.on_end else b""

    def upstream_failed(self, kind: RefusalKind, why: str) -> Respond | Cut:
        self.told.append(("failed", kind.value, why))
        if self.on_failed:
            return self.on_failed(kind, why)
        return Cut(b"", clean=False) if self.begun else Respond(502, (), why.encode())

    def client_gone(self) -> None:
        self.told.append("gone")

    def finished(self) -> None:
        self.told.append("finished")


@dataclass
class Rig:
    """What a scenario works with."""

    gateway: Gateway
    pool: UpstreamPool
    port: int
    exchanges: list[Exchange]
    bugs: list[Exception]

    async def ask(self, data: bytes, *, eof: bool = False) -> bytes:
        """Send `data`, read until the gateway closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        if eof:
            writer.write_eof()
        with contextlib.suppress(ConnectionError):
            answer = await reader.read()
        writer.close()
        return answer

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds`; the run's own bound ends a wait in vain."""
        while not holds():
            await asyncio.sleep(0.005)

    def told(self) -> list[Any]:
        """What the only exchange was told."""
        assert len(self.exchanges) == 1
        return self.exchanges[0].told


@contextlib.asynccontextmanager
async def rig(
    talk: Talk | None = None,
    *,
    limits: LimitSettings | None = None,
    local: Callable[[RequestHead], Respond | None] = lambda _head: None,
    server_tls: ssl.SSLContext | None = None,
    client_tls: ssl.SSLContext | None = None,
    origin: Origin | None = None,
    open_exchange: Callable[[str], Any] | None = None,
    tick_s: float = 0.02,
    idle_s: float = 45.0,
    **script: Any,
) -> AsyncIterator[Rig]:
    """Start a provider that speaks as `talk` says, and a gateway before it whose exchanges follow `script`."""
    async with contextlib.AsyncExitStack() as stack:
        if talk is not None:
            server = await asyncio.start_server(guarded(talk), "127.0.0.1", 0, ssl=server_tls)
            stack.callback(server.close)
            port = server.sockets[0].getsockname()[1]
            origin = Origin("https" if server_tls else "http", "127.0.0.1", port)
        place = origin or Origin("http", "127.0.0.1", 1)
        exchanges: list[Exchange] = []
        bugs: list[Exception] = []

        def open_one(_ip: str) -> Exchange:
            exchanges.append(Exchange(place, **script))
            return exchanges[-1]

        pool = UpstreamPool(tls=client_tls or ssl.create_default_context(), tick_s=tick_s, idle_s=idle_s, header_bytes=16384)
        gateway = Gateway(
            open_exchange=open_exchange or open_one,
            pool=pool,
            limits=limits or LimitSettings(),
            wall_now=lambda: NOON,
            on_bug=bugs.append,
            local=local,
            tick_s=tick_s,
        )
        listening = await gateway.start("127.0.0.1", 0)
        try:
            yield Rig(gateway, pool, listening, exchanges, bugs)
        finally:
            await gateway.drain(0)
            pool.close()


def guarded(talk: Talk) -> Talk:
    """Let a provider's side end quietly when the gateway closes on it."""

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await talk(reader, writer)
        with contextlib.suppress(ConnectionError):
            writer.close()

    return session


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one request as a provider would: its head, and its body (decoded)."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        return head, body
    if b"content-length:" in lower:
        length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
        return head, await reader.readexactly(length)
    return head, b""


def answering(*answers: bytes, seen: list[tuple[bytes, bytes]] | None = None) -> Talk:
    """Return a provider that answers each request of a connection with the next of `answers`, the last one again and again."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        count = 0
        while True:
            request = await read_request(reader)
            if seen is not None:
                seen.append(request)
            writer.write(answers[min(count, len(answers) - 1)])
            await writer.drain()
            count += 1

    return talk


async def read_response(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one response of a keep-alive connection: its head, and its body (decoded)."""
    return await read_request(reader)


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
GET = b"GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n"
GET_CLOSE = b"GET /x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


def post(body: bytes, *headers: bytes) -> bytes:
    """Return a POST that asks the gateway to close after it."""
    lines = b"".join(h + b"\r\n" for h in headers)
    return b"POST /x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: %d\r\n%b\r\n%b" % (
        len(body),
        lines,
        body,
    )
