"""Leading a SQLite store from one schema to another, up or down, all or nothing.

Rules:
1. Everything happens under the file's one write lock, the backup before it too: of several processes one migrates, the others
   wait for it or get `store-busy`, and nothing is written between backup and migration.
2. A new file gets the newest schema at once. A file that holds something is backed up first, as `NAME.vN-TIME.bak` beside it.
3. All steps are one transaction: an error leaves the store as it was and no backup; a crash may leave the backup besides.
4. A process that has the store open meanwhile cannot write to the new schema: each batch asks for the version again
   (`connection.check_version`), and an older program's statements do not fit the tables.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from llmcp.core.store_facts import Migrated
from llmcp.errors import NotFoundError, UsageError
from llmcp.stores.sqlite import schema as sqlite_schema
from llmcp.stores.sqlite.backup import backup, fresh_name, need_room, stamp
from llmcp.stores.sqlite.check import check_header, check_owner, open_to_read, size, unreadable
from llmcp.stores.sqlite.connection import connect, corrupt, refuse_others, translated
from llmcp.stores.sqlite.down import DOWN, UNREADABLE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sqlite_utils import Database

# The backup, and the log of the migration itself, which may rewrite all of it.
_ROOM: Final = 2


def version_of(path: Path) -> int:
    """Return the schema of the store at `path`, 0 where there is nothing yet. Read-only.

    Raises: ConflictError (`store-newer`, `store-foreign`), UnreachableError.
    """
    try:
        if not path.exists() or not path.stat().st_size:
            return 0
        check_header(path)
    except OSError as error:
        raise unreadable(path, error) from error
    with translated(path), closing(open_to_read(path)) as connection:
        return check_owner(connection, path)


def migrate_to(path: Path, to: int, *, keep: bool = True) -> Migrated:
    """Lead the store at `path` to schema `to`; `keep` makes a backup before. Raises: NotFoundError, UsageError and as above."""
    newest = sqlite_schema.SCHEMA_VERSION
    if not 1 <= to <= newest:
        raise UsageError(f"there is no schema {to}", why=f"this program knows 1 to {newest}", fix=f"say `--to {newest}`")
    if not version_of(path):
        raise NotFoundError(f"there is no store {path}", fix="the daemon makes it at its first start")
    with translated(path), closing(connect(path)) as connection:
        return migrate(connection, path, to=to, keep=keep)


def losses(before: int, to: int) -> tuple[str, ...]:
    """Return what goes from `before` down to `to` loses; nothing on the way up."""
    return tuple(lost for version in range(before, to, -1) for lost in DOWN[version].loses)


def migrate(connection: sqlite3.Connection, path: Path, *, to: int = 0, keep: bool = True) -> Migrated:
    """Lead the store behind `connection` to schema `to` (0: the newest). The caller has checked that the file is ours."""
    target = to or sqlite_schema.SCHEMA_VERSION
    kept: Path | None = None
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again under the lock: another process may have done it meanwhile, or gone beyond what is known here.
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        refuse_others(path, owner=sqlite_schema.APPLICATION_ID, version=version)
        if version and version != target and keep:
            kept = _keep(path, version)
        _walk(connection, path, version, target)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if kept:
            kept.unlink(missing_ok=True)  # the store is as it was
        raise
    return Migrated(version, target, str(kept or ""), losses(version, target))


def _keep(path: Path, version: int) -> Path:
    try:
        need_room(path.parent, _ROOM * size(path))
    except OSError as error:
        raise unreadable(path, error) from error
    for leftover in path.parent.glob(f".{path.name}.v*.bak.partial*"):
        leftover.unlink(missing_ok=True)  # of a migration that was killed: under the lock there is no other
    target = fresh_name(path, f"v{version}-{stamp()}")
    backup(path, target)
    return target


def _walk(connection: sqlite3.Connection, path: Path, version: int, target: int) -> None:
    if not version and target == sqlite_schema.SCHEMA_VERSION:
        for statement in sqlite_schema.SNAPSHOT:
            connection.execute(statement)
        version = sqlite_schema.SNAPSHOT_VERSION
    if version < target:
        _take(sqlite_schema.MIGRATIONS[version:target], connection)
    for number in range(version, target, -1):
        try:
            DOWN[number].take(connection)
        except UNREADABLE as error:
            raise corrupt(path, "a record in it cannot be read") from error
    connection.execute(f"PRAGMA application_id = {sqlite_schema.APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {target}")


def _take(steps: Sequence[Callable[[Database], None]], connection: sqlite3.Connection) -> None:
    if not steps:
        return
    from sqlite_utils import Database  # noqa: PLC0415 - 100 ms and 4 MB, for an upgrade alone

    db = Database(connection, execute_plugins=False)
    for step in steps:
        step(db)
