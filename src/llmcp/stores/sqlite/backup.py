"""Backups of a SQLite store: one verified file, made while others write.

Rules:
1. A backup is what one moment's readers saw: all of it is read in one snapshot, writers go on meanwhile.
2. It is a single file without a write-ahead log, 0600, written beside its final name and renamed when it was verified:
   `integrity_check`, `foreign_key_check`, and every table's number of rows.
3. Space is asked for first: a backup that does not fit is refused before a byte is written.
4. The store holds no provider secret in clear, so a backup holds none.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import replace as changed
from typing import TYPE_CHECKING, Final

from llmcp.errors import ConflictError, UnreachableError
from llmcp.stores.sqlite.check import check_header, check_owner, damage, facts, row_counts, size
from llmcp.stores.sqlite.connection import connect, connect_frozen, corrupt, translated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmcp.core.store_facts import StoreFacts

_SPARE_BYTES: Final = 1024 * 1024
_PAGES: Final = 8192
type Progress = Callable[[int, int], None]


def stamp() -> str:
    """Return the time as file names have it, UTC."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def fresh_name(path: Path, middle: str, suffix: str = ".bak") -> Path:
    """Return a name beside `path` that no file has: `NAME.MIDDLE.bak`, or with a number."""
    name = path.with_name(f"{path.name}.{middle}{suffix}")
    number = 2
    while name.exists():
        name = path.with_name(f"{path.name}.{middle}-{number}{suffix}")
        number += 1
    return name


def backup(path: Path, target: Path, *, replace: bool = False, progress: Progress | None = None) -> StoreFacts:
    """Copy the store at `path` to `target`; return what the copy holds.

    `progress` is told pages done and pages in all. Raises: ConflictError (`exists`) where `target` is there and not to be
    replaced, UnreachableError where there is no room, the store cannot be read, or the copy does not pass.
    """
    if target.exists() and (not replace or not target.is_file()):
        raise ConflictError(
            f"{target} is there already", why="nothing was written", fix="say `--force`, or another path", code="exists"
        )
    _same_file(path, target)
    partial = target.with_name(f".{target.name}.partial")
    try:
        need_room(target.parent, size(path))
        check_header(path)
        # What an earlier attempt left goes; a link that somebody put there is not followed.
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC, 0o600))
        partial.chmod(0o600)
        with translated(path):
            counts = _copy(path, partial, progress)
        with translated(path):
            made = _verify(partial, path, counts)
        _settle(partial, target)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UnreachableError(
            f"the backup {target} cannot be written", why=why, fix="name a directory that is there and yours", code="not-written"
        ) from error
    finally:
        for leftover in ("", "-journal", "-wal", "-shm"):
            partial.with_name(partial.name + leftover).unlink(missing_ok=True)
    return changed(made, path=str(target))


def need_room(directory: Path, wanted: int) -> None:
    """Refuse where `directory` has not `wanted` bytes and some to spare. Raises: UnreachableError (`store-full`), OSError."""
    free = shutil.disk_usage(directory).free
    if free < wanted + _SPARE_BYTES:
        raise UnreachableError(
            f"there is not enough room in {directory}",
            why=f"{wanted + _SPARE_BYTES:,} bytes are needed, {free:,} are free",
            fix="free some space, or name a place on another disk",
            code="store-full",
        )


def _same_file(path: Path, target: Path) -> None:
    with suppress(OSError):
        if target.samefile(path):
            raise ConflictError(f"{target} is the store itself", fix="name another path", code="exists")


def _copy(path: Path, partial: Path, progress: Progress | None) -> dict[str, int]:
    """Copy in one snapshot; return the numbers of rows in it."""
    with closing(connect(path, read_only=True)) as source, closing(sqlite3.connect(partial, isolation_level=None)) as copy:
        # The transaction holds the snapshot: without it a write by another process would begin the copy anew, forever.
        source.execute("BEGIN")
        check_owner(source, path)
        counts = row_counts(source)
        copy.execute("PRAGMA synchronous = OFF")
        tell = (lambda _status, left, total: progress(total - left, total)) if progress else None
        source.backup(copy, pages=_PAGES, progress=tell, sleep=0)
        source.execute("COMMIT")
        # The header was copied too, and says that there is a log.
        copy.execute("PRAGMA journal_mode = DELETE")
    return counts


def _verify(partial: Path, path: Path, counts: dict[str, int]) -> StoreFacts:
    with closing(connect_frozen(partial)) as connection:
        found = damage(connection)
        if found:
            raise corrupt(path, f"a copy of it does not pass: {'; '.join(found)}")
        if row_counts(connection) != counts:
            raise corrupt(path, "a copy of it has not as many rows as the store")
        return facts(connection, partial)


def _settle(partial: Path, target: Path) -> None:
    """Give the file its name, in a way that survives a power cut."""
    sync(partial)
    partial.replace(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Wait until a file's or a directory's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
