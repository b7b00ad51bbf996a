"""Numbers that somebody forged make the writer refuse in words, so that no record is lost as if it were itself to blame."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from ledger_stores import control, decision, standing
from llmcp.errors import UnreachableError
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.change import change


@pytest.mark.parametrize("size", ["zz", "", b"\xff", 1.5, -7])
def test_a_pruned_size_that_is_no_number_does_not_stop_the_writer(tmp_path, size):
    """Records follow the last one that is there."""
    log = standing(tmp_path / "llmcp.db")
    with closing(sqlite3.connect(log.path)) as sql:
        sql.execute("INSERT INTO pruned VALUES ('decision', ?, x'', '')", (size,))
        sql.commit()
    assert SqliteAuditLog(log.path).append([decision(701)]) == 701


@pytest.mark.parametrize("seq", [2**53 - 1, 2**62, 2**63 - 1])
def test_behind_the_last_possible_number_the_store_is_damaged(tmp_path, seq):
    """The recorder keeps its records and tries again, as with any store that is damaged."""
    log = standing(tmp_path / "llmcp.db")
    with closing(sqlite3.connect(log.path)) as sql:
        sql.execute("UPDATE records SET seq = ? WHERE seq = 700", (seq,))
        sql.commit()
    with pytest.raises(UnreachableError) as raised:
        SqliteAuditLog(log.path).append([decision(701)])
    assert raised.value.code == "store-corrupt"


def test_behind_the_last_possible_control_record_nothing_can_be_changed(tmp_path):
    """It is said in words, and nothing is written."""
    log = standing(tmp_path / "llmcp.db")
    with closing(sqlite3.connect(log.path)) as sql:
        sql.execute("UPDATE control_records SET seq = ? WHERE seq = 8", (2**63 - 1,))
        sql.commit()
    with pytest.raises(UnreachableError) as raised, change(log.path, control(9)):
        pass
    assert raised.value.code == "store-corrupt"
