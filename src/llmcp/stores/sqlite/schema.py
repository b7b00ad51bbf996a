"""The tables of the SQLite store, as numbered steps that are never changed once released.

Rules:
1. The number of a file is its `PRAGMA user_version`; step `n` leads from `n - 1` to `n`, in the transaction that sets the number
   (`migrate`; the way back is `down`).
2. A step is only ever added at the end.
3. `sqlite-utils` describes the tables; it is imported here, late, because a store that is up to date does not need it.
4. A new file begins with `SNAPSHOT`, what the first `SNAPSHOT_VERSION` steps leave behind (a test holds the two equal): a first
   start then needs neither the library nor its 4 MB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

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


LOG_OF_2: Final = (
    # The decision stream: `id` is the decision's.
    """CREATE TABLE records (
   seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time TEXT NOT NULL, facet INTEGER NOT NULL, record BLOB NOT NULL
)""",
    "CREATE INDEX idx_records_time ON records (time)",
    "CREATE INDEX idx_records_facet ON records (facet)",
    # One row for every combination of what a query filters by and usage groups by (`facets`).
    """CREATE TABLE facets (
   id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, org TEXT NOT NULL, app TEXT NOT NULL, user TEXT NOT NULL,
   key_id TEXT NOT NULL, provider TEXT NOT NULL, operation TEXT NOT NULL, request_model TEXT NOT NULL,
   response_model TEXT NOT NULL, outcome TEXT NOT NULL, rules TEXT NOT NULL, kinds TEXT NOT NULL, labels TEXT NOT NULL
)""",
    # Where in the order of `seq` each ten minutes lie (`spans`), and the records of an agent's session.
    "CREATE TABLE record_spans (slot TEXT PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE record_sessions (
   block INTEGER NOT NULL, session TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (block, session, seq)
) WITHOUT ROWID""",
    # What the records of an hour (hours since 1970) and a facet add up to.
    """CREATE TABLE usage (
   hour INTEGER NOT NULL, facet INTEGER NOT NULL, requests INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
   output_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL,
   reasoning_tokens INTEGER NOT NULL, cost_microusd INTEGER NOT NULL, PRIMARY KEY (hour, facet)
) WITHOUT ROWID""",
)

TABLES_OF_2: Final = (
    # The number that tells the daemon that something was changed, and other single values.
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    "INSERT INTO meta VALUES ('change', 0)",
    # Who may ask, and with whose key. Digests and metadata; never a secret.
    """CREATE TABLE orgs (
   name TEXT PRIMARY KEY, title TEXT NOT NULL, time_zone TEXT NOT NULL, enabled INTEGER NOT NULL, created TEXT NOT NULL
) WITHOUT ROWID""",
    "INSERT INTO orgs VALUES ('default', '', 'UTC', 1, '')",
    """CREATE TABLE apps (
   org TEXT NOT NULL REFERENCES orgs (name), name TEXT NOT NULL, title TEXT NOT NULL, enabled INTEGER NOT NULL,
   created TEXT NOT NULL, PRIMARY KEY (org, name)
) WITHOUT ROWID""",
    """CREATE TABLE tokens (
   id TEXT PRIMARY KEY, prefix TEXT NOT NULL, digest BLOB NOT NULL, org TEXT NOT NULL REFERENCES orgs (name), app TEXT NOT NULL,
   user TEXT NOT NULL, groups TEXT NOT NULL, labels TEXT NOT NULL, providers TEXT NOT NULL, models TEXT NOT NULL,
   created TEXT NOT NULL, expires TEXT NOT NULL, revoked TEXT NOT NULL, replaced_by TEXT NOT NULL
) WITHOUT ROWID""",
    "CREATE INDEX idx_tokens_org ON tokens (org)",
    """CREATE TABLE credentials (
   id TEXT PRIMARY KEY, provider TEXT NOT NULL, org TEXT NOT NULL, label TEXT NOT NULL, source TEXT NOT NULL,
   weight INTEGER NOT NULL, resources TEXT NOT NULL, hint TEXT NOT NULL, created TEXT NOT NULL, rotated TEXT NOT NULL
) WITHOUT ROWID""",
    # The control stream: what operators changed. The decision stream is `records`.
    """CREATE TABLE control_records (
   seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time TEXT NOT NULL, org TEXT NOT NULL, action TEXT NOT NULL,
   record BLOB NOT NULL
)""",
    # Persons stand in records by reference only: HMAC-SHA256(salt, value). Without the row nobody knows who it was.
    """CREATE TABLE persons (
   ref TEXT PRIMARY KEY, org TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, salt BLOB NOT NULL
) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX idx_persons_value ON persons (value, kind, org)",
    # The Merkle tree of each stream in tiles of up to 256 hashes (level 0: leaves; level n: roots of full tiles below).
    """CREATE TABLE tiles (
   stream TEXT NOT NULL, level INTEGER NOT NULL, number INTEGER NOT NULL, hashes BLOB NOT NULL,
   PRIMARY KEY (stream, level, number)
) WITHOUT ROWID""",
    # `proof` holds the consistency proof from the checkpoint before, its hashes joined; `note` is the signed text itself.
    """CREATE TABLE checkpoints (
   stream TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, time TEXT NOT NULL, note TEXT NOT NULL,
   previous INTEGER NOT NULL, proof BLOB NOT NULL, PRIMARY KEY (stream, size)
) WITHOUT ROWID""",
    # What `audit prune` took away: rows 1..size, and the frontier (roots of the full subtrees, joined) that stands for them.
    """CREATE TABLE pruned (
   stream TEXT PRIMARY KEY, size INTEGER NOT NULL, frontier BLOB NOT NULL, time TEXT NOT NULL
) WITHOUT ROWID""",
    # Bodies that a `record` rule kept, encrypted; `ref` is a salted hash that the record names.
    """CREATE TABLE bodies (
   ref TEXT PRIMARY KEY, time TEXT NOT NULL, sealed BLOB NOT NULL
) WITHOUT ROWID""",
    "CREATE INDEX idx_bodies_time ON bodies (time)",
)


def _2_identities_and_ledger(db: Database) -> None:
    """Add orgs, apps, tokens, credentials, control records and the tree; give records facets and usage."""
    from llmcp.stores.sqlite.upgrade_2 import upgrade  # noqa: PLC0415 - for an upgrade alone

    upgrade(db.conn, (*LOG_OF_2, *TABLES_OF_2))


MIGRATIONS: Final[tuple[Callable[[Database], None], ...]] = (_1_records, _2_identities_and_ledger)
SCHEMA_VERSION: Final = len(MIGRATIONS)


SNAPSHOT_VERSION: Final = 2
SNAPSHOT: Final = (*LOG_OF_2, *TABLES_OF_2)
