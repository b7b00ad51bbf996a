"""A log that schema 1 wrote gets its tree by the upgrade, and verifies although its records name persons."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from sqlite_utils import Database

from ledger_stores import Log, decision
from llmcp.core.records import canonical
from llmcp.stores.sqlite import schema as sqlite_schema
from llmcp.stores.sqlite.file import prepare
from llmcp.stores.sqlite.keeper import SqliteKeeper
from llmcp.stores.sqlite.migrate import migrate_to

INSERT = "INSERT INTO records VALUES (?, ?, ?, 'decision', ?, ?, '', ?, '', '', 'allowed', '', 'openai', ?)"


def test_an_upgraded_log_verifies_is_signed_and_grows_on(tmp_path):
    """Old bytes are the leaves; facets have references where the old records have names."""
    log = Log(tmp_path / "llmcp.db", records=300)
    with closing(sqlite3.connect(log.path)) as sql:
        sqlite_schema.MIGRATIONS[0](Database(sql, execute_plugins=False))
        for number in range(1, 301):
            old = decision(number)
            old.seq = number
            sql.execute(INSERT, (number, old.id, old.time, old.id, old.org, old.user, canonical(old)))
        sql.execute(f"PRAGMA application_id = {sqlite_schema.APPLICATION_ID}")
        sql.execute("PRAGMA user_version = 1")
        sql.commit()
    prepare(log.path)
    assert log.verify()[0] == ()
    log.sign()
    log.grow(20)
    damages, reports = log.verify()
    assert (damages, [report.records for report in reports]) == ((), [0, 320])


def test_a_log_that_went_down_and_up_again_still_verifies_and_keeps_its_references(tmp_path):
    """Its records have references where those of schema 1 have names: nobody gets a second one."""
    log = Log(tmp_path / "llmcp.db")
    log.grow(40)
    with closing(sqlite3.connect(log.path)) as sql:
        before = sql.execute("SELECT user FROM facets WHERE user <> '' ORDER BY user").fetchall()
    assert before
    SqliteKeeper(log.path).migrate(1, keep=False)
    prepare(log.path)
    assert log.verify()[0] == ()
    with closing(sqlite3.connect(log.path)) as sql:
        assert sql.execute("SELECT user FROM facets WHERE user <> '' ORDER BY user").fetchall() == before
        assert sql.execute("SELECT count(*) FROM persons").fetchone() == (0,)


def test_a_log_that_went_down_and_up_again_verifies(tmp_path):
    """Its records have references already: their facets have the same."""
    log = Log(tmp_path / "llmcp.db")
    log.grow(300)
    log.sign()
    migrate_to(log.path, 1, keep=False)
    migrate_to(log.path, 2, keep=False)
    assert log.verify()[0] == ()
    log.grow(20)
    damages, reports = log.verify()
    assert (damages, [report.records for report in reports]) == ((), [0, 320])
