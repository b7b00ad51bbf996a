"""The audit log in SQLite: appended in batches by one writer per process, read by anybody at any time.

Rules:
1. `seq` is given under the write lock, one more than the last, so it has no gaps however many processes write.
2. A batch is committed whole or not at all; a record whose `id` is already there is not written again.
3. Readers open connections of their own and never wait for the writer.
4. Rows go in with statements of many rows each: every step of the database gives up the interpreter's lock, and getting it
   back from a busy event loop costs more than writing the row.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from llmcp.core.record_filter import rule_names
from llmcp.core.records import settled
from llmcp.stores.sqlite_connection import check_version
from llmcp.stores.sqlite_file import connect, prepare, translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from llmcp.core.record_filter import RecordFilter
    from llmcp.core.records import DecisionRecord

_COLUMNS: Final = 14
_BATCH: Final = 128
_RULES_BATCH: Final = 256
_ROW: Final = f"({','.join('?' * _COLUMNS)})"
_EXACT: Final = ("org", "app", "user", "outcome", "operation", "provider", "stream")
_PARTIAL: Final = {"app": "", "user": "", "outcome": "allowed"}  # as in `sqlite_schema`


class SqliteAuditLog:
    """An `AuditLog` in one file. Opening creates or migrates it; errors are those of `sqlite_file.prepare`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        prepare(path)

    def append(self, records: Sequence[DecisionRecord]) -> int:
        """Give each record its `seq` and commit all of them; return the last. Raises: UnreachableError, with nothing written."""
        with self._lock, translated(self.path):
            try:
                return self._append(records)
            except sqlite3.IntegrityError:
                return self._append(self._unknown(records))
            except sqlite3.Error:
                # A connection that failed may hold a stale view (a file moved away, a lost lock): the next attempt begins anew.
                self._close_writer()
                raise

    def query(self, wanted: RecordFilter) -> Iterator[bytes]:
        """Yield the canonical records that `wanted` lets pass, newest last."""
        sql, values = _select(wanted)
        with translated(self.path), closing(connect(self.path, read_only=True)) as connection:
            for (record,) in connection.execute(sql, values):
                yield record

    def get(self, decision_id: str) -> bytes | None:
        """Return the record of a decision (or the record with this id), or None."""
        sql = "SELECT record FROM records WHERE id = ?1 UNION ALL SELECT record FROM records WHERE decision_id = ?1 AND decision_id <> id"
        with translated(self.path), closing(connect(self.path, read_only=True)) as connection:
            found = connection.execute(sql + " LIMIT 1", (decision_id,)).fetchone()
        return found[0] if found else None

    def last_seq(self) -> int:
        """Return the newest record's `seq`, 0 where there is none."""
        with translated(self.path), closing(connect(self.path, read_only=True)) as connection:
            return _last_seq(connection)

    def close(self) -> None:
        """Fold the log into the file and let go of it. Appending again opens it again."""
        with self._lock, translated(self.path):
            self._close_writer()

    def _append(self, records: Sequence[DecisionRecord]) -> int:
        connection = self._writer
        if connection is None:
            connection = self._writer = connect(self.path)
        connection.execute("BEGIN IMMEDIATE")
        try:
            check_version(connection, self.path)
            last = _last_seq(connection)
            _insert(connection, records, last + 1)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return last + len(records)

    def _unknown(self, records: Sequence[DecisionRecord]) -> list[DecisionRecord]:
        """Return those whose id is not stored yet, each once: an attempt that seemed to fail may have been committed."""
        fresh: dict[str, DecisionRecord] = {}
        with closing(connect(self.path, read_only=True)) as connection:
            for record in records:
                if connection.execute("SELECT 1 FROM records WHERE id = ?", (record.id,)).fetchone() is None:
                    fresh.setdefault(record.id, record)
        return list(fresh.values())

    def _close_writer(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()


@cache
def _insert_sql(rows: int) -> str:
    """Return the statement for so many rows (at most `_BATCH`): one step of the database, so the lock is let go of once."""
    return "INSERT INTO records VALUES " + ",".join([_ROW] * rows)  # noqa: S608 - nothing but question marks


@cache
def _insert_rules_sql(rows: int) -> str:
    """Return the statement for so many rows (at most `_RULES_BATCH`)."""
    return "INSERT INTO record_rules VALUES " + ",".join(["(?,?)"] * rows)  # noqa: S608 - nothing but question marks


def _insert(connection: sqlite3.Connection, records: Sequence[DecisionRecord], first: int) -> None:
    rules: list[tuple[str, int]] = []
    for start in range(0, len(records), _BATCH):
        batch = records[start : start + _BATCH]
        values: list[Any] = []
        for seq, record in enumerate(batch, first + start):
            record.seq = seq
            values += _row(record)
            if record.rules or record.would_be.rules:
                rules += [(name, seq) for name in rule_names(record)]
        connection.execute(_insert_sql(len(batch)), values)
    for start in range(0, len(rules), _RULES_BATCH):
        pairs = rules[start : start + _RULES_BATCH]
        connection.execute(_insert_rules_sql(len(pairs)), [value for pair in pairs for value in pair])


def _row(given: DecisionRecord) -> tuple[Any, ...]:
    record, data = settled(given)
    gen_ai = record.gen_ai
    return (
        record.seq,
        record.id,
        record.time,
        record.stream,
        record.decision_id,
        record.org,
        record.app,
        record.user,
        gen_ai.request_model,
        gen_ai.response_model,
        record.outcome,
        record.operation,
        gen_ai.provider,
        data,
    )


def _last_seq(connection: sqlite3.Connection) -> int:
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()
    return int(last)


def _select(wanted: RecordFilter) -> tuple[str, list[str | int]]:
    where: list[str] = []
    values: list[str | int] = []

    def demand(condition: str, *operands: str | int) -> None:
        where.append(condition)
        values.extend(operands)

    for column in _EXACT:
        if value := getattr(wanted, column):
            demand(f"[{column}] = ?", value)
            if column in _PARTIAL and value != _PARTIAL[column]:
                demand(f"[{column}] <> '{_PARTIAL[column]}'")  # tells the planner that the partial index holds all of them
    if wanted.since:
        # Records lie nearly in the order of their times: without the bound on `seq` the planner walks all of them.
        demand(
            "time >= ? AND seq >= (SELECT min(+seq) FROM records INDEXED BY idx_records_time WHERE time >= ?)",
            wanted.since,
            wanted.since,
        )
    if wanted.until:
        demand("time < ?", wanted.until)
    if wanted.decision_id:
        # The two ways to find it are those of the two indexes.
        demand("(id = ? AND decision_id = id OR decision_id = ? AND decision_id <> id)", wanted.decision_id, wanted.decision_id)
    if wanted.model:
        pattern = wanted.model.lower().replace("[", "[[]")
        demand("(lower(request_model) GLOB ? OR lower(response_model) GLOB ?)", pattern, pattern)
    if wanted.rule:
        demand("seq IN (SELECT seq FROM record_rules WHERE rule = ?)", wanted.rule)
    if wanted.after_seq >= 0:
        demand("seq > ?", wanted.after_seq)
    return _ordered(wanted, " AND ".join(where) or "1"), values


def _ordered(wanted: RecordFilter, where: str) -> str:
    records = f"SELECT seq, record FROM records WHERE {where} ORDER BY seq"  # noqa: S608 - `where` is made above, of constants
    if not wanted.limit:
        return f"SELECT record FROM ({records})"  # noqa: S608
    if wanted.after_seq >= 0:
        return f"SELECT record FROM ({records} LIMIT {wanted.limit:d})"  # noqa: S608
    return f"SELECT record FROM ({records} DESC LIMIT {wanted.limit:d}) ORDER BY seq"  # noqa: S608
