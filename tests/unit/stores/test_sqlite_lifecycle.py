"""The life of a SQLite store as a whole: the contract, and what is SQLite's own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from contract.store_lifecycle import Kit, StoreLifecycleContract
from llmcp.stores.sqlite import SqliteAuditLog
from llmcp.stores.sqlite_keeper import SqliteKeeper


def forge_version(path: Path, version: int) -> None:
    """Say that a backup is of another version."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")


def forge_owner(path: Path) -> None:
    """Say that a backup is another program's."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 77")


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    """Return a keeper of a store that is not there yet."""
    path = tmp_path / "llmcp.db"
    return Kit(SqliteKeeper(path), lambda: SqliteAuditLog(path), forge_version, forge_owner, tmp_path)


class TestSqliteLifecycle(StoreLifecycleContract):
    """Runs the contract against SQLite."""
