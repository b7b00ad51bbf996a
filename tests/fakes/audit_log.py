"""An audit log in memory, for tests of what stands above the store. It passes the same contract as the real ones.

Its rows name persons; only its leaves do not.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

import msgspec

from llmcp.core.records import canonical, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmcp.core.record_filter import RecordFilter
    from llmcp.core.records import DecisionRecord


def _reference(org: str, value: str) -> str:
    return f"person:{hashlib.md5(f'{org} {value}'.encode(), usedforsecurity=False).hexdigest()}" if value else ""


class MemoryAuditLog:
    """An `AuditLog` that ends with its process. `rows` may be shared to stand for one store with several writers."""

    def __init__(self, rows: list[bytes] | None = None, lock: threading.Lock | None = None) -> None:
        self.rows = [] if rows is None else rows
        self._lock = lock or threading.Lock()

    def append(self, records: Sequence[DecisionRecord]) -> int:
        """See the port."""
        with self._lock:
            if any(record.id != record.decision_id or record.stream != "decision" for record in records):
                raise ValueError("a decision record's id is its decision's")
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
        return next((row for row in self.rows if parse(row).id == decision_id), None)

    def leaf(self, seq: int) -> bytes | None:
        """See the port."""
        if not 1 <= seq <= len(self.rows):
            return None
        record = parse(self.rows[seq - 1])
        record.user = _reference(record.org, record.user)
        if not record.facts.client_ip.startswith(("127.", "::1")):
            facts = msgspec.structs.replace(record.facts, client_ip=_reference(record.org, record.facts.client_ip))
            record.facts = facts
        return canonical(record)

    def last_seq(self) -> int:
        """See the port."""
        return len(self.rows)

    def close(self) -> None:
        """See the port."""
