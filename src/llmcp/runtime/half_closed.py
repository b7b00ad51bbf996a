"""Finds out whether a client that ended its sending side still reads.

A client that shut down its sending side and one that left look the same: an end of input. Only bytes sent to it tell them apart:
a dead client's system answers with a reset.

Rules:
1. Probes mean nothing to a living client: an interim `100 Continue` before the answer, the leading zero of a chunk's size within it.
2. Nothing is sent before an answer has begun for the first half second: a half-closed client that is answered quickly sees no probe.
3. The reset is read from the socket's error: the loop does not watch a socket whose end it has read.
4. There are few probes, further and further apart; some clients bound the number of interim answers.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

# Seconds to wait before each probe; a look at the socket follows each.
_PAUSES_S = (0.05, 0.35, 3.0, 15.0, 60.0)
_LOOK_AFTER_S = 0.1


class ProbeBytes(Protocol):
    """Gives the bytes that may be sent now, or none."""

    def __call__(self, *, gently: bool) -> bytes:
        """`gently`: nothing before the answer has begun."""


class HalfClosed:
    """Probes one connection until it is closed or proved to be left, which aborts it."""

    __slots__ = ("_pauses", "_probe_bytes", "_transport")

    def __init__(self, transport: asyncio.Transport, probe_bytes: ProbeBytes) -> None:
        self._transport = transport
        self._probe_bytes = probe_bytes
        self._pauses: Iterator[tuple[int, float]] = iter(enumerate(_PAUSES_S))

    def watch(self) -> None:
        """Plan the next probe."""
        planned = next(self._pauses, None)
        if planned is not None:
            asyncio.get_running_loop().call_later(planned[1], self._probe, planned[0] == 0)

    def _probe(self, gently: bool) -> None:  # noqa: FBT001  # call_later takes no keywords
        if self._transport.is_closing():
            return
        data = self._probe_bytes(gently=gently)
        if data:
            self._transport.write(data)
        asyncio.get_running_loop().call_later(_LOOK_AFTER_S, self._look)

    def _look(self) -> None:
        transport = self._transport
        if transport.is_closing():
            return
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            transport.abort()
        else:
            self.watch()
