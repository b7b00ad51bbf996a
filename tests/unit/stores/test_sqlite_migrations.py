"""Schema steps: each once, all or nothing."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from contract.audit_log import record
from llmcp.core.records import Rule, canonical
from llmcp.errors import UnreachableError
from llmcp.stores.sqlite import connection as sqlite_connection
from llmcp.stores.sqlite import schema as sqlite_schema
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.check import check_backup
from llmcp.stores.sqlite.down import DOWN
from llmcp.stores.sqlite.file import prepare
from llmcp.stores.sqlite.migrate import migrate_to
from llmcp.stores.sqlite.schema import SCHEMA_VERSION


def _second(db: Database) -> None:
    db.table("later").create({"name": str}, pk="name")


def _broken(db: Database) -> None:
    db.table("half").create({"name": str}, pk="name")
    raise ZeroDivisionError


def _upgrade_to(monkeypatch: pytest.MonkeyPatch, *steps: object) -> None:
    migrations = (*sqlite_schema.MIGRATIONS, *steps)
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", migrations)
    monkeypatch.setattr(sqlite_schema, "SCHEMA_VERSION", len(migrations))


def _look(path: Path) -> tuple[int, set[str], int]:
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        (rows,) = connection.execute("SELECT count(*) FROM records").fetchone()
    return version, tables, rows


def test_an_older_store_is_brought_up_to_date_with_its_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening is upgrading; twice is once."""
    path = tmp_path / "llmcp.db"
    SqliteAuditLog(path).append([record(), record()])
    version, tables, rows = _look(path)
    assert (version, rows) == (SCHEMA_VERSION, 2)
    _upgrade_to(monkeypatch, _second)
    for _ in range(2):
        assert SqliteAuditLog(path).last_seq() == 2
        assert _look(path) == (version + 1, tables | {"later"}, 2)


def test_a_step_that_fails_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the steps before it: an older program can still open the file."""
    path = tmp_path / "llmcp.db"
    SqliteAuditLog(path).append([record()])
    before = _look(path)
    with monkeypatch.context() as patched:
        _upgrade_to(patched, _second, _broken)
        with pytest.raises(ZeroDivisionError):
            SqliteAuditLog(path)
    assert _look(path) == before
    assert SqliteAuditLog(path).append([record()]) == 2


def test_the_first_open_that_fails_midway_leaves_a_store_that_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file without tables is a new file."""
    path = tmp_path / "llmcp.db"
    with monkeypatch.context() as patched:
        _upgrade_to(patched, _broken)
        with pytest.raises(ZeroDivisionError):
            SqliteAuditLog(path)
    assert SqliteAuditLog(path).append([record()]) == 1


def test_a_new_store_has_the_very_schema_of_the_steps() -> None:
    """The snapshot that a new file begins with is what its steps would have made, statement for statement."""
    schema = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid"
    with closing(sqlite3.connect(":memory:")) as stepped, closing(sqlite3.connect(":memory:")) as new:
        for step in sqlite_schema.MIGRATIONS[: sqlite_schema.SNAPSHOT_VERSION]:
            step(Database(stepped, execute_plugins=False))
        for statement in sqlite_schema.SNAPSHOT:
            new.execute(statement)
        assert new.execute(schema).fetchall() == stepped.execute(schema).fetchall()


