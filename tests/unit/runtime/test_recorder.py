"""The recorder over a real store that can be taken away and given back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from contract.audit_log import record
from llmcp.core.bodies import Body, Kept
from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import Bodies, DecisionRecord, parse
from llmcp.errors import UnreachableError
from llmcp.runtime.recorder import Lost, Recorder
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.bodies import SqliteBodies


class Switchable(SqliteAuditLog):
    """A store that is away while `down` is set, and that says how often it was asked."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.down = threading.Event()
        self.asked = 0
        self.good_for = 10**9  # how many more records are taken before one attempt fails

    def append(self, records: Sequence[DecisionRecord]) -> int:
        """Append, unless away."""
        self.asked += 1
        hiccup = self.good_for <= 0
        if hiccup:
            self.good_for = 10**9
        if hiccup or self.down.is_set():
            raise UnreachableError("the store cannot be used", why="the disk is full", fix="free some space", code="store-full")
        last = super().append(records)
        self.good_for -= len(records)
        return last


@pytest.fixture
def log(tmp_path: Path) -> Switchable:
    """Return an empty store."""
    return Switchable(tmp_path / "llmcp.db")


@pytest.fixture
def make(log: Switchable) -> Iterator[Callable[..., Recorder]]:
    """Start recorders and stop them whatever happens."""
    made: list[Recorder] = []

    def build(*, started: bool = True, **options: object) -> Recorder:
        recorder = Recorder(log, time.monotonic, **options)  # type: ignore[arg-type]
        made.append(recorder)
        if started:
            recorder.start()
        return recorder

    yield build
    log.down.clear()
    for recorder in made:
        recorder.stop(5)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread is about to do; the test's own timeout is the bound."""
    while not condition():
        time.sleep(0.002)


def ids(log: SqliteAuditLog) -> list[str]:
    """Return the stored ids in the order of `seq`, having checked that it has no gaps."""
    found = [parse(data) for data in log.query(RecordFilter())]
    assert [item.seq for item in found] == list(range(1, len(found) + 1))
    return [item.id for item in found]


def test_all_that_was_submitted_is_stored_in_order(log: Switchable, make: Callable[..., Recorder]) -> None:
    """One commit carries many records, and none overtakes another."""
    recorder = make()
    batch = [record() for _ in range(1500)]
    assert all(recorder.submit(item) for item in batch)
    assert recorder.flush(20)
    assert ids(log) == [item.id for item in batch]
    assert log.asked < 200
    assert recorder.state().written == 1500


def test_a_record_is_written_without_anybody_asking(log: Switchable, make: Callable[..., Recorder]) -> None:
    """The thread wakes by itself, again and again after it slept."""
    recorder = make(linger_s=0.001)
    for number in range(1, 30):
        recorder.submit(record())
        until(lambda number=number: recorder.state().written == number)  # type: ignore[misc]


def test_records_from_before_the_start_are_written(log: Switchable, make: Callable[..., Recorder]) -> None:
    """The gateway may be quicker than the thread."""
    recorder = make(started=False)
    recorder.submit(record())
    recorder.start()
    assert recorder.flush(10)
    assert len(ids(log)) == 1


def test_a_store_that_is_away_loses_nothing_and_doubles_nothing(log: Switchable, make: Callable[..., Recorder]) -> None:
    """What could not be written waits at the head of the queue until it can."""
    recorder = make()
    log.down.set()
    first = [record() for _ in range(5)]
    for item in first:
        recorder.submit(item)
    until(lambda: not recorder.state().healthy)
    state = recorder.state()
    assert (state.written, state.pending) == (0, 5)
    assert "store-full" in state.last_error
    assert not recorder.flush(0.01)
    last = record()
    recorder.submit(last)
    log.down.clear()
    assert recorder.flush(20)
    state = recorder.state()
    assert state.healthy
    assert (state.failing_s, state.pending) == (0.0, 0)
    assert state.retries > 0
    assert ids(log) == [item.id for item in [*first, last]]


def test_retries_pause_instead_of_hammering_the_store(log: Switchable, make: Callable[..., Recorder]) -> None:
    """New records do not shorten the pause."""
    recorder = make()
    log.down.set()
    recorder.submit(record())
    until(lambda: recorder.state().retries > 0)
    before = log.asked
    for _ in range(1000):
        recorder.submit(record())
    assert log.asked - before < 10


def test_a_full_queue_refuses_new_requests_but_records_those_under_way(log: Switchable, make: Callable[..., Recorder]) -> None:
    """Fail closed: the gateway asks first, and what it has let in is still recorded."""
    recorder = make(capacity=10, grace_s=1000)
    log.down.set()
    while recorder.accepting():
        assert recorder.submit(record())
    assert recorder.state().pending == 10
    assert all(recorder.submit(record()) for _ in range(10))
    assert not recorder.submit(record())
    assert recorder.state().dropped == 1
    log.down.clear()
    assert recorder.flush(20)
    assert recorder.accepting()
    assert len(ids(log)) == 20


def test_a_store_that_refuses_for_longer_than_the_grace_refuses_requests(log: Switchable, make: Callable[..., Recorder]) -> None:
    """Not only when the queue is full: what is let in now may never be recorded. It opens again by itself."""
    recorder = make(grace_s=0.05)
    assert recorder.accepting()
    log.down.set()
    under_way = [record() for _ in range(3)]
    for item in under_way:
        recorder.submit(item)
    until(lambda: not recorder.accepting())
    assert recorder.state().pending == 3
    assert recorder.submit(last := record())
    log.down.clear()
    until(recorder.accepting)
    assert recorder.flush(10)
    assert ids(log) == [item.id for item in [*under_way, last]]


