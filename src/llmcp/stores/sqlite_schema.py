"""The tables of the SQLite store, as numbered steps that are never changed once released.

Rules:
1. The number of a file is its `PRAGMA user_version`; step `n` leads from `n - 1` to `n`, in the transaction that sets the number.
2. A step is only ever added at the end.
3. `sqlite-utils` describes the tables; it is imported here, late, because a store that is up to date does not need it.
4. A new file begins with `SNAPSHOT`, what the first `SNAPSHOT_VERSION` steps leave behind (a test holds the two equal): a first
   start then needs neither the library nor its 4 MB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from sqlite_utils import Database

APPLICATION_ID: Final = 0x6C6C6D63
"""`llmc`: says in the file's header whose it is (`PRAGMA application_id`)."""


def _1_records(db: Database) -> None:
    """Create the audit log: a column for each filter beside the canonical record, and the rules each record names."""
    text = (
        "id time stream decision_id org app user request_model response_model outcome operation provider",
        "record",
    )
    columns: dict[str, type] = {"seq": int, **dict.fromkeys(text[0].split(), str), text[1]: bytes}
    db.table("records").create(columns, pk="seq", not_null=set(columns) - {"seq"})
    db.table("records").create_index(["id"], unique=True)
    for column in ("time", "org"):
        db.table("records").create_index([column])
    # Partial: what is rare is looked for, what is common is found by scanning back from the newest.
    for column, neutral in (("app", ""), ("user", ""), ("outcome", "allowed")):
        db.execute(f"CREATE INDEX idx_records_{column} ON records ([{column}]) WHERE [{column}] <> '{neutral}'")
    # Where a record's id is its decision's, the unique index finds it.
    db.execute("CREATE INDEX idx_records_decision_id ON records (decision_id) WHERE decision_id <> id")
    db.execute("CREATE TABLE record_rules (rule TEXT, seq INTEGER, PRIMARY KEY (rule, seq)) WITHOUT ROWID")


MIGRATIONS: Final[tuple[Callable[[Database], None], ...]] = (_1_records,)
SCHEMA_VERSION: Final = len(MIGRATIONS)


SNAPSHOT_VERSION: Final = 1
SNAPSHOT: Final = (
    """CREATE TABLE "records" (
   "seq" INTEGER PRIMARY KEY,
   "id" TEXT NOT NULL,
   "time" TEXT NOT NULL,
   "stream" TEXT NOT NULL,
   "decision_id" TEXT NOT NULL,
   "org" TEXT NOT NULL,
   "app" TEXT NOT NULL,
   "user" TEXT NOT NULL,
   "request_model" TEXT NOT NULL,
   "response_model" TEXT NOT NULL,
   "outcome" TEXT NOT NULL,
   "operation" TEXT NOT NULL,
   "provider" TEXT NOT NULL,
   "record" BLOB NOT NULL
)""",
    """CREATE UNIQUE INDEX "idx_records_id"\n    ON "records" ("id")""",
    """CREATE INDEX "idx_records_time"\n    ON "records" ("time")""",
    """CREATE INDEX "idx_records_org"\n    ON "records" ("org")""",
    "CREATE INDEX idx_records_app ON records ([app]) WHERE [app] <> ''",
    "CREATE INDEX idx_records_user ON records ([user]) WHERE [user] <> ''",
    "CREATE INDEX idx_records_outcome ON records ([outcome]) WHERE [outcome] <> 'allowed'",
    "CREATE INDEX idx_records_decision_id ON records (decision_id) WHERE decision_id <> id",
    "CREATE TABLE record_rules (rule TEXT, seq INTEGER, PRIMARY KEY (rule, seq)) WITHOUT ROWID",
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file up to `SCHEMA_VERSION`, all or nothing. The caller has checked that it is ours and not newer."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again under the lock: another process may have done it meanwhile.
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if not version:
            for statement in SNAPSHOT:
                connection.execute(statement)
            version = SNAPSHOT_VERSION
        _take(MIGRATIONS[version:], connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        connection.rollback()
        raise
    connection.execute("COMMIT")


def _take(steps: Sequence[Callable[[Database], None]], connection: sqlite3.Connection) -> None:
    if not steps:
        return
    from sqlite_utils import Database  # noqa: PLC0415 - 100 ms and 4 MB, for an upgrade alone

    db = Database(connection, execute_plugins=False)
    for step in steps:
        step(db)
