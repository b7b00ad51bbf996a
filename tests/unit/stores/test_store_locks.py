"""Nothing that this process does beside its connections takes their locks away."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from llmcp.core.records import DecisionRecord
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.credentials import SqliteCredentials
from llmcp.stores.sqlite.file import prepare
from llmcp.stores.sqlite.identities import SqliteIdentities

if TYPE_CHECKING:
    from pathlib import Path

_COME_AND_GO = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1]); c.execute("select count(*) from records").fetchone(); c.close()
"""


def test_a_store_that_is_prepared_again_keeps_the_locks_of_its_connections(tmp_path: Path) -> None:
    """Another process that comes and goes must not take itself for the last one: it would delete the log that is written to."""
    path = tmp_path / "llmcp.db"
    now = "2026-11-21T00:00:00.000000Z"
    with closing(SqliteAuditLog(path)) as log:
        log.append([DecisionRecord(id="d_1", decision_id="d_1", time=now)])
        for again in (prepare, SqliteIdentities, SqliteCredentials):
            again(path)
        before = path.with_name("llmcp.db-wal").stat().st_ino
        subprocess.run([sys.executable, "-c", _COME_AND_GO, str(path)], check=True)
        assert path.with_name("llmcp.db-wal").stat().st_ino == before
        log.append([DecisionRecord(id="d_2", decision_id="d_2", time=now)])
    with closing(SqliteAuditLog(path)) as log:
        assert log.last_seq() == 2
