"""Rules of `llmcp.stores.sqlite.watch`."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from llmcp.core.control_records import ControlRecord
from llmcp.core.records import DecisionRecord
from llmcp.errors import UnreachableError
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.change import change, change_number
from llmcp.stores.sqlite.file import prepare
from llmcp.stores.sqlite.watch import ChangeWatch

if TYPE_CHECKING:
    from pathlib import Path

NOW = "2026-11-21T00:00:00.000000Z"


def touch(path: Path, number: int) -> None:
    """Change something as an operator does."""
    with change(path, ControlRecord(action="org.set", actor="local:test", id=f"c_{number}", time=NOW)):
        pass


def test_every_change_is_seen_and_nothing_else_is(tmp_path: Path) -> None:
    """Decision records that are written meanwhile change no number."""
    path = tmp_path / "llmcp.db"
    prepare(path)
    watch = ChangeWatch(path)
    assert watch.number() == watch.number() == 0
    touch(path, 1)
    assert watch.number() == 1
    with closing(SqliteAuditLog(path)) as log:
        log.append([DecisionRecord(id="d_1", decision_id="d_1", time=NOW)])
        assert watch.number() == 1
        touch(path, 2)
        assert watch.number() == change_number(path) == 2
    watch.close()


def test_a_store_that_takes_the_place_of_another_is_opened_anew(tmp_path: Path) -> None:
    """A restore renames a file over it."""
    path, kept = tmp_path / "llmcp.db", tmp_path / "kept.db"
    prepare(path)
    touch(path, 1)
    watch = ChangeWatch(path)
    assert watch.number() == 1
    prepare(kept)
    for number in range(5):
        touch(kept, number)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.move(kept, path)
    assert watch.number() == 5
    watch.close()


def test_another_store_of_the_same_number_is_told_from_the_first(tmp_path: Path) -> None:
    """A revocation may be one of the changes that only the other has."""
    path, kept = tmp_path / "llmcp.db", tmp_path / "kept.db"
    for each in (path, kept):
        prepare(each)
        touch(each, 1)
    watch = ChangeWatch(path)
    before = watch.seen()
    assert watch.seen() == before
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.move(kept, path)
    assert watch.number() == 1
    assert watch.seen() != before
    watch.close()


def test_a_store_that_is_gone_is_an_error_until_it_is_back(tmp_path: Path) -> None:
    """With a reason, and without a bare exception of SQLite's."""
    path = tmp_path / "llmcp.db"
    watch = ChangeWatch(path)
    with pytest.raises(UnreachableError):
        watch.number()
    prepare(path)
    assert watch.number() == 0
    watch.close()