def test_a_store_that_hiccups_refuses_nobody(log: Switchable, make: Callable[..., Recorder]) -> None:
    """A lock that somebody holds for a moment is no outage."""
    recorder = make(grace_s=1000)
    log.down.set()
    recorder.submit(record())
    until(lambda: not recorder.state().healthy)
    assert recorder.accepting()


def test_what_was_lost_is_reported_once_when_the_store_takes_records_again(
    log: Switchable, make: Callable[..., Recorder]
) -> None:
    """So that the ledger itself says that there is a gap; a report that fails is tried again with the next batch."""
    told: list[Lost] = []
    away = [True]

    def report(lost: Lost) -> None:
        if away.pop():
            raise UnreachableError("not yet")
        away.append(False)
        told.append(lost)

    away.insert(0, False)
    recorder = make(capacity=2, when_full="serve", report_lost=report)
    log.down.set()
    batch = [record() for _ in range(6)]
    for item in batch:
        recorder.submit(item)
    lost = recorder.lost()
    assert lost == Lost(4, batch[2].time, batch[5].time)
    log.down.clear()
    assert recorder.flush(10)
    recorder.submit(record())
    until(lambda: recorder.lost() is None)
    assert told == [lost]
    assert recorder.state().dropped == 4


def test_a_full_queue_drops_and_counts_where_the_setting_says_so(log: Switchable, make: Callable[..., Recorder]) -> None:
    """Availability first: requests go on, the hole in the log is known."""
    recorder = make(capacity=10, when_full="serve")
    log.down.set()
    accepted = sum(recorder.submit(record()) for _ in range(25))
    assert recorder.accepting()
    assert (accepted, recorder.state().dropped) == (10, 15)


def test_a_record_that_cannot_be_encoded_stops_no_other(log: Switchable, make: Callable[..., Recorder]) -> None:
    """One exchange's bug must not end the evidence of all that follow."""
    recorder = make(started=False)
    batch = [record() for _ in range(20)]
    batch[7].labels = {"k": object()}  # type: ignore[dict-item]
    for item in batch:
        recorder.submit(item)
    recorder.start()
    assert recorder.flush(20)
    state = recorder.state()
    assert (state.written, state.rejected) == (19, 1)
    assert ids(log) == [item.id for item in batch if item is not batch[7]]


def test_a_hiccup_while_records_are_tried_singly_loses_none(log: Switchable, make: Callable[..., Recorder]) -> None:
    """Setting a bad record aside keeps the same promise as a batch, and the order."""
    recorder = make(started=False)
    batch = [record() for _ in range(20)]
    batch[3].labels = {"k": object()}  # type: ignore[dict-item]
    log.good_for = 8
    for item in batch:
        recorder.submit(item)
    recorder.start()
    assert recorder.flush(20)
    state = recorder.state()
    assert (state.written, state.rejected, state.retries) == (19, 1, 1)
    assert ids(log) == [item.id for item in batch if item is not batch[3]]


def test_stop_writes_what_is_left(log: Switchable, make: Callable[..., Recorder]) -> None:
    """A graceful end loses nothing."""
    recorder = make(linger_s=5)
    batch = [record() for _ in range(700)]
    for item in batch:
        recorder.submit(item)
    assert recorder.stop(20) == 0
    assert ids(log) == [item.id for item in batch]
    assert not recorder.submit(record())


def test_stop_gives_up_on_a_store_that_stays_away_and_says_how_many(log: Switchable, make: Callable[..., Recorder]) -> None:
    """The process must end; the loss is counted."""
    recorder = make()
    log.down.set()
    for _ in range(3):
        recorder.submit(record())
    assert recorder.stop(0.2) == 3
    assert recorder.state().dropped == 3


def test_stop_before_start_is_no_error(log: Switchable, make: Callable[..., Recorder]) -> None:
    """A daemon that fails early still closes what it built."""
    assert make(started=False).stop(1) == 0


def test_a_store_that_refuses_is_told_of_once_and_so_is_its_return(
    log: Switchable, make: Callable[..., Recorder], caplog: pytest.LogCaptureFixture
) -> None:
    """Rule 6: whoever reads the log learns why records wait."""
    caplog.set_level("INFO", logger="llmcp.recorder")
    log.down.set()
    recorder = make()
    recorder.submit(record(decision_id="d_1", id="d_1"))
    recorder.flush(0.2)
    recorder.flush(0.2)
    log.down.clear()
    assert recorder.flush(10)
    assert [entry.message for entry in caplog.records] == ["store_refuses_records", "store_takes_records"]


def test_bodies_are_sealed_before_the_record_that_names_them(log: Switchable, make: Callable[..., Recorder]) -> None:
    """A secret store that is away delays both; nothing is lost and nothing is sealed twice."""
    away = [UnreachableError("the secret store is away", code="secrets")] * 2
    bodies = SqliteBodies(log.path, lambda: b"k" * 32)

    class Hesitant:
        def keep(self, time: str, kept: Kept) -> Bodies:
            if away:
                raise away.pop()
            return bodies.keep(time, kept)

        def read(self, ref: str) -> Body | None:
            return bodies.read(ref)

    recorder = make(bodies=Hesitant())
    kept = Kept(100)
    kept.take_request(b"evidence", content_type=b"", content_encoding=b"")
    assert recorder.submit(record(id="with"), kept)
    assert recorder.submit(record(id="without"))
    assert recorder.flush(10)
    first, second = [parse(data) for data in log.query(RecordFilter())]
    found = bodies.read(first.bodies.request)
    assert found is not None
    assert found.data == b"evidence"
    assert (first.bodies.response, second.bodies) == ("", Bodies())
    assert not away