def _schema(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").fetchall()


def _first_version(path: Path, count: int) -> list[bytes]:
    """Write a store as the released first version left it; return its records' bytes."""
    rows = []
    for seq in range(1, count + 1):
        item = record(app="a", user="u", seq=seq, session="x" * 300)
        rows.append(
            (
                seq,
                item.id,
                item.time,
                item.stream,
                item.decision_id,
                item.org,
                item.app,
                item.user,
                "",
                "",
                item.outcome,
                "",
                "",
                canonical(item),
            )
        )
    with closing(sqlite3.connect(path)) as connection:
        sqlite_schema.MIGRATIONS[0](Database(connection, execute_plugins=False))
        connection.executemany(OLD_INSERT, rows)
        connection.commit()
        connection.execute(f"PRAGMA application_id = {sqlite_schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("PRAGMA journal_mode = WAL")
    path.chmod(0o600)
    return [row[-1] for row in rows]


OLD_INSERT = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
"""What the released first version says for each record."""


def test_every_step_has_a_way_back_that_says_what_it_loses() -> None:
    """But the first: there is nothing before it."""
    assert set(DOWN) == set(range(2, SCHEMA_VERSION + 1))
    assert all(step.loses for step in DOWN.values())


def test_going_down_leaves_the_very_schema_of_the_older_version(tmp_path: Path) -> None:
    """Statement for statement, so that the older program finds what it made itself."""
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    _first_version(old, 3)
    SqliteAuditLog(new).append([record(), record()])
    migrate_to(new, 1, keep=False)
    assert _schema(new) == _schema(old)


def test_down_keeps_the_records_canonical_bytes(tmp_path: Path) -> None:
    """Exactly those that were stored, with every column that the older version looks for them by."""
    path = tmp_path / "llmcp.db"
    SqliteAuditLog(path).append([record(app="a", user="u", rules=(Rule("deny", "r", "enforce", "p"),)) for _ in range(600)])
    with closing(sqlite3.connect(path)) as connection:
        stored = connection.execute("SELECT seq, record FROM records ORDER BY seq").fetchall()
    migrate_to(path, 1, keep=False)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT seq, record FROM records ORDER BY seq").fetchall() == stored
        (rules,) = connection.execute("SELECT count(*) FROM record_rules WHERE rule = 'p/r'").fetchone()
        (apps,) = connection.execute("SELECT count(*) FROM records WHERE app = 'a'").fetchone()
    assert (rules, apps) == (600, 600)


def test_an_older_program_that_runs_on_cannot_write_to_the_newer_schema(tmp_path: Path) -> None:
    """The released first version does not ask for the version before each batch: its statement must not fit the tables."""
    path = tmp_path / "llmcp.db"
    (data,) = _first_version(path, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as old_daemon:
        prepare(path)
        with pytest.raises(sqlite3.Error):
            old_daemon.execute(OLD_INSERT, (2, "late", "t", "s", "late", "o", "", "", "", "", "allowed", "", "", data))
    assert SqliteAuditLog(path).last_seq() == 1


def test_a_migration_that_does_not_fit_on_the_disk_is_refused_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backup comes first, so its room is asked for first."""
    path = tmp_path / "llmcp.db"
    _first_version(path, 5)
    before = path.read_bytes()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 90, 10))  # type: ignore[attr-defined]
    with pytest.raises(UnreachableError) as caught:
        prepare(path)
    assert caught.value.code == "store-full"
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.bak"))


def test_who_comes_while_another_migrates_waits_or_is_told_that_it_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write lock is held from before the backup to the end."""
    path = tmp_path / "llmcp.db"
    _first_version(path, 1)
    monkeypatch.setattr(sqlite_connection, "BUSY_TIMEOUT_S", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnreachableError) as caught:
            prepare(path)
        other.execute("ROLLBACK")
    assert caught.value.code == "store-busy"
    prepare(path)


MIGRATOR = """
import sys
from pathlib import Path
from llmcp.stores.sqlite.migrate import migrate_to, version_of
path = Path(sys.argv[1])
print("ready", flush=True)
while True:
    migrate_to(path, 3 - version_of(path), keep=len(sys.argv) > 2)
"""


@pytest.mark.parametrize("keep", [False, True])
def test_a_kill_in_the_middle_leaves_either_version_whole(tmp_path: Path, keep: bool) -> None:
    """Up and down in turns, killed at random moments: every record is there, in one of the two schemas."""
    path = tmp_path / "llmcp.db"
    count = len(_first_version(path, 400))
    schemas = {}
    for version in (2, 1):
        migrate_to(path, version, keep=False)
        schemas[version] = _schema(path)
    dice = random.Random(1)  # noqa: S311 - reproducible moments
    for _ in range(6):
        child = subprocess.Popen([sys.executable, "-c", MIGRATOR, str(path), *(["keep"] if keep else [])], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(dice.uniform(0.0, 0.4))
        child.kill()
        child.wait()
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            assert connection.execute("SELECT count(*), max(seq) FROM records").fetchone() == (count, count)
        assert _schema(path) == schemas[version]
        for kept in tmp_path.glob("*.bak"):
            assert check_backup(kept).records == count
            kept.unlink()
    assert SqliteAuditLog(path).append([record()]) == count + 1
