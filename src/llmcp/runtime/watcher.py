"""Sees that files changed and calls somebody: by the kernel's word, and by looking every few seconds besides.

Rules:
1. What counts is content: `changed` is called when the fingerprint differs from the one that was last acted on, however the
   change was noticed, so one edit is one call.
2. A burst of events is waited out, so that a file being written is not read half.
3. Directories are watched, not files: an editor's rename and an orchestrator's symlink swap replace the file itself.
4. A directory that comes, goes or cannot be watched (a network mount) is still looked at every `poll_s`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

_QUIET_MS = 100
_BURST_MS = 1000

log = logging.getLogger("llmcp.watcher")


def fingerprint(directories: Sequence[Path], files: Iterable[Path]) -> bytes:
    """Hash names and contents of `files`, and which of `directories` are there. What cannot be read hashes as its error."""
    digest = hashlib.sha256()
    for directory in directories:
        digest.update(b"d" if directory.is_dir() else b"-")
    for path in sorted(files):
        try:
            content = path.read_bytes()
        except OSError as error:
            content = f"!{error.errno}".encode()
        digest.update(hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).digest())
        digest.update(hashlib.sha256(content).digest())
    return digest.digest()


class Watcher:
    """See the module's rules. `directories` and `files` are asked anew each time; `files` says whose content counts."""

    def __init__(
        self,
        *,
        directories: Callable[[], Sequence[Path]],
        files: Callable[[], Iterable[Path]],
        poll_s: Callable[[], float],
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._directories = directories
        self._files = files
        self._poll_s = poll_s
        self._changed = changed
        self._seen = b""
        self._lock = asyncio.Lock()

    def prime(self) -> None:
        """Take the files as they are now for known. Call it before they are loaded."""
        self._seen = self._look()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll())
            tasks.create_task(self._watch())

    async def check(self) -> None:
        """Look once; call `changed` if something differs."""
        async with self._lock:
            now = await asyncio.to_thread(self._look)
            if now != self._seen:
                self._seen = now
                await self._changed()

    def _look(self) -> bytes:
        return fingerprint(self._directories(), self._files())

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s())
            await self.check()

    async def _watch(self) -> None:
        while True:
            present = self._present()
            if present:
                try:
                    await self._watch_these(present)
                except OSError as error:
                    log.warning("watch_failed", extra={"fields": {"why": error.strerror or type(error).__name__}})
            await asyncio.sleep(self._poll_s())

    async def _watch_these(self, present: tuple[Path, ...]) -> None:
        """Watch until the set of directories changes."""
        from watchfiles import awatch  # noqa: PLC0415 - 40 ms that would delay the daemon's start

        timeout_ms = int(self._poll_s() * 1000)
        events = awatch(*present, debounce=_BURST_MS, step=_QUIET_MS, rust_timeout=timeout_ms, yield_on_timeout=True)
        async with contextlib.aclosing(events):
            async for batch in events:
                if batch:
                    await self.check()
                if self._present() != present:
                    return

    def _present(self) -> tuple[Path, ...]:
        return tuple(directory for directory in self._directories() if directory.is_dir())
