"""Following the decision records as they are appended, with one connection and bounded pages.

Rules:
1. Rows have no gaps and become visible in the order of `seq`: reading on from the last one loses nothing and shows nothing twice.
2. Whether anything was written is asked of SQLite's data version, which costs no reading; an idle follower reads nothing.
3. No state of the store is held between pages, so a follower is in nobody's way. A file that was put in the store's place
   (a restore) is noticed and read on from there.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import parse
from llmcp.stores.sqlite.append import last_seq
from llmcp.stores.sqlite.facets_match import matching_facets, narrows
from llmcp.stores.sqlite.file import connect, translated
from llmcp.stores.sqlite.persons import revealed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType


PAGE_ROWS: Final = 2_000
_ROWS: Final = "SELECT seq, facet, record FROM records WHERE seq > ? ORDER BY seq LIMIT ?"
_INSIDE: Final = ("since", "until", "stream", "decision_id", "session", "action", "actor", "target")
"""What facets do not tell apart."""


class SqliteFollower:
    """A reader that goes on. Used by one thread; close it, or use it as a context."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._version = -1
        self._facets: dict[int, bool] = {}
        self._change = -1
        self._asked: RecordFilter | None = None

    def __enter__(self) -> Self:
        """Return the follower itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the store."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def last_seq(self) -> int:
        """Return the newest record's `seq`, 0 where there never was one."""
        with translated(self._path):
            return last_seq(self._open())

    def changed(self) -> bool:
        """Tell whether anything was written since this was asked last; True when it is asked first."""
        with translated(self._path):
            connection = self._open()
            (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return False
        self._version = version
        return True

    def page(self, wanted: RecordFilter, after_seq: int) -> tuple[list[bytes], int, bool]:
        """Return what passes of the next rows, where to ask next, and whether there may be more at once.

        Bounds of `seq` and the limit of `wanted` are not heard.
        """
        with translated(self._path):
            connection = self._open()
            self._remember(connection, wanted)
            rows = connection.execute(_ROWS, (after_seq, PAGE_ROWS)).fetchall()
            if not rows:
                return [], min(after_seq, last_seq(connection)), False
            passing = list(self._passing(connection, wanted, rows))
        return passing, rows[-1][0], len(rows) == PAGE_ROWS

    def _remember(self, connection: sqlite3.Connection, wanted: RecordFilter) -> None:
        """Forget which facets fit where the question is another, or where an operator may have pruned or erased something."""
        (change,) = connection.execute("SELECT value FROM meta WHERE name = 'change'").fetchone()
        if change != self._change or wanted != self._asked:
            self._facets.clear()
        self._change, self._asked = change, wanted

    def _passing(
        self, connection: sqlite3.Connection, wanted: RecordFilter, rows: list[tuple[int, int, bytes]]
    ) -> Iterator[bytes]:
        if narrows(wanted):
            rows = [row for row in rows if self._fits(connection, wanted, row[1])]
        shown = revealed(connection, [data for _, _, data in rows])
        inside = RecordFilter(**{name: getattr(wanted, name) for name in _INSIDE})
        if inside == RecordFilter():
            return shown
        return (data for data in shown if inside.matches(parse(data)))

    def _fits(self, connection: sqlite3.Connection, wanted: RecordFilter, facet: int) -> bool:
        known = self._facets.get(facet)
        if known is None:
            known = self._facets[facet] = bool(matching_facets(connection, wanted, among=facet))
        return known

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._file == self._found():
            return self._connection
        self.close()
        self._connection = connect(self._path, read_only=True)
        self._file = self._found()
        self._version = -1
        self._facets.clear()
        return self._connection

    def _found(self) -> tuple[int, int] | None:
        with suppress(OSError):
            found = self._path.stat()
            return found.st_dev, found.st_ino
        return None
