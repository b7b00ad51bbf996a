"""The SQLite audit log: the contract, and what is SQLite's own — the file, its mode, its version, its damage."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from contract.audit_log import AuditLogContract, record
from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import parse
from llmcp.errors import ConflictError, LlmcpError, UnreachableError, UsageError
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.schema import SCHEMA_VERSION


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the store will be: in a directory that does not exist yet."""
    return tmp_path / "home" / "llmcp.db"


@pytest.fixture
def log(path: Path) -> SqliteAuditLog:
    """Return an empty store."""
    return SqliteAuditLog(path)


@pytest.fixture
def second_log(log: SqliteAuditLog) -> SqliteAuditLog:
    """Return another writer on the same file."""
    return SqliteAuditLog(log.path)


class TestSqliteAuditLog(AuditLogContract):
    """Runs the contract against SQLite."""


def _contents(path: Path) -> dict[str, bytes]:
    return {part.name: part.read_bytes() for part in sorted(path.parent.iterdir())}


def test_everything_on_disk_is_for_the_owner_alone_whatever_the_umask(path: Path) -> None:
    """The write-ahead log holds records too."""
    old = os.umask(0)
    try:
        log = SqliteAuditLog(path)
        log.append([record()])
        modes = {part.name: stat.S_IMODE(part.stat().st_mode) for part in path.parent.iterdir()}
    finally:
        os.umask(old)
    assert modes == {"llmcp.db": 0o600, "llmcp.db-wal": 0o600, "llmcp.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_store_that_was_opened_up_is_closed_again(log: SqliteAuditLog) -> None:
    """A copy or a restore may have loosened the mode."""
    log.path.chmod(0o644)
    SqliteAuditLog(log.path)
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


def test_a_directory_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    """It may be shared with others; only what is made here is made private."""
    tmp_path.chmod(0o755)
    SqliteAuditLog(tmp_path / "llmcp.db")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_newer_store_is_refused_and_not_touched(log: SqliteAuditLog) -> None:
    """An older program must not guess at a schema it does not know."""
    log.append([record()])
    log.close()
    with sqlite3.connect(log.path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    before = _contents(log.path)
    with pytest.raises(ConflictError) as caught:
        SqliteAuditLog(log.path)
    assert caught.value.code == "store-newer"
    assert _contents(log.path) == before


def test_a_newer_version_that_stands_only_in_the_log_is_refused_too(log: SqliteAuditLog) -> None:
    """The file's own header is stale while the write-ahead log has not been folded in."""
    other = sqlite3.connect(log.path, isolation_level=None)
    other.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
    other.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    other.close()
    before = {name: data for name, data in _contents(log.path).items() if not name.endswith("-shm")}
    with pytest.raises(ConflictError) as caught:
        SqliteAuditLog(log.path)
    assert caught.value.code == "store-newer"
    assert {name: data for name, data in _contents(log.path).items() if not name.endswith("-shm")} == before


def test_another_programs_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    """A wrong path in the settings must not add our tables to somebody's data."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
        connection.execute("PRAGMA user_version = 50")
    connection.close()
    before = _contents(path)
    with pytest.raises(ConflictError) as caught:
        SqliteAuditLog(path)
    assert caught.value.code == "store-foreign"
    assert _contents(path) == before


@pytest.mark.parametrize("damage", [b"this is no database at all, but it is long enough" * 4, b"SQLite format 3\0short"])
def test_a_file_that_is_no_database_is_refused_and_not_touched(tmp_path: Path, damage: bytes) -> None:
    """The user may still want what is in it."""
    path = tmp_path / "llmcp.db"
    path.write_bytes(damage)
    with pytest.raises(UnreachableError) as caught:
        SqliteAuditLog(path)
    assert caught.value.code == "store-corrupt"
    assert path.read_bytes() == damage


def test_a_truncated_store_is_refused_with_a_way_out(log: SqliteAuditLog) -> None:
    """Half a file is damage, not an empty store."""
    log.append([record() for _ in range(100)])
    log.close()
    whole = log.path.read_bytes()
    log.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreachableError) as caught:
        list(SqliteAuditLog(log.path).query(RecordFilter()))
    assert caught.value.code == "store-corrupt"
    assert caught.value.fix


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    """SQLite leaves one behind when the process dies at its birth."""
    path.parent.mkdir()
    path.touch()
    assert SqliteAuditLog(path).append([record()]) == 1


def test_a_directory_in_the_stores_place_is_a_wrong_setting(tmp_path: Path) -> None:
    """Said before SQLite says it worse."""
    with pytest.raises(UsageError):
        SqliteAuditLog(tmp_path)


def test_a_store_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    """A file where a directory should be."""
    (tmp_path / "file").touch()
    with pytest.raises(LlmcpError) as caught:
        SqliteAuditLog(tmp_path / "file" / "llmcp.db")
    assert caught.value.exit_code == 5


def test_a_full_disk_loses_nothing_and_heals(log: SqliteAuditLog) -> None:
    """The batch is refused whole; when there is room again it goes in."""
    log.append([record()])
    assert log._writer is not None
    (pages,) = log._writer.connection.execute("PRAGMA page_count").fetchone()
    log._writer.connection.execute(f"PRAGMA max_page_count = {pages}")
    batch = [record(session="x" * 4000) for _ in range(50)]
    with pytest.raises(UnreachableError) as caught:
        log.append(batch)
    assert caught.value.code == "store-full"
    assert log.last_seq() == 1
    assert log.append(batch) == 51


def test_opening_again_keeps_everything(log: SqliteAuditLog) -> None:
    """Closing and opening is no event in the log's life."""
    log.append([record(), record()])
    log.close()
    again = SqliteAuditLog(log.path)
    again.append([record()])
    assert [parse(data).seq for data in again.query(RecordFilter())] == [1, 2, 3]
