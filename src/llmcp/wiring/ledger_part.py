"""The daemon's part that keeps the ledger: checkpoints, anchors and retention, in a thread of its own.

Rules:
1. The daemon's start waits for nothing here: key, anchors and `cryptography` come with the first signature.
2. What is wrong stands in `status` and in a metric as long as it is so, and in the log once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from llmcp.control.ledger_keeper import Keeper, KeeperState
from llmcp.core.records import timestamp
from llmcp.errors import LlmcpError
from llmcp.runtime.chores import Chore, Chores
from llmcp.wiring import ledger as wired

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.core.settings import RetentionSettings
    from llmcp.telemetry.metrics import Registry
    from llmcp.wiring.ledger import Book

_STOP_S = 20.0
_TICK_S = 1.0
_RETENTION_S = 3600.0
_RETENTION_FIRST_S = 60.0

log = logging.getLogger("llmcp.ledger")


class LedgerPart:
    """Started after the recorder and stopped after it, so that its last records are signed. `retention` is asked each time."""

    def __init__(self, book: Book, retention: Callable[[], RetentionSettings], registry: Registry) -> None:
        self._book = book
        self._retention = retention
        self._said: tuple[str, ...] = ()
        self._retention_problem = ""
        settings = book.settings.ledger
        self._keeper = Keeper(
            book.ledger, book.notary, book.anchors(), records=settings.checkpoint_records, seconds=settings.checkpoint_s,
            now=wired.stamp,
        )  # fmt: skip
        self._chores = Chores(
            (
                Chore("checkpoints", _TICK_S, self._tick, at_end=self._finish),
                Chore("retention", _RETENTION_S, self._retain, first_s=_RETENTION_FIRST_S),
            ),
            time.monotonic,
        )
        self._export(registry)

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong with the ledger, for `status`."""
        return (*self._keeper.state().problems, *((self._retention_problem,) if self._retention_problem else ()))

    async def start(self) -> None:
        """Begin."""
        self._chores.start()

    async def stop(self, cut: asyncio.Event) -> None:
        """Sign what the recorder wrote last."""
        del cut
        if not await asyncio.to_thread(self._chores.stop, _STOP_S):
            log.error("ledger_not_signed", extra={"fields": {"why": "it took too long"}})

    def _tick(self, monotonic: float) -> None:
        self._keeper.tick(monotonic)
        self._say()

    def _finish(self, monotonic: float) -> None:
        self._keeper.finish(monotonic)
        self._say()

    def _say(self) -> None:
        problems = self._keeper.state().problems
        if problems == self._said:
            return
        for problem in problems:
            if problem not in self._said:
                log.error("ledger_problem", extra={"fields": {"what": problem}})
        if not problems:
            log.info("ledger_recovered")
        self._said = problems

    def _retain(self, monotonic: float) -> None:
        del monotonic
        settings = self._retention()
        try:
            gone = {
                mode: self._apply(mode, days)
                for mode, days in (("bodies", settings.bodies_days), ("rows", settings.rows_days))
                if days
            }
        except LlmcpError as error:
            self._retention_problem = f"retention: {error.what}{f': {error.why}' if error.why else ''}"
            log.error("retention_failed", extra={"fields": {"what": error.what, "why": error.why}})  # noqa: TRY400 - no bug
            return
        self._retention_problem = ""
        if any(gone.values()):
            log.info("retention_applied", extra={"fields": gone})

    def _apply(self, mode: str, days: int) -> int:
        from llmcp import wiring

        plan = wired.plan_pruning(self._book, mode, timestamp(wiring.now() - timedelta(days=days)))
        if not plan.records and not plan.bodies:
            return 0
        return wired.prune(self._book, mode, plan, lambda _: None, "daemon")

    def _export(self, registry: Registry) -> None:
        def state() -> KeeperState:
            return self._keeper.state()

        registry.gauge("llmcp_checkpoints_signed_total", "Checkpoints of the ledger.", lambda: state().signed, kind="counter")
        registry.gauge(
            "llmcp_ledger_failures_total", "Checkpoints and anchors that failed.", lambda: state().failures, kind="counter"
        )
        registry.gauge(
            "llmcp_checkpoints_anchored_total", "Checkpoints brought to anchors.", lambda: state().anchored, kind="counter"
        )
