"""Brings decision records to the store, in batches, off the request path.

Rules:
1. `submit` never blocks and never raises: it appends to a queue; a thread of its own writes what has gathered.
2. The thread sleeps until there is work, then waits a moment (`linger_s`) so that one commit carries many records.
3. A store error loses nothing: the batch stays first in the queue and is tried again, after ever longer pauses.
4. `refuse`: once the store has refused for a short grace, or the queue is past its bound, `accepting` is False and the gateway
   takes no new request; those under way are still recorded, up to twice the bound. `serve`: requests go on; past the bound
   records are lost and counted.
5. A record that cannot be written for its own sake (a bug in whoever built it) is set aside and counted; it stops no other.
6. When the store begins to refuse, and when it takes records again, the log says so, once each.
7. Bodies that a record is to keep are sealed and stored by the thread, before the record that names them; what waits is bounded
   by `_KEPT_BYTES`, past which no new request is taken.
8. When the store takes records again, what was lost meanwhile is handed to `report_lost`, so that the ledger itself can say it.
9. `flush` returns when all that was submitted before is committed; `stop` does so and ends the thread.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal

from llmcp.errors import LlmcpError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.core.bodies import Kept
    from llmcp.core.records import DecisionRecord
    from llmcp.ports.stores import AuditLog, BodyStore

log = logging.getLogger("llmcp.recorder")

_BATCH: Final = 512
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0
_KEPT_BYTES: Final = 256 * 1024 * 1024
_GRACE_S: Final = 1.0
"""How long a store may refuse before new requests are: a lock that somebody holds for a moment is no outage."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Records that will never be stored: how many, and the times of the first and the last."""

    count: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class RecorderState:
    """How the recorder is doing. `failing_s` is how long the store has refused, 0 while it is healthy."""

    healthy: bool
    written: int
    pending: int
    dropped: int
    rejected: int
    retries: int
    failing_s: float
    last_error: str


