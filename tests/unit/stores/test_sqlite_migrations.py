"""Schema steps: each once, all or nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from contract.audit_log import record
from llmcp.stores import sqlite_file, sqlite_schema
from llmcp.stores.sqlite import SqliteAuditLog


def _second(db: Database) -> None:
    db.table("later").create({"name": str}, pk="name")


def _broken(db: Database) -> None:
    db.table("half").create({"name": str}, pk="name")
    raise ZeroDivisionError


def _upgrade_to(monkeypatch: pytest.MonkeyPatch, *steps: object) -> None:
    migrations = (*sqlite_schema.MIGRATIONS, *steps)
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", migrations)
    monkeypatch.setattr(sqlite_schema, "SCHEMA_VERSION", len(migrations))
    monkeypatch.setattr(sqlite_file, "SCHEMA_VERSION", len(migrations))


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
    version, tables, _ = _look(path)
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
