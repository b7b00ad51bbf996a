"""The store's change number, looked at several times a second for next to nothing.

Rules:
1. One read-only connection is kept. Where no other connection committed since the last look, SQLite says so without reading a row.
2. A store that was put in the place of the old one (a restore) is opened anew.
3. What cannot be looked at raises, and is opened anew at the next look.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from llmcp.errors import UnreachableError
from llmcp.stores.sqlite.file import connect, translated

if TYPE_CHECKING:
    from pathlib import Path


class ChangeWatch:
    """A `ChangeLog` over one file, for one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._version = -1
        self._number = 0

    def number(self) -> int:
        """Return the number of changes so far. Raises: UnreachableError."""
        try:
            with translated(self._path):
                return self._look()
        except BaseException:
            self.close()
            raise

    def seen(self) -> object:
        """Return what tells one state of the store from another: the number of changes, and which file says so.

        Another file may have come to the same number by other changes. Raises: UnreachableError.
        """
        return self.number(), self._file

    def close(self) -> None:
        """Let go of the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _look(self) -> int:
        try:
            found = self._path.stat()
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise UnreachableError(f"the store `{self._path.name}` cannot be read", why=why, code="store-gone") from error
        if self._connection is None or self._file != (found.st_dev, found.st_ino):
            self.close()
            self._connection = connect(self._path, read_only=True)
            self._file = (found.st_dev, found.st_ino)
            self._version = -1
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            (number,) = self._connection.execute("SELECT value FROM meta WHERE name = 'change'").fetchone()
            self._number = int(number)
            self._version = version
        return self._number
