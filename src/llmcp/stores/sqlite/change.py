"""One change by an operator: the caller's writes, the control record and a new change number, in one transaction.

Rules:
1. All of it is committed, or none of it.
2. The record gets its `seq` under the write lock, and its leaf in the control stream's tree. It names persons by reference.
3. The change number grows with every change: the daemon looks at it several times a second.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from llmcp.core.control_records import canonical
from llmcp.core.records import MAX_SAFE_INTEGER
from llmcp.stores.sqlite.connection import check_version, corrupt
from llmcp.stores.sqlite.file import connect, translated
from llmcp.stores.sqlite.persons import conceal_control
from llmcp.stores.sqlite.tree import append_leaves

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from llmcp.core.control_records import ControlRecord


@contextmanager
def change(path: Path, record: ControlRecord) -> Iterator[sqlite3.Connection]:
    """Open a transaction for the caller's writes; when the block ends without an error, add `record` and commit.

    `record.seq` is filled in, persons are replaced by references. Raises: UnreachableError; errors of the block pass, with nothing written.
    """
    with translated(path), closing(connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # a token names its user, who may be erased one day
        connection.execute("BEGIN IMMEDIATE")
        try:
            check_version(connection)
            yield connection
            append_control(connection, record)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def append_control(connection: sqlite3.Connection, record: ControlRecord) -> None:
    """Add `record` in the caller's transaction. Persons become references in what is stored; the caller's keeps its words."""
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM control_records").fetchone()
    if last >= MAX_SAFE_INTEGER:
        (*_, path) = connection.execute("PRAGMA database_list").fetchone()
        raise corrupt(Path(path), "somebody gave a control record a number that no record can follow")
    record.seq = int(last) + 1
    kept = structs.replace(record)
    conceal_control(connection, kept)
    data = canonical(kept)
    connection.execute(
        "INSERT INTO control_records VALUES (?, ?, ?, ?, ?, ?)",
        (record.seq, record.id, record.time, record.org, record.action, data),
    )
    append_leaves(connection, "control", record.seq, [data])
    connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'change'")


def change_number(path: Path) -> int:
    """Return the number of changes so far."""
    with translated(path), closing(connect(path, read_only=True)) as connection:
        (number,) = connection.execute("SELECT value FROM meta WHERE name = 'change'").fetchone()
    return int(number)
