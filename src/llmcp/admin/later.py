"""Threads for answers that read the store: the event loop never waits for a disk.

Rules:
1. Few threads, and a bound on what waits for them: past it the caller hears 503 at once.
2. Closing forgets what has not begun and does not wait for what has.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from llmcp.admin.answers import error
from llmcp.runtime.exchange_port import Later

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from llmcp.core.http import Respond

_THREADS: Final = 2
_WAITING: Final = 64


class LaterAnswers:
    """Runs work for one event loop. `answer` and `close` are called on it."""

    def __init__(self, threads: int = _THREADS, waiting: int = _WAITING) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="llmcp-admin")
        self._bound = threads + waiting
        self._open: set[Future[Respond]] = set()

    def answer(self, work: Callable[[], Respond]) -> Later | Respond:
        """Begin `work`, or refuse where too much waits already."""
        if len(self._open) >= self._bound:
            return error(503, "busy", "too many reads wait for the store", (b"retry-after", b"1"))
        future = self._threads.submit(work)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return Later(future)

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
