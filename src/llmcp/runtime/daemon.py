"""The life of a daemon: load, listen, serve until told to stop, reload on the way, drain.

Rules:
1. Listeners open after the first load, whatever came of it: with nothing to decide by the daemon listens and refuses.
2. Loads run in a thread, one at a time, in the order asked for.
3. SIGTERM and SIGINT drain: the gateway first, then the recorder, the admin listener last, so that `status` can tell. A second
   signal cuts what is still open.
4. What fails while stopping does not keep the rest from being stopped.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Protocol

from llmcp.runtime.state import DaemonState, Readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmcp.runtime.state import Loaded

log = logging.getLogger("llmcp.daemon")


class Part(Protocol):
    """Something that runs beside the loop's other parts: a listener, the recorder."""

    async def start(self) -> None:
        """Begin. Raises: LlmcpError where it cannot."""

    async def stop(self, cut: asyncio.Event) -> None:
        """End in order; at once when `cut` is set."""


class Watching(Protocol):
    """What calls `Daemon.reload` when files change."""

    def prime(self) -> None:
        """Take the files as known."""

    async def run(self) -> None:
        """Watch until cancelled."""


class Daemon:
    """See the module's rules. `parts` are started in order and stopped in that order too."""

    def __init__(self, state: DaemonState, *, load: Callable[[], Loaded], swapped: Callable[[], None]) -> None:
        self.state = state
        self._load = load
        self._swapped = swapped
        self._stopping = asyncio.Event()
        self._cut = asyncio.Event()
        self._loading = asyncio.Lock()
        self._pending = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def request_stop(self) -> None:
        """Begin to drain; a second call cuts."""
        if self._stopping.is_set():
            self._cut.set()
        self._stopping.set()

    def request_reload(self) -> int:
        """Load soon; return what `state.loads` will be when that is done."""
        task = asyncio.get_running_loop().create_task(self._reload())
        self._pending += 1
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return self.state.loads + self._pending

    async def reload(self) -> None:
        """Load once, in a thread, and take in what came of it."""
        self._pending += 1
        await self._reload()

    async def _reload(self) -> None:
        async with self._loading:
            before = self.state.problems
            try:
                loaded = await asyncio.to_thread(self._load)
            finally:
                self._pending -= 1
            changed = self.state.apply(loaded)
            self._swapped()
        fields = {"revision": self.state.revision, "policies": self.state.policies, "state": str(self.state.readiness)}
        if loaded.problems and loaded.problems != before:
            for problem in loaded.problems:
                where = {"file": problem.file, "line": problem.line, "message": problem.message}
                log.error("load_failed", extra={"fields": where | {"in_force": self.state.revision}})
        elif changed or (before and not loaded.problems):
            log.info("revision_in_force", extra={"fields": fields})

    async def run(self, parts: Sequence[Part], watcher: Watching, ready: Callable[[], None]) -> None:
        """Serve until told to stop. `ready` is called once everything listens."""
        self._on_signals()
        watcher.prime()
        await self.reload()
        started: list[Part] = []
        watching: asyncio.Task[None] | None = None
        try:
            for part in parts:
                started.append(part)
                await part.start()
            self.state.started = True
            ready()
            log.info("serving", extra={"fields": {"state": str(self.state.readiness), **self.state.urls}})
            watching = asyncio.get_running_loop().create_task(watcher.run())
            watching.add_done_callback(self._watch_ended)
            await self._stopping.wait()
        finally:
            self.state.draining = True
            if watching is not None:
                watching.cancel()
            await self._stop(started)

    def _watch_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("watcher_died", exc_info=task.exception())

    async def _stop(self, parts: Sequence[Part]) -> None:
        log.info("draining", extra={"fields": {"state": str(Readiness.DRAINING)}})
        for part in parts:
            try:
                await part.stop(self._cut)
            except Exception:
                log.exception("stop_failed", extra={"fields": {"part": type(part).__name__}})
        log.info("stopped")

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_stop)
        if hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(signal.SIGHUP, self.request_reload)
