"""Pruning: what is left verifies at every step, grows on, and whoever plays with what tells of it is found."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from ledger_stores import Log, decision, standing
from llmcp.control import ledger_prune
from llmcp.control.ledger import prove
from llmcp.control.ledger_prune import Plan, Scribe, plan_bodies, plan_rows, prune_bodies, prune_rows
from llmcp.core import merkle
from llmcp.core.ledger import DamagedLedgerError, Kind

_IDS = itertools.count(1)
SCRIBE = Scribe("local:ann", lambda: "2026-03-01T00:00:00.000000Z", lambda: f"p_{next(_IDS):05d}")


def gone(log: Log, last: int) -> int:
    """Prune up to record `last`."""
    with log.ledger.view("decision") as view:
        before = view.pruned()
    plan = Plan("2026-02-01T00:00:00.000000Z", (before.size if before else 0) + 1, last, 0)
    return sum(prune_rows(log.ledger, plan, log.notary, SCRIBE))


@pytest.fixture
def log(tmp_path):
    """Return a log of 700 decisions with checkpoints."""
    return standing(tmp_path / "llmcp.db")


@given(st.lists(st.integers(1, 640), min_size=1, max_size=3, unique=True), st.integers(0, 300))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_left_verifies_whatever_was_pruned_and_grows_on(tmp_path_factory, cuts, more):
    """Any prefix, in any steps, then more records and a checkpoint: no damage, and the same root as without pruning."""
    log, plain = (standing(tmp_path_factory.mktemp("log") / "llmcp.db") for _ in range(2))
    for last in sorted(cuts):
        gone(log, last)
        assert log.verify()[0] == ()
    for each in (log, plain):
        each.grow(more)
        each.sign("decision")
    damages, reports = log.verify()
    assert damages == ()
    assert reports[1].pruned == max(cuts)
    assert reports[1].root == plain.verify()[1][1].root


@pytest.mark.parametrize("last", [256, 512, 650])
def test_a_record_that_is_left_can_still_be_proved(log, last):
    """Proofs come from the tiles that stayed."""
    gone(log, last)
    log.sign("decision")
    found = prove(log.ledger, "decision", last + 1, log.notary.key)
    with log.ledger.view("decision") as view:
        root = merkle.root_at(found.size, view.hash_at)
    assert merkle.verify_inclusion(merkle.leaf_hash(found.leaf), last, found.size, found.proof, root)


def test_tiles_that_stand_for_nothing_else_go(log):
    """Full tiles below the bound are dropped, the root over them stays in the level above."""
    gone(log, 600)
    with log.ledger.view("decision") as view:
        assert [tile[:2] for tile in view.tiles()] == [(0, 2), (1, 0)]


def test_every_record_can_go_and_the_log_grows_on(tmp_path):
    """The last tile stays, so that the next record finds its place, also at the end of a tile."""
    log = Log(tmp_path / "llmcp.db")
    log.grow(512)
    log.sign()
    assert gone(log, 512) == 512
    assert log.verify()[0] == ()
    log.grow(300)
    log.sign()
    damages, reports = log.verify()
    assert (damages, reports[1].records, reports[1].size) == ((), 300, 812)


def test_more_than_a_tile_of_tiles_can_go(tmp_path):
    """Past 65,536 leaves whole tiles of level 1 go too."""
    from llmcp.stores.sqlite.file import connect, prepare
    from llmcp.stores.sqlite.prune import forget_rows
    from llmcp.stores.sqlite.tree import TileReader, append_leaves

    path = tmp_path / "llmcp.db"
    prepare(path)
    leaves = [b"%d" % number for number in range(66_000)]
    with closing(connect(path)) as sql:
        append_leaves(sql, "decision", 1, leaves[:65_900])
        root = merkle.root_at(65_900, TileReader(sql, "decision"))
        sql.executemany(
            "INSERT INTO records VALUES (?, ?, '2026', 0, ?)",
            [(seq, str(seq), data) for seq, data in enumerate(leaves[:65_900], 1)],
        )
        forget_rows(sql, "decision", 65_800, SCRIBE.record("rows", ""))
        assert sql.execute("SELECT level, number FROM tiles WHERE stream = 'decision' ORDER BY 1, 2").fetchall() == [
            (0, 257),
            (1, 1),
            (2, 0),
        ]
        assert merkle.root_at(65_900, TileReader(sql, "decision")) == root
        append_leaves(sql, "decision", 65_901, leaves[65_900:])
        proof = merkle.inclusion_proof(65_950, 66_000, TileReader(sql, "decision"))
        assert merkle.verify_inclusion(
            merkle.leaf_hash(leaves[65_950]), 65_950, 66_000, proof, merkle.root_at(66_000, TileReader(sql, "decision"))
        )


def test_only_what_is_older_and_covered_by_a_checkpoint_goes(log):
    """The bound on time and the last checkpoint both hold; nothing older: nothing goes."""
    assert plan_rows(log.ledger, "2026-01-01T00:30:00.000000Z").last == 299
    assert plan_rows(log.ledger, "2027-01-01T00:00:00.000000Z").last == 650
    assert plan_rows(log.ledger, "2020-01-01T00:00:00.000000Z").records == 0
    gone(log, 299)
    assert plan_rows(log.ledger, "2026-01-01T00:30:00.000000Z").records == 0
    assert plan_rows(log.ledger, "2026-01-01T00:31:00.000000Z").first == 300


def test_a_crash_between_two_steps_leaves_a_log_that_verifies(log, monkeypatch):
    """Each step tells of itself; the next pruning goes on from there."""
    monkeypatch.setattr(ledger_prune, "_ROWS_AT_ONCE", 100)
    steps = prune_rows(log.ledger, plan_rows(log.ledger, "2027"), log.notary, SCRIBE)
    assert [next(steps), next(steps)] == [100, 100]
    steps.close()
    assert log.verify()[0] == ()
    assert sum(prune_rows(log.ledger, plan_rows(log.ledger, "2027"), log.notary, SCRIBE)) == 500
    assert log.verify()[0] == ()


def test_records_come_in_between_two_steps(log, monkeypatch):
    """Pruning and appending share the store: no record is lost, none gets a wrong leaf."""
    monkeypatch.setattr(ledger_prune, "_ROWS_AT_ONCE", 100)
    for _ in prune_rows(log.ledger, plan_rows(log.ledger, "2027"), log.notary, SCRIBE):
        log.grow(7)
    damages, reports = log.verify()
    assert (damages, reports[1].size - reports[1].pruned) == ((), reports[1].records)


def test_an_open_writer_goes_on_after_everything_it_knew_was_pruned(tmp_path):
    """A writer that has the store open sees what was pruned: numbers go on."""
    from llmcp.stores.sqlite.audit_log import SqliteAuditLog

    log = Log(tmp_path / "llmcp.db")
    audit = SqliteAuditLog(log.path)
    audit.append([decision(number) for number in range(1, 301)])
    log.sign()
    gone(log, 300)
    assert audit.append([decision(301)]) == 301
    audit.close()
    assert log.verify()[0] == ()


def test_a_damaged_log_is_not_pruned(log):
    """What is damaged is evidence."""
    with closing(sqlite3.connect(log.path)) as sql:
        sql.execute("UPDATE tiles SET hashes = zeroblob(8192) WHERE stream = 'decision' AND level = 0 AND number = 0")
        sql.commit()
    with pytest.raises(DamagedLedgerError):
        gone(log, 300)
    with closing(sqlite3.connect(log.path)) as sql:
        assert sql.execute("SELECT count(*) FROM records").fetchone() == (700,)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE pruned SET frontier = zeroblob(length(frontier))", "frontier"),
        ("UPDATE pruned SET size = 301", "size"),
        ("UPDATE pruned SET time = '2027'", "newest"),
        ("DELETE FROM pruned", "does not"),
        ("DELETE FROM control_records WHERE action = 'audit.prune'", "no control record"),
    ],
)
def test_whoever_changes_what_tells_of_a_pruning_is_found(log, statement, words):
    """Size, frontier, time, the row itself and the control record hold each other."""
    gone(log, 300)
    with closing(sqlite3.connect(log.path)) as sql:
        sql.execute(statement)
        sql.commit()
    assert any(found.kind is Kind.PRUNING_ALTERED and words in found.words for found in log.verify()[0])


def test_rows_taken_away_under_the_name_of_a_pruning_are_found(log):
    """More gone than the control record says."""
    gone(log, 300)
    with closing(sqlite3.connect(log.path)) as sql:
        sql.execute("DELETE FROM records WHERE seq <= 310")
        sql.commit()
    assert next((found.kind, found.place) for found in log.verify()[0]) == (Kind.RECORD_MISSING, "decision, records 301 to 310")


def test_usage_stays_and_is_still_held_against_what_is_left(log):
    """Totals do not change by pruning; a cell that counts too little is found."""
    with closing(sqlite3.connect(log.path)) as sql:
        before = sql.execute("SELECT sum(requests), sum(cost_microusd) FROM usage").fetchone()
        gone(log, 300)
        assert sql.execute("SELECT sum(requests), sum(cost_microusd) FROM usage").fetchone() == before
        sql.execute("UPDATE usage SET requests = 0")
        sql.commit()
    assert {found.kind for found in log.verify()[0]} == {Kind.USAGE_ALTERED}


def test_bodies_go_by_age_and_leave_control_records(log):
    """Only what is older, in bounded steps."""
    with closing(sqlite3.connect(log.path)) as sql:
        sql.executemany(
            "INSERT INTO bodies VALUES (?, ?, x'00')", [(f"b{day}", f"2026-01-0{day}T00:00:00.000000Z") for day in range(1, 8)]
        )
        sql.commit()
        plan = plan_bodies(log.ledger, "2026-01-04T00:00:00.000000Z")
        assert (plan.bodies, list(prune_bodies(log.ledger, plan, SCRIBE))) == (3, [3])
        assert sql.execute("SELECT count(*) FROM bodies").fetchone() == (4,)
    assert log.verify()[0] == ()
