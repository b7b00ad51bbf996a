"""Small work that comes back at intervals, in a thread of its own: never on the event loop, never on the recorder's thread.

Rules:
1. Chores run one after the other; a slow one delays the others, nothing else.
2. An exception is a bug: it is logged and counted, and the chore runs again at its next turn.
3. `stop` lets the chore under way end, then calls each chore's `at_end`, in order.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger("llmcp.chores")


@dataclass(frozen=True, slots=True)
class Chore:
    """What to do every `every_s` seconds, for the first time after `first_s`. The work is told the monotonic time."""

    name: str
    every_s: float
    work: Callable[[float], None]
    first_s: float = 0.0
    at_end: Callable[[float], None] | None = None


class Chores:
    """Runs chores. `monotonic` is a clock in seconds."""

    def __init__(self, chores: Sequence[Chore], monotonic: Callable[[], float]) -> None:
        self._chores = tuple(chores)
        self._monotonic = monotonic
        self._ending = threading.Event()
        self.faults = 0
        self._thread = threading.Thread(target=self._run, name="llmcp-chores", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End; False where that took too long. Blocks: not on the loop."""
        self._ending.set()
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        begun = self._monotonic()
        due = {chore.name: begun + chore.first_s for chore in self._chores}
        while not self._ending.wait(max(0.0, min(due.values(), default=begun + 3600.0) - self._monotonic())):
            for chore in self._chores:
                if self._monotonic() >= due[chore.name] and not self._ending.is_set():
                    self._guarded(chore.name, chore.work)
                    due[chore.name] = self._monotonic() + chore.every_s
        for chore in self._chores:
            if chore.at_end is not None:
                self._guarded(chore.name, chore.at_end)

    def _guarded(self, name: str, work: Callable[[float], None]) -> None:
        try:
            work(self._monotonic())
        except Exception:  # boundary: a bug in one chore must not end the others
            self.faults += 1
            log.exception("chore_failed", extra={"fields": {"chore": name}})
