"""Whatever somebody does to the file by SQL is found by `audit verify`, and named. One case a kind, as data."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ledger_stores import Log, decision, notary_of, standing
from llmcp.core import merkle
from llmcp.core.ledger import Kind
from llmcp.core.records import canonical
from llmcp.core.signed_note import CheckpointText

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.core.ledger import Damage

type Sql = sqlite3.Connection


@dataclass(frozen=True)
class Case:
    """A way to tamper, and the damage that must be named: its kind, and the part of its place that counts."""

    sentence: str
    tamper: Callable[[Sql], object]
    kind: Kind
    place: str


def _run(*statements: str) -> Callable[[Sql], None]:
    def tamper(sql: Sql) -> None:
        for statement in statements:
            sql.execute(statement)

    return tamper


def _loosened(table: str, column: str) -> tuple[str, ...]:
    """Return what lets a column be NULL."""
    edit = f"UPDATE sqlite_schema SET sql = replace(sql, '{column} {{0}} NOT NULL', '{column} {{0}}') WHERE name = '{table}'"  # noqa: S608
    return ("PRAGMA writable_schema = ON", *(edit.format(kind) for kind in ("BLOB", "INTEGER")), "PRAGMA writable_schema = RESET")


def _replace(seq: int, old: str, new: str) -> Callable[[Sql], None]:
    return _run(f"UPDATE records SET record = CAST(replace(CAST(record AS TEXT), '{old}', '{new}') AS BLOB) WHERE seq = {seq}")  # noqa: S608


def _other_record(sql: Sql) -> None:
    record = decision(9999, id="d_000301", decision_id="d_000301")
    record.seq = 301
    sql.execute("UPDATE records SET record = ? WHERE seq = 301", (canonical(record),))


def _one_byte(sql: Sql) -> None:
    (data,) = sql.execute("SELECT record FROM records WHERE seq = 5").fetchone()
    at = data.index(b'"latency_ms":0') + 13
    sql.execute("UPDATE records SET record = ? WHERE seq = 5", (data[:at] + b"7" + data[at + 1 :],))


def _reencoded(sql: Sql) -> None:
    (data,) = sql.execute("SELECT record FROM records WHERE seq = 77").fetchone()
    document = json.loads(data) | {"action": "llm.other"}
    sql.execute("UPDATE records SET record = ? WHERE seq = 77", (json.dumps(document, separators=(",", ":")).encode(),))


def _swap(sql: Sql) -> None:
    rows = {
        seq: sql.execute("SELECT id, time, facet, record FROM records WHERE seq = ?", (seq,)).fetchone() for seq in (100, 101)
    }
    sql.execute("DELETE FROM records WHERE seq IN (100, 101)")
    for seq, other in ((100, 101), (101, 100)):
        sql.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?)", (seq, *rows[other]))


def _insert_in_the_middle(sql: Sql) -> None:
    sql.execute("UPDATE records SET seq = seq + 10000 WHERE seq >= 300")
    sql.execute("UPDATE records SET seq = seq - 9999 WHERE seq >= 10300")
    _forge(sql, 300)


def _forge(sql: Sql, seq: int, name: str = "forged") -> bytes:
    record = decision(1, id=name, decision_id=name)
    record.seq = seq
    data = canonical(record)
    sql.execute("INSERT INTO records SELECT ?, ?, time, facet, ? FROM records WHERE seq = 1", (seq, name, data))
    return data


def _duplicate_at_the_end(sql: Sql) -> None:
    sql.execute("INSERT INTO records SELECT 701, id || 'x', time, facet, record FROM records WHERE seq = 700")


def _forge_with_leaf(sql: Sql) -> None:
    leaf = merkle.leaf_hash(_forge(sql, 701))
    sql.execute("UPDATE tiles SET hashes = hashes || ? WHERE stream = 'decision' AND level = 0 AND number = 2", (leaf,))


def _facet(sql: Sql) -> None:
    sql.execute("UPDATE records SET facet = (SELECT facet FROM records WHERE seq = 1) WHERE seq = 420")


def _tile(number: int, change: Callable[[bytes], bytes], level: int = 0, stream: str = "decision") -> Callable[[Sql], None]:
    def tamper(sql: Sql) -> None:
        place = (stream, level, number)
        (hashes,) = sql.execute("SELECT hashes FROM tiles WHERE stream = ? AND level = ? AND number = ?", place).fetchone()
        sql.execute("UPDATE tiles SET hashes = ? WHERE stream = ? AND level = ? AND number = ?", (change(hashes), *place))

    return tamper


def _flip(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _note(size: int, change: Callable[[str], str]) -> Callable[[Sql], None]:
    def tamper(sql: Sql) -> None:
        (note,) = sql.execute("SELECT note FROM checkpoints WHERE stream = 'decision' AND size = ?", (size,)).fetchone()
        sql.execute("UPDATE checkpoints SET note = ? WHERE stream = 'decision' AND size = ?", (change(note), size))

    return tamper


def _flip_signature(note: str) -> str:
    at = len(note) - 20
    return note[:at] + ("A" if note[at] != "A" else "B") + note[at + 1 :]


def _foreign_key(sql: Sql) -> None:
    (root,) = sql.execute("SELECT root FROM checkpoints WHERE stream = 'decision' AND size = 400").fetchone()
    note = notary_of(2).sign("decision", 400, root)
    sql.execute("UPDATE checkpoints SET note = ? WHERE stream = 'decision' AND size = 400", (note,))


def _root_and_note(sql: Sql) -> None:
    (note,) = sql.execute("SELECT note FROM checkpoints WHERE stream = 'decision' AND size = 400").fetchone()
    said, root = CheckpointText("example.com/log/decision", 400, b"\7" * 32), b"\7" * 32
    sql.execute(
        "UPDATE checkpoints SET note = ?, root = ? WHERE stream = 'decision' AND size = 400",
        (said.text + note[note.index("\n\n") + 1 :], root),
    )


def _fork(sql: Sql) -> None:
    note = notary_of().sign("decision", 500, b"\7" * 32)
    sql.execute("INSERT INTO checkpoints VALUES ('decision', 500, ?, '2026', ?, 400, x'')", (b"\7" * 32, note))


def _together(sql: Sql) -> None:
    """Change record 301 and every hash over it."""
    _replace(301, '"latency_ms":0', '"latency_ms":9')(sql)
    (data,) = sql.execute("SELECT record FROM records WHERE seq = 301").fetchone()
    leaf, at = merkle.leaf_hash(data), (300 - 256) * 32
    _tile(1, lambda hashes: hashes[:at] + leaf + hashes[at + 32 :])(sql)
    (tile,) = sql.execute("SELECT hashes FROM tiles WHERE stream = 'decision' AND level = 0 AND number = 1").fetchone()
    _tile(0, lambda hashes: hashes[:32] + merkle.full_root(tile), level=1)(sql)


def _record_and_leaf(sql: Sql) -> None:
    """Change record 301 and its leaf, but not the level above."""
    _replace(301, '"latency_ms":0', '"latency_ms":9')(sql)
    (data,) = sql.execute("SELECT record FROM records WHERE seq = 301").fetchone()
    leaf, at = merkle.leaf_hash(data), (300 - 256) * 32
    _tile(1, lambda hashes: hashes[:at] + leaf + hashes[at + 32 :])(sql)


def _cut(sql: Sql, to: int = 600) -> None:
    """Cut the log to 600 records, leaves too, and leave the checkpoints."""
    sql.execute("DELETE FROM records WHERE seq > ?", (to,))
    _tile(2, lambda hashes: hashes[: (to - 512) * 32])(sql)


CASES = [
    Case("one byte of a record is changed", _one_byte, Kind.RECORD_ALTERED, "decision, record 5"),
    Case("a field is changed and the JSON encoded again", _reencoded, Kind.RECORD_ALTERED, "decision, record 77"),
    Case("a record is replaced by another valid one", _other_record, Kind.RECORD_ALTERED, "decision, record 301"),
    Case("a record becomes something that is no record", _run("UPDATE records SET record = x'7b' WHERE seq = 9"), Kind.RECORD_ALTERED, "decision, record 9"),
    Case("a record becomes text", _run("UPDATE records SET record = 'x' WHERE seq = 9"), Kind.RECORD_ALTERED, "decision, record 9"),
    Case("a row in the middle is deleted", _run("DELETE FROM records WHERE seq = 333"), Kind.RECORD_MISSING, "decision, record 333"),
    Case("the first row is deleted", _run("DELETE FROM records WHERE seq = 1"), Kind.RECORD_MISSING, "decision, record 1"),
    Case("the last row is deleted", _run("DELETE FROM records WHERE seq = 700"), Kind.RECORD_MISSING, "decision, record 700"),
    Case("many rows are deleted", _run("DELETE FROM records WHERE seq BETWEEN 250 AND 520"), Kind.RECORD_MISSING, "decision, records 250 to 520"),
    Case("two rows are swapped", _swap, Kind.RECORD_ALTERED, "decision, records 100 to 101"),
    Case("a row is inserted and the others move up", _insert_in_the_middle, Kind.RECORD_ALTERED, "decision, records 300 to 650"),
    Case("a record is appended a second time", _duplicate_at_the_end, Kind.RECORD_UNEXPECTED, "decision, record 701"),
    Case("a forged record is appended without a leaf", lambda sql: _forge(sql, 701), Kind.RECORD_UNEXPECTED, "decision, record 701"),
    Case("a forged record is appended with its leaf", _forge_with_leaf, Kind.USAGE_ALTERED, "decision, records 1 to 701"),
    Case("a forged record is put far behind the end", lambda sql: _forge(sql, 9000), Kind.RECORD_UNEXPECTED, "decision, record 9000"),
    Case("a forged record is put before the first", lambda sql: _forge(sql, -3), Kind.RECORD_UNEXPECTED, ""),
    Case("a row gets another number", _run("UPDATE records SET seq = 800 WHERE seq = 555"), Kind.RECORD_MISSING, "decision, record 555"),
    Case("the column `id` is changed", _run("UPDATE records SET id = 'other' WHERE seq = 42"), Kind.COLUMN_ALTERED, "decision, record 42"),
    Case("the column `time` is changed", _run("UPDATE records SET time = '2027' WHERE seq = 43"), Kind.COLUMN_ALTERED, "decision, record 43"),
    Case("a record is pointed at another facet", _facet, Kind.COLUMN_ALTERED, "decision, record 420"),
    Case("a record is pointed at a facet that is not there", _run("UPDATE records SET facet = 99999 WHERE seq = 44"), Kind.COLUMN_ALTERED, "decision, record 44"),
    Case("a facet says something else", _run("UPDATE facets SET org = 'org9' WHERE id = (SELECT facet FROM records WHERE seq = 2)"), Kind.COLUMN_ALTERED, "decision, record 2"),
    Case("a facet's key is changed", _run("UPDATE facets SET key = x'00' WHERE id = 3"), Kind.COLUMN_ALTERED, "decision"),
    Case("usage is made smaller", _run("UPDATE usage SET cost_microusd = 0 WHERE facet = (SELECT facet FROM records WHERE seq = 3)"), Kind.USAGE_ALTERED, "decision, records 3 to"),
    Case("usage is deleted", _run("DELETE FROM usage WHERE facet = (SELECT facet FROM records WHERE seq = 3)"), Kind.USAGE_ALTERED, "decision, records 3 to"),
    Case("usage is invented", _run("INSERT INTO usage SELECT 999999, facet, 1, 1, 1, 1, 1, 1, 1 FROM usage LIMIT 1"), Kind.USAGE_ALTERED, "decision"),
    Case("a leaf's hash is changed in a full tile", _tile(0, _flip(32 * 10)), Kind.TILE_ALTERED, "decision, record 11, tile 0/0"),
    Case("a leaf's hash is changed in the last tile", _tile(2, _flip(32 * 20)), Kind.TILE_ALTERED, "decision, record 533, tile 0/2"),
    Case("a leaf's hash that nothing was signed over is changed", _tile(2, _flip(32 * 180)), Kind.RECORD_ALTERED, "decision, record 693"),
    Case("a tile is made shorter", _tile(1, lambda hashes: hashes[:-32]), Kind.TILE_ALTERED, "tile 0/1"),
    Case("a tile is deleted", _run("DELETE FROM tiles WHERE stream = 'decision' AND level = 0 AND number = 1"), Kind.TILE_MISSING, "tile 0/1"),
    Case("the last tile is deleted", _run("DELETE FROM tiles WHERE stream = 'decision' AND level = 0 AND number = 2"), Kind.RECORD_UNEXPECTED, "decision, records 513 to 700"),
    Case("the last tile is made longer", _tile(2, lambda hashes: hashes + b"\7" * 32), Kind.RECORD_MISSING, "decision, record 701"),
    Case("a tile gets half a hash more", _tile(2, lambda hashes: hashes + b"\7" * 16), Kind.TILE_ALTERED, "tile 0/2"),
    Case("a tile is invented", _run("INSERT INTO tiles VALUES ('decision', 2, 0, x'00')"), Kind.TILE_UNEXPECTED, "tile 2/0"),
    Case("a tile gets a number that is none", _run("INSERT INTO tiles VALUES ('decision', 0, 'zzz', x'00')"), Kind.TILE_UNEXPECTED, "tile 0/-1"),
    Case("a tile gets a number far behind all others", _run("INSERT INTO tiles VALUES ('decision', 0, 1 << 61, x'00')"), Kind.TILE_UNEXPECTED, "tile 0/2305843009213693952"),
    Case("a tile gets a level that is none", _run("INSERT INTO tiles VALUES ('decision', -3, 0, x'00')"), Kind.TILE_UNEXPECTED, "tile -3/0"),
    Case("a tile gets a level that no tree has", _run("INSERT INTO tiles VALUES ('decision', 1 << 61, 0, x'00')"), Kind.TILE_UNEXPECTED, "/0"),
    Case("usage is invented for an hour that no calendar has", _run("UPDATE usage SET hour = hour + (1 << 61) WHERE facet = 3"), Kind.USAGE_ALTERED, "decision"),
    Case("a record becomes nothing", _run(*_loosened("records", "record"), "UPDATE records SET record = NULL WHERE seq = 9"), Kind.RECORD_ALTERED, "decision, record 9"),
    Case("the facet of a record becomes nothing", _run(*_loosened("records", "facet"), "UPDATE records SET facet = NULL WHERE seq = 9"), Kind.COLUMN_ALTERED, "decision, record 9"),
    Case("a tile becomes nothing", _run(*_loosened("tiles", "hashes"), "UPDATE tiles SET hashes = NULL WHERE stream = 'decision' AND level = 0 AND number = 1"), Kind.TILE_ALTERED, "tile 0/1"),
    Case("a checkpoint's root becomes nothing", _run(*_loosened("checkpoints", "root"), "UPDATE checkpoints SET root = NULL WHERE size = 400"), Kind.CHECKPOINT_ALTERED, "decision, checkpoint 400"),
    Case("what a checkpoint grew out of becomes nothing", _run(*_loosened("checkpoints", "previous"), "UPDATE checkpoints SET previous = NULL WHERE size = 400"), Kind.CHECKPOINT_CHAIN, "decision, checkpoint 400"),
    Case("queries by time are led past a record", _run("UPDATE record_spans SET last = first WHERE slot = '2026-01-01T00:2'"), Kind.COLUMN_ALTERED, "decision, records 201 to 299"),
    Case("another name is put under a reference", _run("UPDATE persons SET value = 'mallory' WHERE value = 'user2' AND org = 'org1'"), Kind.PERSON_ALTERED, ""),
    Case("the salt of a person is changed", _run("UPDATE persons SET salt = zeroblob(32) WHERE value = 'user2' AND org = 'org1'"), Kind.PERSON_ALTERED, ""),
    Case("a trigger swallows records", _run("CREATE TRIGGER gone BEFORE INSERT ON records BEGIN SELECT RAISE(IGNORE); END"), Kind.SCHEMA_ALTERED, ""),
    Case("a view stands in the place of a table", _run("ALTER TABLE records RENAME TO kept", "CREATE VIEW records AS SELECT * FROM kept"), Kind.SCHEMA_ALTERED, ""),
    Case("an index leaves records out", _run("DROP INDEX idx_records_time", "CREATE INDEX idx_records_time ON records (time) WHERE seq <> 7"), Kind.SCHEMA_ALTERED, ""),
    Case("a unique index is gone", _run("DROP INDEX idx_persons_value"), Kind.SCHEMA_ALTERED, ""),
    Case("the number of changes is gone", _run("DELETE FROM meta WHERE name = 'change'"), Kind.SCHEMA_ALTERED, ""),
    Case("a checkpoint's size becomes a word", _run("UPDATE checkpoints SET size = 'all' WHERE size = 650"), Kind.CHECKPOINT_ALTERED, "decision"),
    Case("what a checkpoint grew out of becomes a word", _run("UPDATE checkpoints SET previous = 'x' WHERE size = 650"), Kind.CHECKPOINT_CHAIN, "decision, checkpoint 650"),
    Case("the facet of a record becomes a word", _run("UPDATE records SET facet = 'x' WHERE seq = 7"), Kind.COLUMN_ALTERED, "decision, record 7"),
    Case("a checkpoint's note becomes bytes that are no text", _run("UPDATE checkpoints SET note = x'ff00' WHERE size = 650"), Kind.CHECKPOINT_SIGNATURE, "decision, checkpoint 650"),
    Case("a hash of level 1 is changed", _tile(0, _flip(33), level=1), Kind.TILE_ALTERED, "decision, records 257 to 512, tile 1/0"),
    Case("the tile of level 1 is deleted", _run("DELETE FROM tiles WHERE stream = 'decision' AND level = 1"), Kind.TILE_MISSING, "tile 1/0"),
    Case("a checkpoint is deleted", _run("DELETE FROM checkpoints WHERE stream = 'decision' AND size = 400"), Kind.CHECKPOINT_CHAIN, "decision, checkpoint 650"),
    Case("the first checkpoint is deleted", _run("DELETE FROM checkpoints WHERE stream = 'decision' AND size = 200"), Kind.CHECKPOINT_CHAIN, "decision, checkpoint 400"),
    Case("a checkpoint's root is changed", _run("UPDATE checkpoints SET root = zeroblob(32) WHERE size = 400"), Kind.CHECKPOINT_ALTERED, "decision, checkpoint 400"),
    Case("a checkpoint's size is changed", _run("UPDATE checkpoints SET size = 401 WHERE size = 400"), Kind.CHECKPOINT_ALTERED, "decision, checkpoint 401"),
    Case("a checkpoint's root is changed in the note too", _root_and_note, Kind.CHECKPOINT_SIGNATURE, "decision, checkpoint 400"),
    Case("a checkpoint's signature is changed", _note(400, _flip_signature), Kind.CHECKPOINT_SIGNATURE, "decision, checkpoint 400"),
    Case("a checkpoint's note is cut", _note(650, lambda note: note[:30]), Kind.CHECKPOINT_SIGNATURE, "decision, checkpoint 650"),
    Case("a checkpoint is signed by another key", _foreign_key, Kind.CHECKPOINT_KEY, "decision, checkpoint 400"),
    Case("a second checkpoint with another root is signed by the right key", _fork, Kind.RANGE_ALTERED, "decision, records 401 to 500, checkpoint 500"),
    Case("a checkpoint is moved to the other stream", _run("UPDATE checkpoints SET stream = 'control' WHERE size = 400"), Kind.CHECKPOINT_ALTERED, "control, checkpoint 400"),
    Case("a stored proof is changed", _run("UPDATE checkpoints SET proof = zeroblob(length(proof)) WHERE size = 650"), Kind.CHECKPOINT_CHAIN, "decision, checkpoint 650"),
    Case("a checkpoint names another one before it", _run("UPDATE checkpoints SET previous = 200 WHERE size = 650"), Kind.CHECKPOINT_CHAIN, "decision, checkpoint 650"),
    Case("the log is cut, its leaves too", _cut, Kind.TRUNCATED, "decision, records 601 to 650, checkpoint 650"),
    Case("a record and its leaf are changed together", _record_and_leaf, Kind.RANGE_ALTERED, "decision, records 257 to 512"),
    Case("a record and all hashes over it are changed together", _together, Kind.RANGE_ALTERED, "decision, records 201 to 400, checkpoint 400"),
    Case("a control record is changed", _run("UPDATE control_records SET record = CAST(replace(CAST(record AS TEXT), 'org-4', 'org-5') AS BLOB) WHERE seq = 4"), Kind.RECORD_ALTERED, "control, record 4"),
    Case("a control record is deleted", _run("DELETE FROM control_records WHERE seq = 2"), Kind.RECORD_MISSING, "control, record 2"),
    Case("the last control record is deleted", _run("DELETE FROM control_records WHERE seq = 8"), Kind.RECORD_MISSING, "control, record 8"),
    Case("a control record's column is changed", _run("UPDATE control_records SET action = 'org.remove' WHERE seq = 5"), Kind.COLUMN_ALTERED, "control, record 5"),
    Case("it is pretended that records were pruned", _run("DELETE FROM records WHERE seq <= 100", "INSERT INTO pruned VALUES ('decision', 100, x'', '2026')"), Kind.PRUNING_ALTERED, "decision"),
    Case("the mark of a damage is there", _run("INSERT INTO meta VALUES ('ledger.damaged.decision', 'record 3 came, but the tree has 9 leaves')"), Kind.DISCONNECTED, "decision"),
]  # fmt: skip


@pytest.fixture
def log(tmp_path):
    """Return a log that nobody tampered with."""
    return standing(tmp_path / "llmcp.db")


def tampered(log: Log, tamper: Callable[[Sql], object]) -> tuple[Damage, ...]:
    """Return what `audit verify` finds after somebody was at the file."""
    with closing(sqlite3.connect(log.path, isolation_level=None)) as sql:
        tamper(sql)
    return log.verify()[0]


def test_a_log_that_nobody_touched_has_no_damage(log):
    """No finding is made up."""
    damages, reports = log.verify()
    assert damages == ()
    assert [(report.stream, report.records, report.signed) for report in reports] == [("control", 8, 6), ("decision", 700, 650)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_tampering_is_found_and_named(log, case):
    """When somebody does it, a damage of that kind stands at that place."""
    found = tampered(log, case.tamper)
    named = [(damage.kind, damage.place) for damage in found]
    assert any(kind is case.kind and case.place in place for kind, place in named), named


def test_a_forged_tile_does_not_stop_the_writer(log):
    """Records go on into rows and leaves."""
    tampered(log, _run("INSERT INTO tiles VALUES ('decision', 0, 'zzz', x'00')"))
    log.grow(5)
    assert [report.records for report in log.verify()[1]] == [8, 705]


def test_one_changed_byte_is_named_alone(log):
    """Nothing else is blamed."""
    assert [damage.place for damage in tampered(log, _one_byte)] == ["decision, record 5"]
