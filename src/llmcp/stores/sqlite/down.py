"""The way back: what leads a store from schema `n` to `n - 1`, by `n`.

Rules:
1. A step down runs in the transaction that sets the number, as a step up does.
2. Records keep their canonical bytes, whatever else is lost; `loses` says what is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from llmcp.core.record_filter import rule_names
from llmcp.core.records import parse
from llmcp.errors import ConflictError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

_ROWS: Final = 512


@dataclass(frozen=True, slots=True)
class Down:
    """One step back. Raises: what `UNREADABLE` names where a record cannot be read, ConflictError where there is no way."""

    take: Callable[[sqlite3.Connection], None]
    loses: tuple[str, ...]


# As step 1 makes them; a test holds the two equal.
_TABLES_OF_1: Final = (
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


def _from_2(connection: sqlite3.Connection) -> None:
    """Leave the records, in the columns of schema 1, and nothing else."""
    if connection.execute("SELECT 1 FROM pruned").fetchone():
        raise ConflictError(
            "a store whose first records were pruned cannot go back to schema 1",
            why="it could never be upgraded again: its tree would begin in the middle",
            fix="keep this version, or restore a backup from before",
            code="store-pruned",
        )
    objects = connection.execute(
        "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' AND sql IS NOT NULL ORDER BY type = 'table', name"
    ).fetchall()
    for kind, name in objects:
        if kind != "table":
            connection.execute(f'DROP {kind} "{name}"')
    connection.execute('ALTER TABLE "records" RENAME TO "records_of_2"')
    for kind, name in objects:
        if kind == "table" and name != "records":
            connection.execute(f'DROP TABLE IF EXISTS "{name}"')
    for statement in _TABLES_OF_1:
        connection.execute(statement)
    rows = connection.execute("SELECT seq, record FROM records_of_2 ORDER BY seq")
    while batch := rows.fetchmany(_ROWS):
        _insert(connection, batch)
    connection.execute("DROP TABLE records_of_2")


def _insert(connection: sqlite3.Connection, batch: list[tuple[int, bytes]]) -> None:
    rows, rules = [], []
    for seq, data in batch:
        record = parse(data)
        gen_ai = record.gen_ai
        rows.append(
            (
                seq,
                record.id,
                record.time,
                record.stream,
                record.decision_id,
                record.org,
                record.app,
                record.user,
                gen_ai.request_model,
                gen_ai.response_model,
                record.outcome,
                record.operation,
                gen_ai.provider,
                data,
            )
        )
        rules += [(name, seq) for name in rule_names(record)]
    connection.executemany(f"INSERT INTO records VALUES ({','.join('?' * 14)})", rows)  # noqa: S608 - question marks
    connection.executemany("INSERT INTO record_rules VALUES (?, ?)", rules)


DOWN: Final[Mapping[int, Down]] = {
    2: Down(
        _from_2,
        (
            "orgs, apps and virtual keys",
            "the entries of provider credentials (the secrets themselves stay where they are)",
            "control records, the ledger's tree and its checkpoints",
            "who the persons are that records name by reference",
            "kept bodies",
            "usage rollups",
        ),
    ),
}
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError)
"""What a step down raises where a record cannot be read."""
