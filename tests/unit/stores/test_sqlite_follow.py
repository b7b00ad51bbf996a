"""Following the records: each once, in order, whatever happens to the file meanwhile."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.audit_log import FILTERS, RECORDS, record
from llmcp.control import audit
from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import DecisionRecord, parse
from llmcp.stores.sqlite import follow as sqlite_follow
from llmcp.stores.sqlite.audit_log import SqliteAuditLog


@pytest.fixture
def log(tmp_path: Path) -> SqliteAuditLog:
    """Return an empty store."""
    return SqliteAuditLog(tmp_path / "llmcp.db")


def _seqs(found: list[bytes]) -> list[int]:
    return [parse(data).seq for data in found]


def _until_interrupted(pages: Iterator[list[bytes]]) -> list[list[int]]:
    seen: list[list[int]] = []
    with contextlib.suppress(KeyboardInterrupt):
        seen.extend(map(_seqs, pages))
    return seen


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(RECORDS, max_size=6), max_size=4), wanted=FILTERS, page=st.integers(1, 4))
def test_a_follower_sees_what_passes_once_and_in_order(
    log: SqliteAuditLog, monkeypatch: pytest.MonkeyPatch, batches: list[list[DecisionRecord]], wanted: RecordFilter, page: int
) -> None:
    """In pages of any size, while others append, also new facets."""
    monkeypatch.setattr(sqlite_follow, "PAGE_ROWS", page)
    seen: list[int] = []
    start = log.last_seq()
    with log.follow() as follower:
        after = follower.last_seq()
        for batch in batches:
            log.append(batch)
            more = True
            while more:
                found, after, more = follower.page(wanted, after)
                assert len(found) <= page
                seen += _seqs(found)
    unbounded = RecordFilter(**{n: getattr(wanted, n) for n in wanted.__slots__ if n not in {"after_seq", "before_seq", "limit"}})
    assert seen == [one.seq for batch in batches for one in batch if unbounded.matches(one)]
    assert after == start + sum(map(len, batches))


def test_an_idle_follower_learns_of_writes_without_reading(log: SqliteAuditLog) -> None:
    """Asked first it says yes, then only after somebody wrote."""
    with log.follow() as follower:
        assert [follower.changed(), follower.changed()] == [True, False]
        log.append([record()])
        assert [follower.changed(), follower.changed()] == [True, False]


def test_a_follower_survives_the_writers_end_and_a_new_writer(log: SqliteAuditLog) -> None:
    """The daemon restarts: the log is folded in, another process goes on."""
    with log.follow() as follower:
        log.append([record()])
        found, after, _ = follower.page(RecordFilter(), 0)
        log.close()
        SqliteAuditLog(log.path).append([record()])
        assert follower.changed()
        again, after, _ = follower.page(RecordFilter(), after)
    assert (_seqs(found), _seqs(again), after) == ([1], [2], 2)


def test_a_follower_goes_on_in_a_store_that_was_restored(log: SqliteAuditLog, tmp_path: Path) -> None:
    """Another file in its place: what comes there is shown, nothing hangs on the old one."""
    log.append([record()])
    log.close()
    shutil.copy(log.path, tmp_path / "backup.db")
    log.append([record(), record()])
    with log.follow() as follower:
        _, after, _ = follower.page(RecordFilter(), 0)
        assert after == 3
        log.close()
        for part in ("-wal", "-shm"):
            log.path.with_name(log.path.name + part).unlink(missing_ok=True)
        (tmp_path / "backup.db").replace(log.path)
        assert follower.changed()
        _, after, _ = follower.page(RecordFilter(), after)
        assert after == 1
        SqliteAuditLog(log.path).append([record()])
        assert _seqs(follower.page(RecordFilter(), after)[0]) == [2]


def test_following_begins_with_the_newest_and_goes_on(log: SqliteAuditLog) -> None:
    """Each record once, those that came in between as well."""
    log.append([record(org="a") for _ in range(5)])
    waited: list[int] = []

    def idle() -> None:
        waited.append(1)
        if len(waited) > 3:
            raise KeyboardInterrupt
        log.append([record(org="b"), record(org="a")])

    seen = _until_interrupted(audit.follow(log, RecordFilter(org="a", limit=2), idle))
    assert seen == [[4, 5], [7], [9], [11]]


def test_following_an_empty_log_begins_with_the_first_record(log: SqliteAuditLog) -> None:
    """Nothing is skipped because there was nothing."""

    def idle() -> None:
        if log.last_seq():
            raise KeyboardInterrupt
        log.append([record()])

    assert _until_interrupted(audit.follow(log, RecordFilter(limit=5), idle)) == [[], [1]]


@pytest.mark.parametrize(
    ("wanted", "seqs"),
    [
        (RecordFilter(actor="a"), []),
        (RecordFilter(target="a"), []),
        (RecordFilter(stream="control"), []),
        (RecordFilter(stream="decision", session="s"), [1]),
        (RecordFilter(action="llm.*"), [1, 2]),
        (RecordFilter(user="zoë", session="s"), [1]),
    ],
)
def test_what_facets_do_not_tell_apart_is_asked_of_the_record(log: SqliteAuditLog, wanted: RecordFilter, seqs: list[int]) -> None:
    """A filter that the decision stream cannot answer lets nothing pass."""
    log.append([record(session="s", user="zoë"), record()])
    with log.follow() as follower:
        assert _seqs(follower.page(wanted, 0)[0]) == seqs


def test_a_person_can_be_followed_by_reference(log: SqliteAuditLog) -> None:
    """As the ledger's own bytes name them."""
    log.append([record(session="s", user="zoë"), record(session="s", user="bob")])
    reference = parse(log.leaf(1) or b"").user
    wanted = RecordFilter(user=reference, session="s")
    with log.follow() as follower:
        assert _seqs(follower.page(wanted, 0)[0]) == [1]
    assert _seqs(list(log.query(wanted))) == [1]
