"""The life of a SQLite store as a whole: the contract, and what is SQLite's own."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from contract.audit_log import record
from contract.store_lifecycle import Kit, StoreLifecycleContract
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.keeper import SqliteKeeper


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


RESTORER = """
import sys
from pathlib import Path
from llmcp.core.control_records import ControlRecord
from llmcp.stores.sqlite.restore import restore
path, sources = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
print("ready", flush=True)
while True:
    for source in sources:
        restore(path, source, ControlRecord(action="store.restore", actor="a", id="c", time="t"))
        for aside in path.parent.glob("*.before-restore-*"):
            aside.unlink()
"""


def test_a_kill_in_the_middle_of_a_restore_leaves_one_of_the_two_stores_whole(tmp_path: Path) -> None:
    """At every moment the path names a whole store; nothing of the old log is taken for the new file's."""
    keeper = SqliteKeeper(tmp_path / "llmcp.db")
    log = SqliteAuditLog(keeper.path)
    for name, more in zip(("a.bak", "b.bak"), (60, 80), strict=True):
        log.append([record(session="x" * 300) for _ in range(more)])
        keeper.backup(tmp_path / name)
    log.close()
    dice = random.Random(3)  # noqa: S311 - reproducible moments
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", RESTORER, str(keeper.path), str(tmp_path / "a.bak"), str(tmp_path / "b.bak")],
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(dice.uniform(0.0, 0.3))
        child.kill()
        child.wait()
        facts, found = keeper.check(quick=False)
        assert found == []
        assert facts.records in {*range(60, 69), *range(140, 149)}  # one more for each time that nothing was replaced
        log = SqliteAuditLog(keeper.path)
        assert log.append([record()]) == facts.records + 1
        log.close()


class TestSqliteLifecycle(StoreLifecycleContract):
    """Runs the contract against SQLite."""


def test_a_backup_follows_no_link_that_somebody_put_in_its_way(kit: Kit, tmp_path: Path) -> None:
    """In a directory of everybody's, the name of the unfinished backup can be guessed."""
    SqliteAuditLog(kit.keeper.path).close()
    victim, target = tmp_path / "victim", tmp_path / "copy.bak"
    victim.write_text("precious")
    (tmp_path / ".copy.bak.partial").symlink_to(victim)
    kit.keeper.backup(target)
    assert victim.read_text() == "precious"
    assert target.is_file()
    assert not target.is_symlink()
