"""An audit log in memory, for tests of what stands above the store. It passes the same contract as the real ones.

Its rows name persons; only its leaves do not.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from llmcp.core.erasure import Erased
from llmcp.core.record_filter import RecordPage
from llmcp.core.records import canonical, parse
from llmcp.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmcp.core.control_records import ControlRecord
    from llmcp.core.record_filter import RecordFilter
    from llmcp.core.records import DecisionRecord


class MemoryAuditLog:
    """An `AuditLog` that ends with its process. `rows` may be shared to stand for one store with several writers."""

    def __init__(self, rows: list[bytes] | None = None, lock: threading.Lock | None = None) -> None:
        self.rows = [] if rows is None else rows
        self._lock = lock or threading.Lock()
        self._erasures: Counter[tuple[str, str]] = Counter()

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

    def page(self, wanted: RecordFilter) -> RecordPage:
        """See the port."""
        found = list(self.query(replace(wanted, limit=wanted.limit and wanted.limit + 1)))
        if not wanted.limit or len(found) <= wanted.limit:
            return RecordPage(iter(found))
        found = found[:-1] if wanted.after_seq >= 0 else found[1:]
        return RecordPage(iter(found), parse(found[-1 if wanted.after_seq >= 0 else 0]).seq)

    def follow(self) -> MemoryFollower:
        """See the port."""
        return MemoryFollower(self)

    def get(self, decision_id: str) -> bytes | None:
        """See the port."""
        return next((row for row in self.rows if parse(row).id == decision_id), None)

    def leaf(self, seq: int) -> bytes | None:
        """See the port."""
        if not 1 <= seq <= len(self.rows):
            return None
        record = parse(self.rows[seq - 1])
        if not record.facts.client_ip.startswith(("127.", "::1")):
            record.facts = msgspec.structs.replace(record.facts, client_ip=self._reference(record.org, record.facts.client_ip))
        record.user = self._reference(record.org, record.user)
        return canonical(record)

    def erase_person(self, org: str | None, value: str, record: ControlRecord) -> Erased:
        """See the port. What is erased stands in its rows by reference."""
        gone: dict[str, tuple[str, str]] = {}
        for number, row in enumerate(self.rows):
            kept = parse(row)
            if org in {None, kept.org} and value in {kept.user, kept.facts.client_ip}:
                ref = self._reference(kept.org, value)
                gone[ref] = kept.org, value
                kept.user = ref if kept.user == value else kept.user
                kept.facts = msgspec.structs.replace(kept.facts, client_ip=ref) if kept.facts.client_ip == value else kept.facts
                self.rows[number] = canonical(kept)
        if not gone:
            raise NotFoundError("no record names this person")
        self._erasures.update(gone.values())
        record.target = " ".join(sorted(gone))
        return Erased(tuple(sorted(gone)), overwritten=True)

    def _reference(self, org: str, value: str) -> str:
        if not value or value.startswith("person:"):
            return value
        return f"person:{hashlib.md5(f'{self._erasures[org, value]} {org} {value}'.encode(), usedforsecurity=False).hexdigest()}"

    def last_seq(self) -> int:
        """See the port."""
        return len(self.rows)

    def close(self) -> None:
        """See the port."""


class MemoryFollower:
    """A `Follower` of a log in memory."""

    def __init__(self, log: MemoryAuditLog) -> None:
        self._log = log
        self._seen = -1

    def last_seq(self) -> int:
        """See the port."""
        return self._log.last_seq()

    def changed(self) -> bool:
        """See the port."""
        before, self._seen = self._seen, self._log.last_seq()
        return before != self._seen

    def page(self, wanted: RecordFilter, after_seq: int) -> tuple[list[bytes], int, bool]:
        """See the port."""
        rows = self._log.rows[after_seq : after_seq + 3]
        wanted = replace(wanted, after_seq=-1, before_seq=0, limit=0)
        last = after_seq + len(rows)
        return [row for row in rows if wanted.matches(parse(row))], last, last < self._log.last_seq()

    def close(self) -> None:
        """See the port."""
