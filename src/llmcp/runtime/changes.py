"""Sees that operators changed something in the store, and swaps what was loaded from it: a fraction of a second later.

Rules:
1. One thread looks, several times a second, and loads; the event loop only reads a reference.
2. What `look` returns is noted before the load: a change that comes during a load is loaded at the next look.
3. Until the first load succeeds there is no value, and `closed` says why: nobody can be told from anybody, so everybody is refused.
4. A later load that fails, or a look that does, keeps the value that is there, however long it takes: while the store cannot be
   read nobody can write a revocation into it either, expiry goes on acting, and `problems` tells the operator. It is tried again
   with every look.
5. What lies outside the store (a secret manager) is asked again every `refresh_s`.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmcp.errors import LlmcpError

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_EVERY_S: Final = 0.25
_NOT_YET: Final = "it is still being read"

log = logging.getLogger("llmcp.changes")


@dataclass(frozen=True, slots=True)
class Fresh[V]:
    """What a load gave. `outside`: some of it came from where it may change unseen."""

    value: V
    problems: tuple[str, ...] = ()
    outside: bool = False


class Changes[V]:
    """See the module's rules. `look` and `load` block and raise LlmcpError; both are called by one thread at a time."""

    def __init__(
        self,
        *,
        look: Callable[[], object],
        load: Callable[[], Fresh[V]],
        refresh_s: Callable[[], float],
        monotonic: Callable[[], float],
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        self.value: V | None = None
        self.closed = _NOT_YET
        self.loads = 0
        self._look = look
        self._load = load
        self._refresh_s = refresh_s
        self._monotonic = monotonic
        self._every_s = every_s
        self._seen: object = None
        self._loaded_at = 0.0
        self._outside = False
        self._said: tuple[str, ...] = ()
        self._trouble = ""
        self._first = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="llmcp-changes", daemon=True)

    @property
    def problems(self) -> tuple[str, ...]:
        """What the operator should know, a sentence each."""
        return (*self._said, self._trouble) if self._trouble else self._said

    def start(self, *, wait_s: float) -> None:
        """Begin, and wait for the first load, but no longer than `wait_s`: a keychain may ask somebody who is not there. Blocks."""
        self._thread.start()
        self._first.wait(wait_s)

    def stop(self, *, wait_s: float = 1.0) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(wait_s)

    def check(self) -> bool:
        """Look once, and load where something changed; tell whether the value was swapped."""
        try:
            seen = self._look()
            if self.value is not None and not self._trouble and seen == self._seen and not self._due():
                return False
            fresh = self._load()
        except LlmcpError as error:
            self._failed(f"{error.what}: {error.why}" if error.why else error.what)
            return False
        except Exception as error:  # noqa: BLE001 - boundary: the thread must live on, the value in force stays
            self._failed(f"it failed with {type(error).__name__}")
            return False
        self._seen, self._outside, self._loaded_at = seen, fresh.outside, self._monotonic()
        self._tell(fresh.problems)
        self.value, self.closed, self._trouble = fresh.value, "", ""
        self.loads += 1
        return True

    def _due(self) -> bool:
        return self._outside and self._monotonic() - self._loaded_at >= self._refresh_s()

    def _failed(self, why: str) -> None:
        trouble = f"who may ask, and with whose key, cannot be read anew ({why})"
        if self.value is None:
            self.closed = why
            trouble = f"who may ask cannot be read, so everybody is refused ({why})"
        if trouble != self._trouble:
            log.error("access_not_loaded", extra={"fields": {"why": why, "last_good": self.value is not None}})
        self._trouble = trouble

    def _tell(self, problems: tuple[str, ...]) -> None:
        for problem in problems:
            if problem not in self._said:
                log.warning("credential_problem", extra={"fields": {"what": problem}})
        self._said = problems

    def _run(self) -> None:
        while not self._stop.is_set():
            self.check()
            self._first.set()
            self._stop.wait(self._every_s)
