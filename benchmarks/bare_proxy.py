"""The reference that every figure stands beside: a pass-through on the same parts as the gateway, and nothing else.

Rules:
1. `asyncio.Protocol` + `httptools` + `uvloop` on both sides, upstream connections pooled, keep-alive on both.
2. Heads are parsed and written again (hop-by-hop headers dropped, `Host` set), because any HTTP proxy must; bodies are never
   looked at, only re-framed, chunk by chunk, in the callback that received them.
3. Flow control both ways by `pause_reading`. No deadlines, no limits, no retries, no records: it is a yardstick, not a product.

Run: `bare_proxy.py --upstream HOST:PORT [--port 0] [--strip PREFIX]`; the first line on standard output is the port. `--strip`
takes a prefix off the path, so that the same requests can be sent to it as to the gateway.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import deque
from typing import Any

import httptools
import uvloop

_HOP = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade", b"proxy-authorization", b"host"}
)


class Pool:
    """Idle upstream connections, the youngest first."""

    def __init__(self, host: str, port: int, strip: bytes) -> None:
        self.host, self.port, self.strip = host, port, strip
        self.authority = f"{host}:{port}".encode()
        self.idle: deque[Upstream] = deque()

    async def connect(self) -> Upstream:
        """Open one more connection."""
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_connection(lambda: Upstream(self), self.host, self.port)
        return upstream


class Upstream(asyncio.Protocol):
    """One connection to the provider. `client` is whom it serves at the moment."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.client: Client | None = None
        self._headers: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to parse."""
        self.transport: Any = transport
        self._parser = httptools.HttpResponseParser(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio calls it so
        """Break the client off if it was being served."""
        if self.client is not None:
            self.client.transport.close()
        elif self in self._pool.idle:
            self._pool.idle.remove(self)

    def pause_writing(self) -> None:
        """Stop reading the client while the provider is slow."""
        if self.client is not None:
            self.client.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self.client is not None:
            self.client.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, then write what its callbacks collected in one go."""
        self._out: list[bytes] = []
        client = self.client
        self._parser.feed_data(data)
        if client is not None and self._out:
            client.transport.writelines(self._out)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Copy an end-to-end header."""
        name = name.lower()
        if name not in _HOP:
            self._headers.append(b"%s: %s\r\n" % (name, value))
            if name == b"content-length":
                self._chunked = False

    def on_message_begin(self) -> None:
        """Begin a response; without a length it is sent on in chunks."""
        self._headers.clear()
        self._chunked = True

    def on_headers_complete(self) -> None:
        """Send the head on."""
        status = self._parser.get_status_code()
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        self._out.append(b"HTTP/1.1 %d OK\r\n%s%s\r\n" % (status, b"".join(self._headers), framing))

    def on_body(self, body: bytes) -> None:
        """Send a piece on."""
        self._out.append(b"%x\r\n%s\r\n" % (len(body), body) if self._chunked else body)

    def on_message_complete(self) -> None:
        """End the response and go back to the pool."""
        if self._chunked:
            self._out.append(b"0\r\n\r\n")
        client, self.client = self.client, None
        if client is not None:
            client.upstream = None
            self._pool.idle.append(self)


class Client(asyncio.Protocol):
    """One client connection."""

    def __init__(self, pool: Pool, tasks: set[asyncio.Task[None]]) -> None:
        self._pool, self._tasks = pool, tasks
        self.upstream: Upstream | None = None
        self._waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to parse."""
        self.transport: Any = transport
        self._parser = httptools.HttpRequestParser(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio calls it so
        """Cancel the provider's answer that nobody reads."""
        if self.upstream is not None:
            self.upstream.client = None
            self.upstream.transport.abort()

    def pause_writing(self) -> None:
        """Stop reading the provider while the client is slow."""
        if self.upstream is not None:
            self.upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self.upstream is not None:
            self.upstream.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, then hand what its callbacks collected to the provider."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()
            return
        if self._waiting and self.upstream is not None:
            self.upstream.transport.writelines(self._waiting)
            self._waiting = []

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url = b""
        self._headers: list[bytes] = []
        self._chunked = False

    def on_url(self, url: bytes) -> None:
        """Keep the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Copy an end-to-end header."""
        name = name.lower()
        if name not in _HOP:
            self._headers.append(b"%s: %s\r\n" % (name, value))
        elif name == b"transfer-encoding":
            self._chunked = True

    def on_headers_complete(self) -> None:
        """Send the head on over an idle connection, or ask for a new one."""
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        self._waiting.append(
            b"%s %s HTTP/1.1\r\nhost: %s\r\n%s%s\r\n"
            % (
                self._parser.get_method(),
                self._url.removeprefix(self._pool.strip),
                self._pool.authority,
                b"".join(self._headers),
                framing,
            ),
        )
        if self._pool.idle:
            self._bind(self._pool.idle.pop())
        else:
            task = asyncio.get_running_loop().create_task(self._open())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def on_body(self, body: bytes) -> None:
        """Keep a piece for the write at the end of this callback."""
        self._waiting.append(b"%x\r\n%s\r\n" % (len(body), body) if self._chunked else body)

    def on_message_complete(self) -> None:
        """End the request."""
        if self._chunked:
            self._waiting.append(b"0\r\n\r\n")

    def _bind(self, upstream: Upstream) -> None:
        upstream.client = self
        self.upstream = upstream

    async def _open(self) -> None:
        try:
            upstream = await self._pool.connect()
        except OSError:
            self.transport.close()
            return
        self._bind(upstream)
        upstream.transport.writelines(self._waiting)
        self._waiting = []


async def _serve(host: str, port: int, upstream_port: int, strip: bytes) -> None:
    loop = asyncio.get_running_loop()
    pool = Pool(host, upstream_port, strip)
    tasks: set[asyncio.Task[None]] = set()
    server = await loop.create_server(lambda: Client(pool, tasks), "127.0.0.1", port, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", required=True, help="HOST:PORT")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--strip", default="", help="a prefix to take off the path")
    args = parser.parse_args()
    host, _, port = args.upstream.rpartition(":")
    uvloop.run(_serve(host, args.port, int(port), args.strip.encode()))


if __name__ == "__main__":
    main()
