"""Records of schema 1 in schema 2: the same bytes, found by everything that finds new ones."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlite_utils import Database

from contract.audit_log import record
from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import DecisionRecord, GenAi, Rule, canonical
from llmcp.stores.sqlite import schema as sqlite_schema
from llmcp.stores.sqlite import upgrade_2 as sqlite_upgrade_2
from llmcp.stores.sqlite.audit_log import SqliteAuditLog

if TYPE_CHECKING:
    from pathlib import Path

OLD = "INSERT INTO records VALUES (?, ?, ?, 'decision', ?, 'default', '', '', ?, '', ?, 'chat', '', ?)"


def old_record(number: int) -> DecisionRecord:
    """Return a record that schema 1 held."""
    rules = (Rule("deny", "r", "enforce", "p"),) if number % 3 == 0 else ()
    return record(
        seq=number, rules=rules, outcome="denied" if rules else "allowed", operation="chat",
        gen_ai=GenAi(request_model=f"m{number % 2}", input_tokens=number),
    )  # fmt: skip


def old_store(path: Path, records: list[DecisionRecord]) -> None:
    """Make a file as version 1 left it."""
    with closing(sqlite3.connect(path)) as connection:
        sqlite_schema.MIGRATIONS[0](Database(connection, execute_plugins=False))
        for kept in records:
            values = (kept.seq, kept.id, kept.time, kept.id, kept.gen_ai.request_model, kept.outcome, canonical(kept))
            connection.execute(OLD, values)
            connection.executemany("INSERT INTO record_rules VALUES (?, ?)", [(rule.id, kept.seq) for rule in kept.rules])
        connection.execute(f"PRAGMA application_id = {sqlite_schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()


@pytest.mark.parametrize("count", [0, 1, 30])
def test_old_records_keep_their_bytes_and_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """More than one batch of them; new ones follow, old ones are found by facet and counted in usage."""
    monkeypatch.setattr(sqlite_upgrade_2, "_AT_ONCE", 7)
    records = [old_record(number) for number in range(1, count + 1)]
    old_store(tmp_path / "llmcp.db", records)
    log = SqliteAuditLog(tmp_path / "llmcp.db")
    assert [log.leaf(kept.seq) for kept in records] == [canonical(kept) for kept in records]
    assert list(log.query(RecordFilter())) == [canonical(kept) for kept in records]
    for wanted in (RecordFilter(rule="p/r"), RecordFilter(model="m1"), RecordFilter(outcome="allowed")):
        assert list(log.query(wanted)) == [canonical(kept) for kept in records if wanted.matches(kept)]
    assert log.append([record()]) == count + 1
    with closing(sqlite3.connect(log.path)) as connection:
        assert connection.execute("SELECT sum(requests), sum(input_tokens) FROM usage").fetchone() == (
            count + 1,
            count * (count + 1) // 2,
        )
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert not {name for name in names if "of_1" in name or name == "record_rules"}


def test_a_persons_name_in_an_old_record_stands_in_no_facet(tmp_path: Path) -> None:
    """The leaf is history and stays; what is new names nobody."""
    kept = old_record(1)
    kept.user = "ada"
    old_store(tmp_path / "llmcp.db", [kept])
    log = SqliteAuditLog(tmp_path / "llmcp.db")
    assert list(log.query(RecordFilter(user="ada"))) == [canonical(kept)] == [log.leaf(1)]
    with closing(sqlite3.connect(log.path)) as connection:
        (user,) = connection.execute("SELECT user FROM facets").fetchone()
    assert user.startswith("person:")


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM records WHERE seq = 3",
        "UPDATE records SET record = 'x' WHERE seq = 3",
        "UPDATE records SET time = '' WHERE seq = 3",
    ],
)
def test_what_somebody_did_to_an_old_record_stops_no_upgrade(tmp_path: Path, damage: str) -> None:
    """The others go over, in their places; what is wrong is for the verifier to say."""
    records = [old_record(number) for number in range(1, 6)]
    old_store(tmp_path / "llmcp.db", records)
    with closing(sqlite3.connect(tmp_path / "llmcp.db")) as connection:
        connection.execute(damage)
        connection.commit()
    log = SqliteAuditLog(tmp_path / "llmcp.db")
    for kept in records:
        if kept.seq != 3:
            assert log.leaf(kept.seq) == log.get(kept.id) == canonical(kept)
    assert log.last_seq() == 5


def test_a_first_start_needs_no_library_for_upgrades(tmp_path: Path) -> None:
    """It costs 100 ms and 4 MB."""
    code = "import sys; from pathlib import Path; from llmcp.stores.sqlite.audit_log import SqliteAuditLog; SqliteAuditLog(Path(sys.argv[1])); "
    code += "print([name for name in sys.modules if 'sqlite_utils' in name or 'upgrade' in name])"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.db")], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
