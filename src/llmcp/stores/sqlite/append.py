"""Appending decision records: row, facet, leaf and usage of a batch, in one transaction.

Rules:
1. `seq` is given under the write lock, one more than the last, so it has no gaps however many processes write.
2. A batch is committed whole or not at all.
3. Only the decision stream lives in `records`, and a record's `id` is its decision's.
4. Persons are replaced by references before anything is encoded; the caller's records keep their names.
5. What is remembered between batches holds for one change number, and is forgotten when a transaction fails.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmcp.core.records import MAX_SAFE_INTEGER, Stream, settled
from llmcp.stores.sqlite.connection import check_version, corrupt
from llmcp.stores.sqlite.facets import FacetCache
from llmcp.stores.sqlite.many import write_rows
from llmcp.stores.sqlite.person_cache import PersonCache
from llmcp.stores.sqlite.spans import note_sessions, note_spans
from llmcp.stores.sqlite.tree import append_leaves
from llmcp.stores.sqlite.usage_rollup import add_usage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from llmcp.core.records import DecisionRecord

_CACHE_KB: Final = 8000
_LOG_PAGES: Final = 4000
_LAST: Final = """SELECT max(coalesce((SELECT max(seq) FROM records), 0),
   coalesce((SELECT CAST(size AS INTEGER) FROM pruned WHERE stream = 'decision'), 0))"""
_CHANGE: Final = "(SELECT value FROM meta WHERE name = 'change')"


def last_seq(connection: sqlite3.Connection) -> int:
    """Return the newest record's `seq`, also where it was pruned; 0 where there never was one."""
    (last,) = connection.execute(_LAST).fetchone()
    return int(last)


class Appender:
    """One writer on one connection, which it owns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        # A batch touches a page of the facets' index for nearly every record: they must fit, and be folded into the file seldom.
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        self._persons = PersonCache()
        self._facets = FacetCache()
        self._change: int | None = None

    def append(self, records: Sequence[DecisionRecord]) -> int:
        """Give each record its `seq` and commit all of them; return the last. None of them is stored yet.

        Raises: sqlite3.IntegrityError where one was, ValueError where one does not belong here; UnreachableError where the schema is another one now; with nothing written.
        """
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            check_version(connection)
            last, change = connection.execute(f"{_LAST}, {_CHANGE}").fetchone()
            if change != self._change:
                # Somebody may have erased a person, or pruned what a facet was for.
                self._forget()
                self._change = change
            self._check_room(last + len(records))
            if records:
                self._write(records, last + 1)
            connection.execute("COMMIT")
        except BaseException:
            self._forget()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return int(last) + len(records)

    def _check_room(self, last: int) -> None:
        if last > MAX_SAFE_INTEGER:
            (*_, path) = self.connection.execute("PRAGMA database_list").fetchone()
            raise corrupt(Path(path), "somebody gave a record a number that no record can follow")

    def _forget(self) -> None:
        self._persons.forget()
        self._facets.forget()

    def _write(self, records: Sequence[DecisionRecord], first: int) -> None:
        for seq, record in enumerate(records, first):
            if record.id != record.decision_id or record.stream != Stream.DECISION:
                raise ValueError("a decision record's id is its decision's")
            record.seq = seq
        kept = [settled(record) for record in self._persons.concealed(self.connection, records)]
        write_settled(self.connection, self._facets, first, [record for record, _ in kept], [data for _, data in kept])


def write_settled(
    connection: sqlite3.Connection,
    facets: FacetCache,
    first: int,
    records: Sequence[DecisionRecord],
    leaves: Sequence[bytes],
) -> None:
    """Write everything that a batch leaves behind. The records name no person; `leaves` are their canonical forms."""
    numbers = facets.numbers(connection, records)
    values: list[Any] = []
    for seq, (record, facet, data) in enumerate(zip(records, numbers, leaves, strict=True), first):
        values += (seq, record.id, record.time, facet, data)
    write_rows(connection, "INSERT INTO records", 5, values)
    append_leaves(connection, Stream.DECISION, first, leaves)
    add_usage(connection, records, numbers)
    note_spans(connection, first, [record.time for record in records])
    note_sessions(connection, first, records)
