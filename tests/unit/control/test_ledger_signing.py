"""Checkpoints are signed over what only grew; proofs stand for themselves."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Never

import pytest

from ledger_stores import Log, notary_of, standing
from llmcp.control import ledger
from llmcp.control.ledger_keeper import Keeper
from llmcp.core import signed_note
from llmcp.core.ledger import Checkpoint, DamagedLedgerError, read_inclusion_proof
from llmcp.errors import ConflictError, NegativeResultError, NotFoundError, UnreachableError, UsageError
from llmcp.stores.ledger_key import verify


@pytest.fixture
def log(tmp_path):
    """Return a log of 700 decisions, 650 of them signed."""
    return standing(tmp_path / "llmcp.db")


def tamper(log: Log, *statements: str) -> None:
    """Do something to the file."""
    with closing(sqlite3.connect(log.path)) as sql:
        for statement in statements:
            sql.execute(statement)
        sql.commit()


def test_a_checkpoint_says_size_and_root_under_the_streams_origin(log):
    """The note is what C2SP says, and opens under the key."""
    made = ledger.sign_checkpoint(log.ledger, "decision", log.notary, "2026")
    text = signed_note.open_note(made.note, log.notary.key, verify)
    said = signed_note.parse_checkpoint(text)
    assert (said.origin, said.size, said.root) == ("example.com/log/decision", 700, made.root)
    assert (made.previous, bool(made.proof)) == (650, True)


def test_nothing_new_signs_nothing(log):
    """Twice the same is once; an empty log has no checkpoint."""
    assert ledger.sign_checkpoint(log.ledger, "decision", log.notary, "2026") is not None
    assert ledger.sign_checkpoint(log.ledger, "decision", log.notary, "2026") is None


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE tiles SET hashes = zeroblob(8192) WHERE stream = 'decision' AND level = 1", "not those that were signed"),
        ("UPDATE checkpoints SET root = zeroblob(32) WHERE size = 650", "not the one that this key signed"),
        ("UPDATE checkpoints SET note = 'x' WHERE size = 650", "not the one that this key signed"),
        (
            "UPDATE tiles SET hashes = substr(hashes, 1, 3200) WHERE stream = 'decision' AND number = 2",
            "650 records were signed, 612 are left",
        ),
        ("INSERT INTO meta VALUES ('ledger.damaged.decision', 'record 9 came')", "record 9 came"),
    ],
)
def test_nothing_is_signed_over_a_log_that_changed(log, statement, why):
    """The last checkpoint's own root must still fit the tree."""
    tamper(log, statement)
    with pytest.raises(DamagedLedgerError) as caught:
        ledger.sign_checkpoint(log.ledger, "decision", log.notary, "2026")
    assert why in caught.value.why


def test_a_checkpoint_that_the_signer_remembers_must_be_there(log):
    """Whoever deletes the last one is found by the process that signed it."""
    tamper(log, "DELETE FROM checkpoints WHERE size = 650")
    with pytest.raises(DamagedLedgerError, match="not the log"):
        ledger.sign_checkpoint(log.ledger, "decision", log.notary, "2026", signed_before=650)


def test_records_whose_predecessors_were_deleted_are_kept_and_the_stream_is_marked(log):
    """The recorder loses nothing; nothing is signed any more; `audit verify` says since when."""
    tamper(log, "DELETE FROM records WHERE seq > 690")
    log.records = 900
    log.grow(5)
    with closing(sqlite3.connect(log.path)) as sql:
        assert sql.execute("SELECT count(*) FROM records").fetchone() == (695,)
    with pytest.raises(DamagedLedgerError):
        log.sign("decision")
    assert "records-without-leaves" in {damage.kind for damage in log.verify()[0]}


def test_of_two_that_sign_at_once_one_is_told_to_try_again(log):
    """A checkpoint goes only behind the one that it was proved against."""
    log.sign("decision")
    late = Checkpoint("decision", 690, b"\0" * 32, "", "", 650, ())
    with pytest.raises(ConflictError):
        log.ledger.add_checkpoint(late)


