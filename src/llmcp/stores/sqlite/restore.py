"""A backup in the place of the store.

Rules:
1. The caller has the home's lock: no daemon runs. The backup is checked whole before anything is touched, and is itself never
   changed: what is upgraded and gets the control record is a copy.
2. At every moment the store's path names a whole store, the one before or the restored one: the copy is finished beside it and
   takes its name in one rename.
3. The store before is kept as `NAME.before-restore-TIME`, also where it is damaged or of another version.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from llmcp.core.store_facts import Restored
from llmcp.errors import ConflictError, LlmcpError, UnreachableError
from llmcp.stores.sqlite import schema as sqlite_schema
from llmcp.stores.sqlite.backup import fresh_name, need_room, stamp, sync
from llmcp.stores.sqlite.change import change
from llmcp.stores.sqlite.check import check_backup, check_header, check_owner, facts, look, unreadable
from llmcp.stores.sqlite.connection import connect, connect_frozen, translated
from llmcp.stores.sqlite.file import prepare

if TYPE_CHECKING:
    from pathlib import Path

    from llmcp.core.control_records import ControlRecord
    from llmcp.core.store_facts import StoreFacts

_PARTS = ("", "-wal", "-shm", "-journal")


def restore(path: Path, source: Path, record: ControlRecord) -> Restored:
    """Put a copy of `source` in the place of the store at `path`, with `record` as its newest change.

    Raises: what `check.check_backup` does; UnreachableError where there is no room or somebody uses the store.
    """
    found = check_backup(source)
    before = _facts_of(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.samefile(source):
            raise ConflictError(f"{source} is the store itself", fix="name a backup of it", code="exists")
        need_room(path.parent, 2 * found.bytes)
        copy = path.with_name(f".{path.name}.restoring")
        try:
            _copy(source, copy)
            _finish(copy, record)
            aside = _set_aside(path)
            copy.replace(path)
            sync(path.parent)
        finally:
            for part in _PARTS:
                copy.with_name(copy.name + part).unlink(missing_ok=True)
    except OSError as error:
        raise unreadable(path, error) from error
    with translated(path), closing(connect_frozen(path)) as connection:
        return Restored(facts(connection, path), str(aside) if aside else "", found.schema, before)


def _copy(source: Path, copy: Path) -> None:
    for part in _PARTS:
        copy.with_name(copy.name + part).unlink(missing_ok=True)
    with source.open("rb") as given, os.fdopen(os.open(copy, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as taken:
        shutil.copyfileobj(given, taken, 1024 * 1024)
        taken.flush()
        os.fsync(taken.fileno())
    copy.chmod(0o600)


def _finish(copy: Path, record: ControlRecord) -> None:
    """Bring the copy up to date, leave the record in it, and fold it into one file."""
    prepare(copy, keep=False)
    with change(copy, record):
        pass
    if not _fold(copy):
        raise UnreachableError(f"{copy.name} is held by somebody", fix="try again", code="store-busy")
    sync(copy)


def _fold(path: Path) -> bool:
    """Fold the write-ahead log into the file and do without it; False while somebody else has the store open."""
    with translated(path), closing(connect(path)) as connection:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                return False
            raise
        return bool(mode == "delete")


def _set_aside(path: Path) -> Path | None:
    """Give the store before a second name. What belongs to it besides the file is folded in, or goes with it."""
    if not path.exists():
        return None
    aside = fresh_name(path, f"before-restore-{stamp()}", "")
    if _is_ours(path) and not _fold(path):
        raise UnreachableError(
            f"the store `{path.name}` is in use",
            why="another process has it open",
            fix="end what reads it (`llmcp audit tail`?) and try again",
            code="store-busy",
        )
    # What cannot be folded (a damaged store, one of another version) is kept with its log, byte for byte.
    for part in ("-wal", "-journal"):
        log = path.with_name(path.name + part)
        if log.exists():
            shutil.copy2(log, aside.with_name(aside.name + part))
            sync(aside.with_name(aside.name + part))
    try:
        aside.hardlink_to(path)
    except OSError:  # a file system without hard links
        shutil.copy2(path, aside)
    sync(path.parent)
    # A log that stayed would be taken for the restored file's.
    for part in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + part).unlink(missing_ok=True)
    return aside


def _facts_of(path: Path) -> StoreFacts | None:
    with suppress(LlmcpError):
        return look(path)[0]
    return None


def _is_ours(path: Path) -> bool:
    with suppress(LlmcpError, OSError), translated(path):
        check_header(path)
        with closing(connect(path, read_only=True)) as connection:
            return check_owner(connection, path) <= sqlite_schema.SCHEMA_VERSION
    return False
