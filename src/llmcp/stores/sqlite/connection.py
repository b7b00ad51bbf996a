"""Connections to a SQLite store, and its errors in our words.

Rules:
1. A connection is in autocommit mode; whoever wants a transaction says so.
2. SQLite's errors become `UnreachableError` with a stable code, never a message with a row's content.
3. Write-ahead log with `synchronous=NORMAL`: what was committed survives the death of the process (`kill -9`); the last commits
   before a power cut may be lost, the file stays whole.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from llmcp.errors import ConflictError, LlmcpError, UnreachableError
from llmcp.stores.sqlite import schema as sqlite_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY_TIMEOUT_S: Final = 5.0
_WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection in autocommit mode that any one thread at a time may use. The file must exist."""
    mode = "ro" if read_only else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
    return connection


def connect_frozen(path: Path) -> sqlite3.Connection:
    """Open a file that nobody writes, so that not even a lock is taken: nothing is made beside it."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _ours(error, path) from error
    except UnicodeDecodeError as error:
        # SQLite quotes a damaged schema in its message, and Python cannot read the quotation.
        raise corrupt(path, "a name in its schema is not text") from error


def check_version(connection: sqlite3.Connection) -> None:
    """Refuse to write to a store that somebody led to another schema since it was opened. Asked in each write transaction.

    Raises: UnreachableError (`store-migrated`): the recorder keeps its records and tries again.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != sqlite_schema.SCHEMA_VERSION:
        raise UnreachableError(
            "the store was brought to another schema",
            why=f"its schema is {version} now, this process writes {sqlite_schema.SCHEMA_VERSION}",
            fix="stop this process and start the llmcp that fits the store",
            code="store-migrated",
        )


type Files = tuple[tuple[int, int] | None, ...]
"""Which files a store and its log are: device and inode; None where there is no log. Nothing at all where there is no store."""


def files_of(path: Path) -> Files:
    """Return which files stand under the store's names now."""
    found: list[tuple[int, int] | None] = []
    for name in (path, path.with_name(path.name + "-wal")):
        try:
            status = name.stat()
        except FileNotFoundError:
            if name is path:
                return ()
            found.append(None)
        except OSError as error:
            raise UnreachableError(
                f"the store `{path.name}` cannot be looked at", why=error.strerror or "", fix="check its path", code="store-gone"
            ) from error
        else:
            found.append((status.st_dev, status.st_ino))
    return tuple(found)


def gone(path: Path) -> UnreachableError:
    """Word that somebody took the store away."""
    return UnreachableError(
        f"the store `{path.name}` is gone",
        why="somebody moved or deleted the file while it was in use",
        fix="put it back, or a backup of it with `llmcp store restore`; llmcp does not begin a new one by itself",
        code="store-gone",
    )


def replaced(path: Path) -> UnreachableError:
    """Word that another file stands in the store's place."""
    return UnreachableError(
        f"the store `{path.name}`, or the log beside it, is not the file that was opened",
        why="somebody put another one in its place while it was in use; what was written last may stand in neither",
        fix="look at both with `llmcp audit verify`; llmcp goes on with the one that is there now",
        code="store-replaced",
    )


def corrupt(path: Path, why: str) -> UnreachableError:
    """Word that a store is damaged."""
    return UnreachableError(
        f"the store `{path.name}` is damaged or no database",
        why=why,
        fix="it was left as it is; put a backup in its place with `llmcp store restore`",
        code="store-corrupt",
    )


def refuse_others(path: Path, *, owner: int, version: int) -> None:
    """Refuse a file of another program or of a newer version. Raises: ConflictError (`store-foreign`, `store-newer`)."""
    if owner not in {0, sqlite_schema.APPLICATION_ID}:
        raise ConflictError(
            f"the store `{path.name}` belongs to another program",
            why="it is a database that llmcp did not create",
            fix="set `store` to another path",
            code="store-foreign",
        )
    if owner == sqlite_schema.APPLICATION_ID and version > sqlite_schema.SCHEMA_VERSION:
        raise ConflictError(
            f"the store `{path.name}` was written by a newer llmcp",
            why=f"its schema is {version}, this program knows {sqlite_schema.SCHEMA_VERSION}",
            fix="upgrade llmcp; the file was not touched",
            code="store-newer",
        )


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
        return corrupt(path, name)
    if name.startswith("SQLITE_IOERR"):
        return UnreachableError(
            what, why=f"the disk does not take or give its bytes ({name})", fix="see `llmcp doctor`", code="store-failed"
        )
    return UnreachableError(what, why=f"SQLite reports {name}", fix="see `llmcp doctor`", code="store-failed")