@pytest.mark.parametrize("seq", [1, 200, 201, 400, 650])
def test_a_proof_survives_its_file_and_needs_no_store(log, seq):
    """What comes back from JSON checks out against the key alone, and holds the record."""
    proof = ledger.prove(log.ledger, "decision", seq, log.notary.key)
    read = read_inclusion_proof(json.loads(json.dumps(proof.document())))
    assert read == proof
    assert ledger.check_proof(read, (log.notary.key,), verify).size == proof.size
    assert json.loads(read.leaf)["seq"] == seq


def test_a_proof_with_anything_changed_does_not_hold(log):
    """Leaf, number, size, hashes, note and key all count."""
    document = ledger.prove(log.ledger, "decision", 77, log.notary.key).document()
    other = ledger.prove(log.ledger, "decision", 300, log.notary.key).document()
    for name in ("leaf", "proof", "checkpoint"):
        with pytest.raises(NegativeResultError):
            ledger.check_proof(read_inclusion_proof(document | {name: other[name]}), (log.notary.key,), verify)
    with pytest.raises(NegativeResultError):
        ledger.check_proof(read_inclusion_proof(document | {"index": 77, "seq": 78}), (log.notary.key,), verify)
    with pytest.raises(NegativeResultError):
        ledger.check_proof(read_inclusion_proof(document | {"size": 201}), (log.notary.key,), verify)
    with pytest.raises(NegativeResultError):
        ledger.check_proof(read_inclusion_proof(document), (notary_of(2).key,), verify)


@pytest.mark.parametrize("document", [None, [], {}, {"type": "x"}, {"type": "llmcp.dev/ledger/inclusion-proof/v1", "leaf": 3}])
def test_what_is_no_proof_is_refused(document):
    """Anything may stand in a file."""
    with pytest.raises(UsageError):
        read_inclusion_proof(document)


def test_what_cannot_be_proved_says_why(log):
    """Not there; not signed yet."""
    with pytest.raises(NotFoundError) as caught:
        ledger.prove(log.ledger, "decision", 9999, log.notary.key)
    assert caught.value.why == "it is not there"
    with pytest.raises(NotFoundError) as caught:
        ledger.prove(log.ledger, "decision", 700, log.notary.key)
    assert "no checkpoint covers it" in caught.value.why
    with pytest.raises(NotFoundError):
        ledger.find_record(log.ledger, "decision", "nobody")
    assert ledger.find_record(log.ledger, "decision", "d_000077") == 77


def test_consistency_is_proved_between_checkpoints_and_refuted_for_others(log):
    """A root that is not the log's has no proof."""
    old, new = (ledger.checkpoint_at(log.ledger, "decision", size) for size in (200, 650))
    assert ledger.consistency(log.ledger, "decision", old, new)
    with pytest.raises(NegativeResultError):
        ledger.consistency(log.ledger, "decision", signed_note.CheckpointText("", 200, b"\0" * 32), new)
    with pytest.raises(NegativeResultError):
        ledger.consistency(log.ledger, "decision", new, old)
    with pytest.raises(NotFoundError):
        ledger.checkpoint_at(log.ledger, "decision", 201)


class Away:
    """An anchor that can be away."""

    def __init__(self) -> None:
        self.name = "file:x"
        self.kept: list[str] = []
        self.away = True

    def append(self, note: str) -> None:
        """Keep a note."""
        if self.away:
            raise UnreachableError("the anchor `file:x` cannot be used", why="it is away")
        self.kept.append(note)

    def notes(self):
        """Yield all notes."""
        yield from self.kept


def keeper(log: Log, *anchors: Away, records: int = 100, seconds: float = 60.0) -> Keeper:
    """Return a keeper with a key that is always there."""
    return Keeper(log.ledger, lambda: log.notary, anchors, records=records, seconds=seconds, now=lambda: "2026")


