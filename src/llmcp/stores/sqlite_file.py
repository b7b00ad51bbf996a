"""Opening a SQLite store: whose file it is, whether it is whole, who may read it.

Rules:
1. A file of a newer version, of another program, or that is no database is refused before a byte of it is written.
2. The file, its `-wal` and its `-shm` are 0600, a directory made for it is 0700, whatever the umask.
3. Write-ahead log with `synchronous=NORMAL`: what was committed survives the death of the process (`kill -9`); the last commits
   before a power cut may be lost, the file stays whole.
4. SQLite's errors become `UnreachableError` with a stable code here, never a message with a row's content.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from llmcp.errors import ConflictError, LlmcpError, UnreachableError, UsageError
from llmcp.stores.sqlite_schema import APPLICATION_ID, SCHEMA_VERSION, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAGIC: Final = b"SQLite format 3\0"
_PAGE_BYTES: Final = 8192
_BUSY_TIMEOUT_S: Final = 5.0
_WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024


def prepare(path: Path) -> None:
    """Create the store, or check it and bring it up to date.

    Raises: ConflictError (`store-newer`, `store-foreign`) and UnreachableError (`store-corrupt` and what `translated` says).
    """
    with _file_errors(path):
        if _is_new(path):
            _create_private(path)
        else:
            _check_header(path)
            _make_private(path)
    with translated(path), closing(connect(path)) as connection:
        # Until the version is known, closing must not fold the log into a file that may not be ours.
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)  # noqa: FBT003 - its signature
        version = _check_owner(connection, path)
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, False)  # noqa: FBT003 - its signature
        if not version:
            # Records have some 1,500 bytes: pages of 4 KB would hold two of them and stay a third empty.
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        if version < SCHEMA_VERSION:
            migrate(connection)
        connection.execute("SELECT seq, length(record) FROM records ORDER BY seq DESC LIMIT 1").fetchone()


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection in autocommit mode that any one thread at a time may use. The file must exist."""
    mode = "ro" if read_only else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
    return connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _ours(error, path) from error


def _ours(error: sqlite3.DatabaseError, path: Path) -> LlmcpError:
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    what = f"the store `{path.name}` cannot be used"
    if name.startswith("SQLITE_FULL"):
        return UnreachableError(what, why="the disk is full", fix="free some space; nothing committed is lost", code="store-full")
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN", "SQLITE_AUTH")):
        return UnreachableError(
            what, why=f"it cannot be opened for writing ({name})", fix="check owner and mode", code="store-readonly"
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return UnreachableError(what, why="another process holds its lock", fix="try again", code="store-busy")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return _corrupt(path, name)
    return UnreachableError(what, why=f"SQLite reports {name}", fix="see `llmcp status`", code="store-failed")


def _corrupt(path: Path, why: str) -> UnreachableError:
    return UnreachableError(
        f"the store `{path.name}` is damaged or no database",
        why=why,
        fix="it was left as it is; move it away and restore a backup",
        code="store-corrupt",
    )


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UnreachableError(
            f"the store `{path.name}` cannot be opened", why=why, fix="check the path and its modes", code="store-readonly"
        ) from error


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


def _check_header(path: Path) -> None:
    """Refuse what the first 100 bytes already tell (https://www.sqlite.org/fileformat2.html section 1.3)."""
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(_MAGIC) or len(header) < 100:  # noqa: PLR2004 - the header's length
        raise _corrupt(path, "its header is not SQLite's")
    _refuse_others(path, owner=int.from_bytes(header[68:72]), version=int.from_bytes(header[60:64]))


def _check_owner(connection: sqlite3.Connection, path: Path) -> int:
    """Check again through SQLite, which sees a log that is not folded in yet; return the file's version."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and not owner:
        owner = -1
    _refuse_others(path, owner=owner, version=version)
    return int(version)


def _refuse_others(path: Path, *, owner: int, version: int) -> None:
    if owner not in {0, APPLICATION_ID}:
        raise ConflictError(
            f"the store `{path.name}` belongs to another program",
            why="it is a database that llmcp did not create",
            fix="set `store` to another path",
            code="store-foreign",
        )
    if owner == APPLICATION_ID and version > SCHEMA_VERSION:
        raise ConflictError(
            f"the store `{path.name}` was written by a newer llmcp",
            why=f"its schema is {version}, this program knows {SCHEMA_VERSION}",
            fix="upgrade llmcp; the file was not touched",
            code="store-newer",
        )
