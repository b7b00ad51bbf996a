"""A listener: accepts clients, holds their connections, and ends in order.

Serves the gateway and the admin API alike; what a request means is the injected exchange's.

Rules:
1. One tick looks at all connections' deadlines; it runs only while there are connections.
2. Over `max_connections` a client is told 503 and let go.
3. Draining: nothing new is accepted, idle connections close at once, open requests get `drain_s` to finish, then they are cut.
"""

from __future__ import annotations

import asyncio
import contextlib
from email.utils import formatdate
from typing import TYPE_CHECKING

from llmcp.runtime.client_connection import ClientConnection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from llmcp.core.http import RequestHead, Respond
    from llmcp.core.settings import LimitSettings
    from llmcp.runtime.exchange_port import ExchangePort
    from llmcp.runtime.upstream import UpstreamPool

# What may wait unread behind a request in work, beyond one head.
_READ_AHEAD_EXTRA = 65536
# A cut connection needs one turn of the loop to be gone.
_CUT_S = 1.0


def _no_local_answer(_head: RequestHead) -> Respond | None:
    return None


class Gateway:
    """See the module's rules.

    `open_exchange` is called once per request with the client's address; `local` first, for every request: an answer of its
    own ends the request there. `on_bug` hears of every exception that the boundary caught. `wall_now` is POSIX time, for dates.
    """

    def __init__(  # noqa: PLR0913  # everything it needs is injected
        self,
        *,
        open_exchange: Callable[[str], ExchangePort],
        pool: UpstreamPool,
        limits: LimitSettings,
        wall_now: Callable[[], float],
        on_bug: Callable[[Exception], None],
        local: Callable[[RequestHead], Respond | None] = _no_local_answer,
        tick_s: float = 0.5,
    ) -> None:
        self.open_exchange = open_exchange
        self.pool = pool
        self.limits = limits
        self.on_bug = on_bug
        self.local = local
        self.draining = False
        self.now = 0.0
        self.date = b""
        self.read_ahead = limits.header_bytes + _READ_AHEAD_EXTRA
        self._wall_now = wall_now
        self._tick_s = tick_s
        self._connections: set[ClientConnection] = set()
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def open_connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def start(self, host: str, port: int, *, tls: ssl.SSLContext | None = None, reuse_port: bool = False) -> int:
        """Listen, and return the port (the real one where 0 was asked for). Raises: OSError."""
        loop = asyncio.get_running_loop()
        self._read_clock()
        self._server = await loop.create_server(
            lambda: ClientConnection(self),
            host,
            port,
            backlog=1024,
            ssl=tls,
            reuse_port=reuse_port or None,
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def drain(self, deadline_s: float | None = None) -> int:
        """Stop in order (rule 3); return how many connections had to be cut."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.close_if_idle()
        await self._emptied(self.limits.drain_s if deadline_s is None else deadline_s)
        cut = tuple(self._connections)
        for connection in cut:
            connection.abort()
        await self._emptied(_CUT_S)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return len(cut)

    async def _emptied(self, timeout_s: float) -> None:
        """Wait until nobody is connected, at most so long."""
        if self._connections:
            self._empty.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), timeout_s)

    # --- what connections need

    def admit(self, connection: ClientConnection) -> bool:
        """Take a connection in; False where there are too many (it is held until it is closed)."""
        self._arm()
        self._connections.add(connection)
        return len(self._connections) <= self.limits.max_connections

    def forget(self, connection: ClientConnection) -> None:
        """Strike a closed connection off."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    # --- time

    def _read_clock(self) -> None:
        self.now = asyncio.get_running_loop().time()
        self.date = f"date: {formatdate(self._wall_now(), usegmt=True)}\r\n".encode("ascii")

    def _arm(self) -> None:
        if self._timer is None:
            self._read_clock()
            self._timer = asyncio.get_running_loop().call_later(self._tick_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if not self._connections:
            return
        self._arm()
        for connection in tuple(self._connections):
            connection.tick(self.now)
