"""The daemon's parts as it starts and stops them."""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import TYPE_CHECKING

from llmcp.errors import ConflictError, UsageError

if TYPE_CHECKING:
    from llmcp.ports.stores import AuditLog
    from llmcp.runtime.gateway import Gateway
    from llmcp.runtime.recorder import Recorder
    from llmcp.runtime.state import DaemonState
    from llmcp.wiring.lost_records import LostRecords

_RECORDER_S = 15.0

log = logging.getLogger("llmcp.daemon")


class Listener:
    """One listener; writes its URL into the state."""

    def __init__(self, name: str, gateway: Gateway, host: str, port: int, state: DaemonState) -> None:
        self._name = name
        self._gateway = gateway
        self._host = host
        self._port = port
        self._state = state

    async def start(self) -> None:
        """Listen. Raises: ConflictError where the port is taken, UsageError where the address is not ours."""
        try:
            port = await self._gateway.start(self._host, self._port)
        except OSError as error:
            raise self._explain(error) from error
        self._state.urls[self._name] = f"http://{reachable(self._host)}:{port}"

    def _explain(self, error: OSError) -> ConflictError | UsageError:
        place = f"{self._host}:{self._port}"
        if error.errno == errno.EADDRINUSE:
            flag = "--port" if self._name == "gateway" else "--admin-port"
            return ConflictError(
                f"the {self._name} listener cannot have {place}",
                why="something else listens there",
                fix=f"say `{flag} 0` for any free port, or stop the other program",
                code="port-taken",
            )
        why = error.strerror or type(error).__name__
        return UsageError(
            f"the {self._name} listener cannot have {place}", why=why, fix="see `--host` and `--port`", code="listen"
        )

    async def stop(self, cut: asyncio.Event) -> None:
        """Drain; once `cut` is set, break off."""
        draining = asyncio.ensure_future(self._gateway.drain(None if self._name == "gateway" else 1.0))
        cutting = asyncio.ensure_future(cut.wait())
        await asyncio.wait((draining, cutting), return_when=asyncio.FIRST_COMPLETED)
        cutting.cancel()
        if not draining.done():
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
            await self._gateway.drain(0)


class RecorderPart:
    """The recorder; the last records are written before it ends."""

    def __init__(self, recorder: Recorder, log_of_records: AuditLog, lost: LostRecords) -> None:
        self._recorder = recorder
        self._store = log_of_records
        self._lost = lost

    async def start(self) -> None:
        """Begin writing."""
        await asyncio.to_thread(self._lost.report_kept)
        self._recorder.start()

    async def stop(self, cut: asyncio.Event) -> None:
        """Write what is left."""
        del cut
        left = await asyncio.to_thread(self._recorder.stop, _RECORDER_S)
        if left:
            log.error("records_left", extra={"fields": {"records": left, "why": self._recorder.state().last_error}})
        lost = self._recorder.lost()
        if lost is not None:
            await asyncio.to_thread(self._lost.keep, lost)
        await asyncio.to_thread(self._store.close)


def reachable(host: str) -> str:
    """Return the address at which a client of this machine reaches a listener on `host`, as it stands in a URL."""
    if host in {"0.0.0.0", ""}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host
