"""The pool of connections to providers: checks one out or opens one, takes them back, closes the old.

Rules:
1. Idle connections are kept per origin, the last used first; few, and not for long (providers close theirs after about a minute).
2. Before an idle connection is used its socket is looked at: one that has an end or unasked bytes to read is closed.
3. A connection is opened by a task of its own, under the connect deadline; certificates are always verified.
4. One tick looks at all deadlines; it runs only while there are connections.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

from llmcp.ports import RefusalKind
from llmcp.runtime.render import RequestHeads
from llmcp.runtime.upstream_call import UpstreamCall
from llmcp.runtime.upstream_connection import UpstreamConnection

if TYPE_CHECKING:
    from llmcp.core.http import Forward, Origin
    from llmcp.runtime.upstream_call import UpstreamListener

# Up to this size head and body are joined: one copy is cheaper than a second system call.
_JOIN_MAX = 65536


def default_tls_context() -> ssl.SSLContext:
    """Return a verifying client context: the system's certificates (or those of SSL_CERT_FILE), certifi's where there are none."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        import certifi  # noqa: PLC0415 - where the system has certificates it is not needed

        context.load_verify_locations(cafile=certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


class UpstreamPool:
    """See the module's rules. `header_bytes` bounds the head of an answer."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext,
        header_bytes: int = 65536,
        idle_per_origin: int = 64,
        idle_s: float = 45.0,
        tick_s: float = 0.5,
    ) -> None:
        self.header_bytes = header_bytes
        self._tls = tls
        self._idle_per_origin = idle_per_origin
        self._idle_s = idle_s
        self._tick_s = tick_s
        self._idle: dict[Origin, list[UpstreamConnection]] = {}
        self._connections: set[UpstreamConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._now = 0.0
        self._heads = RequestHeads()

    def now(self) -> float:
        """Return the loop's time as of the last tick: deadlines are coarse."""
        return self._now

    @property
    def open_connections(self) -> int:
        """How many connections there are, idle ones included."""
        return len(self._connections)

    def send(self, forward: Forward, listener: UpstreamListener, length: int | None = None) -> UpstreamCall:
        """Send `forward`. With `forward.body` None the body (of `length` bytes, or `CHUNKED`) follows through the call.

        The listener is told of everything later, never before this returns; on a connection that stood ready,
        `call.connection` is set at once and `upstream_ready` is not called.

        Raises: ValueError where a header or the target cannot be written; nothing was sent then.
        """
        call = UpstreamCall(listener, forward.method, forward.origin, forward.timeouts)
        body = forward.body
        if body is None:
            call.streamed = bool(length)
            call.sent_all = not length
            call.chunked = length is not None and length < 0
            call.pieces = (self._heads.write(forward, length),)
        else:
            head = self._heads.write(forward, len(body))
            call.pieces = (head + body,) if len(body) <= _JOIN_MAX else (head, body)
        connection = self._check_out(forward.origin)
        if connection is None:
            self._open(call)
        else:
            connection.begin(call, self._now)
        return call

    def _check_out(self, origin: Origin) -> UpstreamConnection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.fit():
                return connection
            connection.abort()
        return None

    def give_back(self, connection: UpstreamConnection) -> None:
        """Keep an idle connection, or close it where there are enough."""
        idle = self._idle.setdefault(connection.origin, [])
        if len(idle) >= self._idle_per_origin:
            connection.abort()
            return
        connection.idle_since = self._now
        idle.append(connection)

    def forget(self, connection: UpstreamConnection) -> None:
        """Strike a closed connection off."""
        self._connections.discard(connection)
        idle = self._idle.get(connection.origin)
        if idle and connection in idle:
            idle.remove(connection)

    def repeat(self, call: UpstreamCall) -> None:
        """Send a call again on a fresh connection (the call's rule 3)."""
        call.retried = True
        self._open(call)

    def _open(self, call: UpstreamCall) -> None:
        self._arm()
        task = asyncio.get_running_loop().create_task(self._connect(call))
        call.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, call: UpstreamCall) -> None:
        origin = call.origin
        secure = origin.scheme == "https"
        try:
            async with asyncio.timeout(call.timeouts.connect_s or None):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: UpstreamConnection(self, origin),
                    origin.host,
                    origin.port,
                    ssl=self._tls if secure else None,
                    server_hostname=origin.host if secure else None,
                )
        except Exception as exc:  # noqa: BLE001  # boundary: whatever connecting raises is this one call's failure
            call.task = None
            self._failed(call, exc)
            return
        call.task = None
        self._connections.add(connection)
        self._arm()
        if call.listener is None:
            self.give_back(connection)
            return
        connection.begin(call, asyncio.get_running_loop().time())
        if call.streamed:
            call.listener.upstream_ready()

    @staticmethod
    def _failed(call: UpstreamCall, exc: Exception) -> None:
        listener, call.listener = call.listener, None
        if listener is not None:
            listener.upstream_failed(*_words(call, exc))

    # --- time

    def _arm(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._now = loop.time()
            self._timer = loop.call_later(self._tick_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if not self._connections and not self._tasks:
            return
        self._arm()
        now = self._now
        for connection in tuple(self._connections):
            if connection.call is not None:
                connection.tick(now)
            elif now - connection.idle_since > self._idle_s:
                connection.abort()

    def close(self) -> None:
        """Close everything; calls in work hear nothing more."""
        for task in tuple(self._tasks):
            task.cancel()
        for connection in tuple(self._connections):
            connection.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _words(call: UpstreamCall, exc: Exception) -> tuple[RefusalKind, str]:
    """Say why a connection could not be made."""
    place = call.origin.authority()
    if isinstance(exc, ssl.SSLCertVerificationError):
        return RefusalKind.UPSTREAM_FAILED, f"the certificate of {place} does not verify: {exc.verify_message}"
    if isinstance(exc, ssl.SSLError):
        return RefusalKind.UPSTREAM_FAILED, f"no TLS connection to {place}: {exc.reason or 'handshake failed'}"
    if isinstance(exc, socket.gaierror):
        return RefusalKind.UPSTREAM_FAILED, f"the name {call.origin.host} does not resolve"
    if isinstance(exc, TimeoutError):
        return RefusalKind.UPSTREAM_TIMEOUT, f"no connection to {place} within {call.timeouts.connect_s:g} s"
    if isinstance(exc, OSError) and exc.strerror:
        return RefusalKind.UPSTREAM_FAILED, f"no connection to {place}: {exc.strerror}"
    return RefusalKind.UPSTREAM_FAILED, f"no connection to {place} ({type(exc).__name__})"