class Recorder:
    """Batches records into an `AuditLog`. `monotonic` is a clock in seconds; `start` begins, `stop` ends the thread."""

    def __init__(  # noqa: PLR0913 - what it is told once, at the start
        self,
        log: AuditLog,
        monotonic: Callable[[], float],
        *,
        capacity: int = 65536,
        when_full: Literal["refuse", "serve"] = "refuse",
        linger_s: float = 0.08,
        bodies: BodyStore | None = None,
        grace_s: float = _GRACE_S,
        report_lost: Callable[[Lost], None] | None = None,
    ) -> None:
        self._bodies = bodies
        self._kept: dict[str, Kept] = {}
        self._kept_bytes = 0
        self._kept_lock = threading.Lock()
        self._log = log
        self._monotonic = monotonic
        self._capacity = capacity
        self._hard_limit = 2 * capacity if when_full == "refuse" else capacity
        self._refuses = when_full == "refuse"
        self._linger_s = linger_s
        self._grace_s = grace_s
        self._report_lost = report_lost
        self._lost: Lost | None = None
        self._losing = threading.Lock()  # `_lost` grows on the loop and is handed over on the thread
        self._queue: deque[DecisionRecord] = deque()
        self._wake = threading.Event()
        self._urgent = threading.Event()  # somebody waits: no lingering
        self._asleep = True
        self._settled = threading.Condition()
        self._taken = 0
        self._written = 0
        self._dropped = 0
        self._rejected = 0
        self._retries = 0
        self._last_error = ""
        self._failing_since: float | None = None
        self._stopping = False
        self._give_up_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="llmcp-recorder", daemon=True)

    def start(self) -> None:
        """Begin writing. What was submitted before is not lost."""
        self._thread.start()

    def submit(self, record: DecisionRecord, kept: Kept | None = None) -> bool:
        """Queue `record`; False where it had to be dropped. Called from one thread, the event loop's."""
        if len(self._queue) >= self._hard_limit or self._stopping:
            self._lose(record)
            return False
        if kept is not None and self._bodies is not None:
            with self._kept_lock:
                self._kept[record.id] = kept
                self._kept_bytes += kept.size()
        self._queue.append(record)
        self._taken += 1
        if self._asleep:
            self._asleep = False
            self._wake.set()
        return True

    def accepting(self) -> bool:
        """Tell whether a new request may begin: the store takes its record, or has only just begun to refuse."""
        if not self._refuses:
            return True
        since = self._failing_since
        return (
            len(self._queue) < self._capacity
            and self._kept_bytes < _KEPT_BYTES
            and (since is None or self._monotonic() - since < self._grace_s)
        )

    def lost(self) -> Lost | None:
        """Return what was lost and not yet reported."""
        return self._lost

    def state(self) -> RecorderState:
        """Return the figures for `status`, `readyz` and metrics."""
        since = self._failing_since
        return RecorderState(
            healthy=since is None,
            written=self._written,
            pending=len(self._queue),
            dropped=self._dropped,
            rejected=self._rejected,
            retries=self._retries,
            failing_s=0.0 if since is None else self._monotonic() - since,
            last_error=self._last_error,
        )

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was submitted before is committed; False when that took too long. Blocks: not on the loop."""
        goal = self._taken
        self._urgent.set()
        self._wake.set()
        with self._settled:
            return self._settled.wait_for(lambda: self._written + self._rejected >= goal, timeout_s)

    def stop(self, timeout_s: float) -> int:
        """Write what is left and end; return how many records the store would not take in that time. Blocks."""
        self._give_up_at = self._monotonic() + timeout_s
        self._stopping = True
        self._urgent.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s + 1.0)
        left = len(self._queue)
        for record in tuple(self._queue):
            self._lose(record)
        return left

    def _lose(self, record: DecisionRecord) -> None:
        self._dropped += 1
        with self._losing:
            before = self._lost
            count, first = (before.count, before.first) if before else (0, record.time)
            self._lost = Lost(count + 1, first, record.time)

    def _run(self) -> None:
        pause = _FIRST_PAUSE_S
        while self._wait_for_work():
            if self._write_batch():
                pause = _FIRST_PAUSE_S
            elif self._out_of_time():
                return
            else:
                # Not `_wake`: new records must not shorten the pause. Somebody who flushes may.
                self._urgent.wait(pause)
                self._urgent.clear()
                pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _wait_for_work(self) -> bool:
        """Sleep until there is something to write; False when the end has come and nothing is left."""
        while not self._queue:
            if self._stopping:
                return False
            self._wake.clear()
            self._asleep = True
            # `submit` may have come between the check and the flag: look again before sleeping.
            if not self._queue and not self._stopping:
                self._wake.wait()
            self._asleep = False
        if len(self._queue) < _BATCH and not self._stopping and self._failing_since is None:
            self._urgent.wait(self._linger_s)
            self._urgent.clear()
        return True

    def _write_batch(self) -> bool:
        batch = list(islice(self._queue, _BATCH))
        try:
            if self._kept:
                self._keep_bodies(batch)
            self._log.append(batch)
        except LlmcpError as error:
            self._failed(f"{error.code}: {error.why or error.what}")
            return False
        except Exception as error:  # noqa: BLE001 - boundary: a record that cannot be encoded must not stop the others
            self._last_error = f"rejected: {type(error).__name__}"
            self._write_singly(batch)
            return True
        self._settle(len(batch), rejected=False)
        self._hand_over_lost()
        return True

    def _keep_bodies(self, batch: list[DecisionRecord]) -> None:
        """Seal what the records of `batch` are to keep. Raises: LlmcpError, to be tried again with the batch."""
        bodies = self._bodies
        for record in batch:
            kept = self._kept.get(record.id)
            if kept is not None and bodies is not None:
                try:
                    record.bodies = bodies.keep(record.time, kept)
                except LlmcpError:
                    raise
                except Exception as error:  # noqa: BLE001 - boundary: a body that cannot be sealed must not stop the records
                    log.error("bodies_not_kept", extra={"fields": {"decision_id": record.id, "why": type(error).__name__}})  # noqa: TRY400
                with self._kept_lock:
                    del self._kept[record.id]
                    self._kept_bytes -= kept.size()

    def _hand_over_lost(self) -> None:
        lost = self._lost
        if lost is None or self._report_lost is None:
            return
        try:
            self._report_lost(lost)
        except Exception as error:  # noqa: BLE001 - boundary: the next batch tries again, records are not held up by it
            log.warning("lost_records_not_reported", extra={"fields": {"records": lost.count, "why": type(error).__name__}})
            return
        with self._losing:
            now = self._lost
            more = now.count - lost.count if now else 0
            self._lost = Lost(more, lost.last, now.last) if now and more else None

    def _write_singly(self, batch: list[DecisionRecord]) -> None:
        for record in batch:
            try:
                self._log.append([record])
            except LlmcpError as error:
                self._failed(f"{error.code}: {error.why or error.what}")
                return  # the rest stays queued for the next attempt
            except Exception as error:  # noqa: BLE001 - boundary: see `_write_batch`
                self._last_error = f"rejected: {type(error).__name__}"
                self._settle(1, rejected=True)
            else:
                self._settle(1, rejected=False)

    def _settle(self, count: int, *, rejected: bool) -> None:
        for _ in range(count):
            self._queue.popleft()
        with self._settled:
            if rejected:
                self._rejected += count
            else:
                self._written += count
            # Also where nothing was written: with an empty queue nobody would ask the store again.
            if self._failing_since is not None:
                self._failing_since = None
                log.info("store_takes_records", extra={"fields": {"pending": len(self._queue)}})
            self._settled.notify_all()

    def _failed(self, why: str) -> None:
        self._retries += 1
        self._last_error = why
        if self._failing_since is None:
            self._failing_since = self._monotonic()
            log.error("store_refuses_records", extra={"fields": {"why": why, "pending": len(self._queue)}})

    def _out_of_time(self) -> bool:
        return self._give_up_at is not None and self._monotonic() >= self._give_up_at