def test_a_stream_is_signed_after_so_many_records_or_so_many_seconds(tmp_path):
    """Whichever comes first; nothing added: nothing signed."""
    log = Log(tmp_path / "llmcp.db")
    log.grow(99)
    kept = keeper(log)
    for at in (0.0, 1.0, 59.0):
        kept.tick(at)
    assert kept.state().signed == 0
    log.grow(1)
    kept.tick(59.5)
    assert kept.state().signed == 1
    log.grow(1)
    kept.tick(60.0)
    kept.tick(119.0)
    assert kept.state().signed == 1
    kept.tick(120.0)
    kept.tick(900.0)
    assert kept.state().signed == 2


def test_the_end_signs_what_is_left_in_both_streams(tmp_path):
    """A stop leaves no record unsigned."""
    log = Log(tmp_path / "llmcp.db")
    log.grow(3)
    log.operate(2)
    kept = keeper(log)
    kept.finish(1.0)
    assert [report.signed for report in log.verify()[1]] == [2, 3]


def test_a_damaged_stream_is_a_problem_and_does_not_stop_the_other(log):
    """The problem stays until it is mended; the control stream is signed."""
    tamper(log, "UPDATE checkpoints SET root = zeroblob(32) WHERE size = 650")
    kept = keeper(log, records=1)
    for at in (0.0, 1.0, 2.0, 40.0):
        kept.tick(at)
    state = kept.state()
    assert (state.signed, state.failures) == (1, 2)
    assert "the stream `decision` is not the log that was signed before" in state.problems[0]


def test_an_anchor_that_is_away_gets_everything_later(log):
    """Its failure is a problem, keeps nothing from being signed, and ends when it is back."""
    anchor = Away()
    kept = keeper(log, anchor, records=1)
    kept.tick(0.0)
    kept.tick(1.0)
    assert (kept.state().signed, len(kept.state().problems)) == (2, 1)
    anchor.away = False
    kept.tick(31.0)
    assert (len(anchor.kept), kept.state().problems) == (7, ())


def test_a_log_that_was_rolled_back_under_a_running_keeper_is_a_problem(log, tmp_path):
    """It remembers what it signed."""
    before = log.path.read_bytes()
    kept = keeper(log, records=1)
    kept.tick(0.0)
    log.path.write_bytes(before)
    log.path.with_name("llmcp.db-wal").unlink(missing_ok=True)
    log.grow(1)
    kept.tick(40.0)
    assert "the checkpoint over 700 records is gone" in " ".join(kept.state().problems)


def test_a_key_that_cannot_be_had_is_a_problem(log):
    """Signing waits for it."""

    def away() -> Never:
        raise UnreachableError("the keychain is locked", why="nobody is logged in")

    kept = Keeper(log.ledger, away, (), records=1, seconds=1.0, now=lambda: "2026")
    kept.tick(0.0)
    assert kept.state().problems == ("the keychain is locked: nobody is logged in",)


@pytest.mark.parametrize(
    ("name", "value"),
    [("seq", None), ("seq", 1.0), ("size", 1 << 80), ("index", True), ("proof", "AAAA"), ("proof", {"a": 1}), ("proof", [""] * 65),
     ("leaf", 7), ("leaf", "é"), ("checkpoint", 3), ("vkey", ["x"])],
)  # fmt: skip
def test_a_proof_with_a_part_of_another_kind_is_refused(log, name, value):
    """In words, whatever somebody wrote into the file."""
    document = ledger.prove(log.ledger, "decision", 5, log.notary.key).document() | {name: value}
    with pytest.raises(UsageError):
        read_inclusion_proof(document)


def test_a_proof_without_one_of_its_parts_is_refused(log):
    """Each part is needed."""
    document = ledger.prove(log.ledger, "decision", 5, log.notary.key).document()
    for name in document:
        with pytest.raises(UsageError):
            read_inclusion_proof({key: value for key, value in document.items() if key != name})


def test_a_checkpoint_that_is_no_unicode_refutes_a_proof(log):
    """Half a character is not what anybody signed."""
    proof = ledger.prove(log.ledger, "decision", 5, log.notary.key)
    forged = read_inclusion_proof(proof.document() | {"checkpoint": proof.note.replace("example", "\ud800", 1)})
    with pytest.raises(NegativeResultError):
        ledger.check_proof(forged, (log.notary.key,), verify)
