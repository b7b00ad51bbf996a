"""The audit log in SQLite: appended in batches by one writer per process, read by anybody at any time.

Rules:
1. A batch is committed whole or not at all; a record whose `id` is already there is not written again.
2. Readers open connections of their own and never wait for the writer.
3. A file that was taken away or replaced is noticed before the next batch: nothing is written into one that nobody can see.
4. What is read names the persons who are still known (`persons`); `leaf` returns the bytes that the tree stands on.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from llmcp.core.record_filter import RecordPage
from llmcp.core.records import Stream
from llmcp.stores.sqlite.append import Appender, last_seq
from llmcp.stores.sqlite.connection import files_of, gone, replaced
from llmcp.stores.sqlite.control_query import find_control
from llmcp.stores.sqlite.erase import erase_person
from llmcp.stores.sqlite.file import connect, prepare, translated
from llmcp.stores.sqlite.follow import SqliteFollower
from llmcp.stores.sqlite.persons import revealed, revealed_control
from llmcp.stores.sqlite.query import find, find_page, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from llmcp.core.control_records import ControlRecord
    from llmcp.core.erasure import Erased
    from llmcp.core.record_filter import RecordFilter
    from llmcp.core.records import DecisionRecord
    from llmcp.stores.sqlite.connection import Files


class SqliteAuditLog:
    """An `AuditLog` in one file. Opening creates or migrates it; errors are those of `file.prepare`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._writer: Appender | None = None
        self._files: Files = ()
        prepare(path)

    def append(self, records: Sequence[DecisionRecord]) -> int:
        """Give each record its `seq` and commit all of them; return the last. Raises: UnreachableError, with nothing written."""
        with self._lock, translated(self.path):
            self._check_place()
            try:
                return self._appender().append(records)
            except sqlite3.IntegrityError:
                return self._appender().append(self._unknown(records))
            except sqlite3.Error:
                # A connection that failed may hold a stale view (a file moved away, a lost lock): the next attempt begins anew.
                self._close_writer()
                raise

    def query(self, wanted: RecordFilter) -> Iterator[bytes]:
        """Yield the records that `wanted` lets pass, newest last."""
        if wanted.stream == Stream.CONTROL:
            with self._reading() as connection:
                yield from revealed_control(connection, find_control(connection, wanted).rows)
            return
        with self._reading() as connection:
            seqs = find_page(connection, wanted).seqs if wanted.limit else find(connection, wanted, newest_first=False)
            yield from revealed(connection, read(connection, seqs))

    def page(self, wanted: RecordFilter) -> RecordPage:
        """Return a page of what `query` yields, and where the next one begins."""
        if wanted.stream == Stream.CONTROL:
            with self._reading() as connection:
                control = find_control(connection, wanted)
                return RecordPage(iter(list(revealed_control(connection, control.rows))), control.next_seq)
        with self._reading() as connection:
            found = find_page(connection, wanted)
        return RecordPage(self._read(found.seqs), found.next_seq)

    def follow(self) -> SqliteFollower:
        """Return a reader of what is appended from now on."""
        return SqliteFollower(self.path)

    def get(self, decision_id: str) -> bytes | None:
        """Return the record of a decision, or None."""
        with self._reading() as connection:
            found = connection.execute("SELECT record FROM records WHERE id = ?", (decision_id,)).fetchone()
            return next(revealed(connection, found)) if found else None

    def leaf(self, seq: int) -> bytes | None:
        """Return the canonical bytes of a record as they were written, persons by reference; None where it is not there."""
        with self._reading() as connection:
            found = connection.execute("SELECT record FROM records WHERE seq = ?", (seq,)).fetchone()
        return found[0] if found else None

    def erase_person(self, org: str | None, value: str, record: ControlRecord) -> Erased:
        """Forget `value` in one org, or in all; `record` is what stays of it. Raises: NotFoundError where it is not known."""
        return erase_person(self.path, org, value, record)

    def last_seq(self) -> int:
        """Return the newest record's `seq`, 0 where there never was one."""
        with self._reading() as connection:
            return last_seq(connection)

    def close(self) -> None:
        """Fold the log into the file and let go of it. Appending again opens it again."""
        with self._lock, translated(self.path):
            self._close_writer()

    def _read(self, seqs: Iterable[int]) -> Iterator[bytes]:
        with self._reading() as connection:
            yield from revealed(connection, read(connection, seqs))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with translated(self.path), closing(connect(self.path, read_only=True)) as connection:
            yield connection

    def _appender(self) -> Appender:
        if self._writer is None:
            if not self.path.exists():
                raise gone(self.path)
            self._writer = Appender(connect(self.path))
            self._writer.connection.execute("SELECT 1 FROM meta").fetchone()  # the log beside it is there from here on
            self._files = files_of(self.path)
        return self._writer

    def _check_place(self) -> None:
        """Raises: UnreachableError where the file, or the log beside it, is not the one that was opened: once, then it is opened anew."""
        if self._writer is not None and (found := files_of(self.path)) != self._files:
            self._close_writer()
            raise gone(self.path) if not found else replaced(self.path)

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
            writer.connection.close()
