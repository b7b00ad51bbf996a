"""An audit log in memory, for tests of what stands above the store. It passes the same contract as the real ones."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from llmcp.core.records import canonical, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmcp.core.record_filter import RecordFilter
    from llmcp.core.records import DecisionRecord


class MemoryAuditLog:
    """An `AuditLog` that ends with its process. `rows` may be shared to stand for one store with several writers."""

    def __init__(self, rows: list[bytes] | None = None, lock: threading.Lock | None = None) -> None:
        self.rows = [] if rows is None else rows
        self._lock = lock or threading.Lock()

    def append(self, records: Sequence[DecisionRecord]) -> int:
        """See the port."""
        with self._lock:
            known = {parse(row).id for row in self.rows}
            fresh: list[bytes] = []
            for record in records:
                if record.id not in known:
                    known.add(record.id)
                    record.seq = len(self.rows) + len(fresh) + 1
                    fresh.append(canonical(record))
            self.rows += fresh
            return len(self.rows)

    def query(self, wanted: RecordFilter) -> Iterator[bytes]:
        """See the port."""
        found = [row for row in list(self.rows) if wanted.matches(parse(row))]
        if wanted.limit:
            found = found[: wanted.limit] if wanted.after_seq >= 0 else found[-wanted.limit :]
        return iter(found)

    def get(self, decision_id: str) -> bytes | None:
        """See the port."""
        return next((row for row in self.rows if decision_id in {parse(row).id, parse(row).decision_id}), None)

    def last_seq(self) -> int:
        """See the port."""
        return len(self.rows)

    def close(self) -> None:
        """See the port."""
