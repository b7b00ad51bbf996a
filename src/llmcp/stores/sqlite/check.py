"""Is a SQLite file ours, of a version we know, and whole?

Rules:
1. The first 100 bytes are read before SQLite is let near the file: what they already tell is refused with nothing touched.
2. Everything is asked read-only. Every answer that is not "fine" is text for a person, or one of our errors; never a traceback.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from llmcp.core.store_facts import StoreFacts
from llmcp.errors import NotFoundError, UnreachableError, UsageError
from llmcp.stores.sqlite.connection import connect, connect_frozen, corrupt, refuse_others, translated
from llmcp.stores.sqlite.header import HEADER_BYTES, read_header

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC: Final = b"SQLite format 3\0"
_MOST: Final = 5


def check_header(path: Path) -> None:
    """Refuse what the first 100 bytes already tell (https://www.sqlite.org/fileformat2.html section 1.3)."""
    header = read_header(path)
    if not header.startswith(_MAGIC) or len(header) < HEADER_BYTES:
        raise corrupt(path, "its header is not SQLite's")
    refuse_others(path, owner=int.from_bytes(header[68:72]), version=int.from_bytes(header[60:64]))


def check_owner(connection: sqlite3.Connection, path: Path) -> int:
    """Check again through SQLite, which sees a log that is not folded in yet; return the file's version."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and not owner:
        owner = -1
    refuse_others(path, owner=owner, version=version)
    return int(version)


def damage(connection: sqlite3.Connection, *, quick: bool = False) -> list[str]:
    """Return what `quick_check` or `integrity_check`, and `foreign_key_check`, find; nothing where the file is whole."""
    try:
        found = [str(row[0]) for row in connection.execute(f"PRAGMA {'quick' if quick else 'integrity'}_check({_MOST})")]
        if found != ["ok"]:
            return [line for text in found for line in text.splitlines()][:_MOST]
        rows = connection.execute("PRAGMA foreign_key_check").fetchmany(_MOST)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        return [getattr(error, "sqlite_errorname", "") or type(error).__name__]
    return [f"a row of `{row[0]}` names a row of `{row[2]}` that is not there" for row in rows]


def facts(connection: sqlite3.Connection, path: Path) -> StoreFacts:
    """Return version, size and how many records there are."""
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    counts = row_counts(connection, ("records", "control_records"))
    return StoreFacts(str(path), int(schema), size(path), counts.get("records", 0), counts.get("control_records", 0))


def row_counts(connection: sqlite3.Connection, only: tuple[str, ...] = ()) -> dict[str, int]:
    """Return the number of rows of each table, or of those named."""
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    counts = {}
    for name in names:
        if not only or name in only:
            quoted = name.replace('"', '""')
            (counts[name],) = connection.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()  # noqa: S608 - quoted
    return counts


def size(path: Path) -> int:
    """Return the bytes of a store and of its write-ahead log."""
    parts = (path, path.with_name(path.name + "-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())


def check_backup(path: Path) -> StoreFacts:
    """Check a file that is to be restored: ours, a version we know, whole. It is not touched.

    Raises: NotFoundError, UsageError, ConflictError (`store-newer`, `store-foreign`), UnreachableError (`store-corrupt`).
    """
    try:
        if not path.is_file():
            raise NotFoundError(f"there is no file {path}", fix="name a file that `llmcp store backup` wrote")
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise UsageError(
                f"{path.name} is a live store, not a backup",
                why=f"{log.name} beside it holds changes that are not in it",
                fix="make a backup of it with `llmcp store backup`",
                code="not-a-backup",
            )
        check_header(path)
    except OSError as error:
        raise unreadable(path, error) from error
    with translated(path), closing(connect_frozen(path)) as connection:
        if not check_owner(connection, path):
            raise corrupt(path, "it has no schema of llmcp's")
        found = damage(connection)
        if found:
            raise corrupt(path, "; ".join(found))
        return facts(connection, path)


def look(path: Path, *, quick: bool = True) -> tuple[StoreFacts, list[str]]:
    """Return what a store in use is and what is wrong with it, without changing it.

    Raises: NotFoundError where there is none, and what `check_header`, `check_owner` and `translated` say.
    """
    if not path.exists():
        raise NotFoundError(f"there is no store {path}", fix="the daemon makes it at its first start")
    try:
        check_header(path)
    except OSError as error:
        raise unreadable(path, error) from error
    with translated(path), closing(open_to_read(path)) as connection:
        check_owner(connection, path)
        return facts(connection, path), damage(connection, quick=quick)


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a store so that nothing appears beside it: without a log nobody has it open, and SQLite would make one even to read."""
    log = path.with_name(path.name + "-wal")
    return connect(path, read_only=True) if log.exists() else connect_frozen(path)


def unreadable(path: Path, error: OSError) -> UnreachableError:
    """Word that the system does not give the file."""
    why = error.strerror or type(error).__name__
    return UnreachableError(
        f"the store `{path.name}` cannot be opened", why=why, fix="check the path and its modes", code="store-readonly"
    )
