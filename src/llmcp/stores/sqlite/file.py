"""Opening a SQLite store: whose file it is, whether it is whole, who may read it.

Rules:
1. A file of a newer version, of another program, or that is no database is refused before a byte of it is written.
2. The file, its `-wal` and its `-shm` are 0600, a directory made for it is 0700, whatever the umask.
3. A file that is refused as damaged is not changed either: what is looked at first is looked at before the log's mode is set.
4. Opening an older store upgrades it, after a backup (`migrate`).
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from llmcp.errors import UsageError
from llmcp.stores.sqlite import schema as sqlite_schema
from llmcp.stores.sqlite.check import check_header, check_owner, unreadable
from llmcp.stores.sqlite.connection import connect, translated
from llmcp.stores.sqlite.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["connect", "prepare", "translated"]

_PAGE_BYTES: Final = 8192


def prepare(path: Path, *, keep: bool = True) -> None:
    """Create the store, or check it and bring it up to date; `keep` makes a backup before that.

    Raises: ConflictError (`store-newer`, `store-foreign`) and UnreachableError (`store-corrupt` and what `translated` says).
    """
    with _file_errors(path):
        if _is_new(path):
            _create_private(path)
        else:
            check_header(path)
            _make_private(path)
    with translated(path), closing(connect(path)) as connection:
        # Until the version is known, closing must not fold the log into a file that may not be ours.
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)  # noqa: FBT003 - its signature
        version = check_owner(connection, path)
        if version:
            connection.execute("SELECT seq, length(record) FROM records ORDER BY seq DESC LIMIT 1").fetchone()
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, False)  # noqa: FBT003 - its signature
        if not version:
            # Records have some 1,500 bytes: pages of 4 KB would hold two of them and stay a third empty.
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        if version < sqlite_schema.SCHEMA_VERSION:
            migrate(connection, path, keep=keep)


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error


def _is_new(path: Path) -> bool:
    """Tell whether there is no store yet. An empty file is none: SQLite itself leaves one when it is killed at birth."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return True
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(
            f"the store `{path.name}` is not a file", why="a regular file is needed", fix="set `store` to another path"
        )
    return found.st_size == 0


def _create_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives -wal and -shm the mode of the file itself, so it is enough that it exists with the right one before.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


def _make_private(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists() and stat.S_IMODE(part.stat().st_mode) & 0o077:
            part.chmod(0o600)
