"""A store that is taken away or replaced under its writer is noticed, and said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ledger_stores import decision
from llmcp.errors import UnreachableError
from llmcp.stores.sqlite.audit_log import SqliteAuditLog


def files(path: Path) -> list[Path]:
    """Return the store and what lies beside it."""
    return [part for suffix in ("", "-wal", "-shm") if (part := path.with_name(path.name + suffix)).exists()]


@pytest.fixture
def log(tmp_path: Path) -> SqliteAuditLog:
    """Return a log with a record, open for writing."""
    log = SqliteAuditLog(tmp_path / "llmcp.db")
    log.append([decision(1)])
    return log


def test_a_deleted_store_takes_no_record_and_is_not_made_anew(log: SqliteAuditLog) -> None:
    """Each attempt says that it is gone; put back, it takes the same records."""
    aside = log.path.parent / "aside"
    aside.mkdir()
    for part in files(log.path):
        part.rename(aside / part.name)
    for _ in range(2):
        with pytest.raises(UnreachableError) as raised:
            log.append([decision(2)])
        assert raised.value.code == "store-gone"
    assert not log.path.exists()
    for part in list(aside.iterdir()):
        part.rename(log.path.parent / part.name)
    assert log.append([decision(2)]) == 2


def test_another_file_in_its_place_is_said_once_and_then_written(log: SqliteAuditLog, tmp_path: Path) -> None:
    """The record that came then is in the file that readers see."""
    other = SqliteAuditLog(tmp_path / "other.db")
    other.append([decision(at) for at in range(10, 15)])
    other.close()
    for part in files(log.path):
        part.unlink()
    shutil.move(other.path, log.path)
    with pytest.raises(UnreachableError) as raised:
        log.append([decision(2)])
    assert raised.value.code == "store-replaced"
    assert log.append([decision(2)]) == 6
    assert SqliteAuditLog(log.path).get("d_000002") is not None


def test_a_log_taken_from_beside_the_store_is_noticed(log: SqliteAuditLog) -> None:
    """What is written behind it would be seen by nobody."""
    log.path.with_name("llmcp.db-wal").unlink()
    with pytest.raises(UnreachableError) as raised:
        log.append([decision(2)])
    assert raised.value.code == "store-replaced"
    log.append([decision(2)])
    assert SqliteAuditLog(log.path).get("d_000002") is not None


def test_folding_the_log_is_no_replacement(log: SqliteAuditLog) -> None:
    """Other connections come and go; the writer goes on."""
    for number in range(2, 6):
        other = SqliteAuditLog(log.path)
        other.append([decision(10 * number)])
        other.close()
        log.append([decision(number)])
    assert log.last_seq() == 9
