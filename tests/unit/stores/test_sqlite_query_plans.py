"""Queries over fifty thousand rows: the same answer as reading them all, without reading them all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.audit_log import record
from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import DecisionRecord, Finding, GenAi, Rule
from llmcp.stores.sqlite import seek as sqlite_seek
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.file import connect
from llmcp.stores.sqlite.query import find_page
from llmcp.stores.sqlite.spans import bounds_of, forget_spans

ROWS = 50_000
RARE = (Rule("deny", "seldom", "enforce", "rare"),)


def _records() -> list[DecisionRecord]:
    """Return rows nearly in the order of time, of 600 facets and more."""
    rng = random.Random(5)  # noqa: S311 - test rows
    made = []
    for number in range(ROWS):
        minute = max(0, number * 4 // 100 - rng.choice((0, 0, 0, 30)))
        made.append(
            record(
                time=f"2026-01-{1 + minute // 1440:02d}T{minute // 60 % 24:02d}:{minute % 60:02d}:00.000000Z",
                org=f"o{rng.randrange(10)}",
                key_id=f"k{rng.randrange(60)}",
                outcome=rng.choice(("allowed",) * 9 + ("denied",)),
                session=f"s{number // 500}" if number % 7 == 0 else "",
                rules=RARE if number % 9_973 == 0 else (),
                findings=(Finding("none", 1, "pii.email"),) if number % 50 == 0 else (),
                labels={"team": f"t{number % 3}"},
                gen_ai=GenAi(request_model=rng.choice(("gpt-4o", "claude"))),
            )
        )
    return made


@pytest.fixture(scope="module")
def rows() -> list[DecisionRecord]:
    """Return what is stored."""
    return _records()


@pytest.fixture(scope="module")
def log(rows: list[DecisionRecord], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteAuditLog]:
    """Return the store, which the tests only read."""
    log = SqliteAuditLog(tmp_path_factory.mktemp("store") / "llmcp.db")
    for start in range(0, ROWS, 5_000):
        log.append(rows[start : start + 5_000])
    yield log
    log.close()


MOMENTS = st.builds("2026-01-{:02d}T{:02d}:{:02d}:00.000000Z".format, st.integers(1, 3), st.integers(0, 23), st.integers(0, 59))
FILTERS = st.builds(
    RecordFilter,
    since=st.just("") | MOMENTS,
    until=st.just("") | MOMENTS,
    org=st.sampled_from(["", "o1", "none"]),
    key_id=st.sampled_from(["", "", "k7"]),
    outcome=st.sampled_from(["", "allowed", "denied"]),
    rule=st.sampled_from(["", "", "seldom", "rare/seldom"]),
    kind=st.sampled_from(["", "", "pii"]),
    model=st.sampled_from(["", "GPT*", "x"]),
    session=st.sampled_from(["", "", "s3"]),
    labels=st.sampled_from([(), ("team=t1",)]),
    text=st.sampled_from(["", "T2"]),
    before_seq=st.just(0) | st.integers(1, ROWS),
    after_seq=st.just(-1) | st.integers(0, ROWS),
    limit=st.integers(1, 30),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=FILTERS, few=st.sampled_from([0, 100, 100_000]), stretch=st.sampled_from([10, 4096]))
def test_a_page_is_what_reading_all_records_finds(
    log: SqliteAuditLog, rows: list[DecisionRecord], monkeypatch: pytest.MonkeyPatch, wanted: RecordFilter, few: int, stretch: int
) -> None:
    """Whether facets are few or many, and wherever the first stretch ends."""
    monkeypatch.setattr(sqlite_seek, "FEW_FACETS", few)
    monkeypatch.setattr(sqlite_seek, "STRETCH", stretch)
    passing = [one.seq for one in rows if wanted.matches(one)]
    forward = wanted.after_seq >= 0
    expected = passing[: wanted.limit] if forward else passing[-wanted.limit :]
    with closing(connect(log.path, read_only=True)) as connection:
        found = find_page(connection, wanted)
    assert found.seqs == expected
    assert found.next_seq == (-1 if len(passing) <= wanted.limit else expected[-1 if forward else 0])


@pytest.mark.parametrize(
    "wanted",
    [
        RecordFilter(limit=10),
        RecordFilter(org="o1", limit=10),
        RecordFilter(outcome="allowed", limit=10),
        RecordFilter(rule="seldom", limit=10),
        RecordFilter(model="GP*", limit=10),
        RecordFilter(text="t1", outcome="denied", limit=10),
        RecordFilter(session="s3", org="o2", limit=10),
        RecordFilter(decision_id="id-00000001", org="o2"),
        RecordFilter(since="2026-01-01T10:05:00.000000Z", until="2026-01-01T10:25:00.000000Z", kind="pii.*", limit=10),
        RecordFilter(org="o1", after_seq=40_000, limit=10),
    ],
)
def test_no_plan_reads_the_records_one_by_one(log: SqliteAuditLog, wanted: RecordFilter) -> None:
    """Every statement that touches `records` or their index is a search with bounds."""
    statements: set[str] = set()
    with closing(connect(log.path, read_only=True)) as connection:
        connection.set_trace_callback(statements.add)
        find_page(connection, wanted)
        connection.set_trace_callback(None)
        plans = {
            sql: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
            for sql in statements
            if " records" in sql and "?" not in sql
        }
    assert plans
    for sql, steps in plans.items():
        assert not any(step.startswith(("SCAN records", "USE TEMP B-TREE")) for step in steps), (sql, steps)


def test_bounds_of_time_are_never_too_narrow_and_nearly_tight(log: SqliteAuditLog, rows: list[DecisionRecord]) -> None:
    """Rows of before or after the time are among them only as far as they lie in disorder."""
    since, until = "2026-01-01T10:05:00.000000Z", "2026-01-01T12:25:00.000000Z"
    within = [one.seq for one in rows if since <= one.time < until]
    with closing(connect(log.path, read_only=True)) as connection:
        low, high = bounds_of(connection, since, until)
    assert low <= min(within)
    assert high >= max(within)
    assert (high - low) < 2 * (max(within) - min(within))


def test_a_page_does_not_look_at_what_lies_before_it(log: SqliteAuditLog) -> None:
    """However common a filter is, the steps of the database do not grow with the store."""
    counts = []
    for wanted in (RecordFilter(outcome="denied", limit=10), RecordFilter(outcome="denied", limit=10, after_seq=0)):
        with closing(connect(log.path, read_only=True)) as connection:
            steps = 0

            def count() -> int:
                nonlocal steps
                steps += 1
                return 0

            connection.set_progress_handler(count, 100)
            find_page(connection, wanted)
            counts.append(steps * 100)
    assert max(counts) < ROWS * 5  # a scan of all rows takes more than ten steps a row


def test_what_is_pruned_leaves_no_session_and_no_span_behind(tmp_path: Path) -> None:
    """A session's name goes with its records; what is left is still found."""
    log = SqliteAuditLog(tmp_path / "llmcp.db")
    log.append([record(session="gone", time=f"2026-01-01T0{hour}:00:00.000000Z") for hour in range(3)])
    log.append([record(session="kept", time=f"2026-01-01T0{hour}:00:00.000000Z") for hour in range(3, 6)])
    with closing(connect(log.path)) as connection:
        connection.execute("DELETE FROM records WHERE seq <= 3")
        forget_spans(connection, 3)
        assert connection.execute("SELECT DISTINCT session FROM record_sessions").fetchall() == [("kept",)]
        assert connection.execute("SELECT count(*) FROM record_spans").fetchone() == (3,)
        wanted = RecordFilter(since="2026-01-01T01:00:00.000000Z", until="2026-01-01T05:00:00.000000Z", limit=9)
        assert find_page(connection, wanted).seqs == [4, 5]
    log.close()
