"""Usage from the rollup equals the records' sum, whatever the bounds, filters and dimensions."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.audit_log import record
from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import DecisionRecord, Finding, GenAi, Rule, parse
from llmcp.core.usage import DIMENSIONS, MEASURES, UsageQuery
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.usage import SqliteUsage

NAMES = st.sampled_from(["", "a", "b"])
MOMENTS = st.builds(
    "2026-01-{:02d}T{:02d}:{:02d}:00.{:06d}Z".format,
    st.sampled_from([1, 2, 31]),
    st.sampled_from([0, 1, 23]),
    st.sampled_from([0, 1, 30, 59]),
    st.sampled_from([0, 1]),
)
COUNTS = st.integers(0, 1000)
RECORDS = st.builds(
    record,
    time=MOMENTS,
    org=NAMES,
    app=NAMES,
    user=NAMES,
    key_id=NAMES,
    operation=NAMES,
    outcome=st.sampled_from(["allowed", "denied"]),
    labels=st.dictionaries(st.sampled_from(["team", "tier"]), NAMES),
    rules=st.sampled_from([(), (Rule("deny", "r", "enforce", "p"),)]),
    findings=st.sampled_from([(), (Finding("none", 1, "pii.email"),)]),
    cost_microusd=COUNTS,
    gen_ai=st.builds(
        GenAi,
        provider=NAMES,
        request_model=st.sampled_from(["gpt-4o", "Claude"]),
        response_model=NAMES,
        input_tokens=COUNTS,
        output_tokens=COUNTS,
        cached_tokens=COUNTS,
        cache_write_tokens=COUNTS,
        reasoning_tokens=COUNTS,
    ),
)
FILTERS = st.builds(
    RecordFilter,
    since=st.just("") | MOMENTS,
    until=st.just("") | MOMENTS,
    org=NAMES,
    user=NAMES,
    model=st.sampled_from(["", "", "gpt*"]),
    rule=st.sampled_from(["", "", "p/r"]),
    kind=st.sampled_from(["", "", "pii.*"]),
    labels=st.sampled_from([(), (), ("team=a",)]),
)
BY = st.lists(st.sampled_from([*DIMENSIONS, "label:team"]), min_size=1, max_size=3, unique=True).map(tuple)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the store is."""
    return tmp_path / "llmcp.db"


def _words(one: DecisionRecord, dimension: str) -> list[str]:
    """Return what a record says, by a reading of its own."""
    simple = {
        "model": one.gen_ai.request_model,
        "response_model": one.gen_ai.response_model,
        "key": one.key_id,
        "provider": one.gen_ai.provider,
        "hour": one.time[:13],
        "day": one.time[:10],
        "month": one.time[:7],
        "label:team": one.labels.get("team", ""),
    }
    if dimension == "label":
        return [f"{key}={value}" for key, value in one.labels.items()] or [""]
    return [simple[dimension] if dimension in simple else getattr(one, dimension)]


def _naive(records: list[DecisionRecord], by: tuple[str, ...], wanted: RecordFilter) -> dict[tuple[str, ...], tuple[int, ...]]:
    rows: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0] * len(MEASURES))
    for one in records:
        if not wanted.matches(one):
            continue
        keys: list[tuple[str, ...]] = [()]
        for dimension in by:
            keys = [(*key, word) for key in keys for word in _words(one, dimension)]
        for key in keys:
            for index, name in enumerate(MEASURES):
                rows[key][index] += 1 if name == "requests" else getattr(one if name == "cost_microusd" else one.gen_ai, name)
    return {key: tuple(row) for key, row in rows.items()}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(RECORDS, max_size=8), by=BY, wanted=FILTERS)
def test_usage_is_the_sum_of_the_records_for_any_bounds(
    path: Path, batch: list[DecisionRecord], by: tuple[str, ...], wanted: RecordFilter
) -> None:
    """Whole hours from the rollup and parts of hours from the records, nothing twice and nothing left out."""
    log = SqliteAuditLog(path)
    log.append(batch)
    answer = SqliteUsage(path).answer(UsageQuery(by, wanted))
    records = [parse(data) for data in log.query(RecordFilter())]
    log.close()
    assert {row.keys: row.sums for row in answer.rows} == _naive(records, by, wanted)
    assert len({row.keys for row in answer.rows}) == len(answer.rows)
    assert (answer.since, answer.until, answer.rounded) == (wanted.since, wanted.until, False)


def _stored(path: Path, *records: DecisionRecord) -> None:
    log = SqliteAuditLog(path)
    log.append(records)
    log.close()


def _at(minute: str, **fields: Any) -> DecisionRecord:
    return record(time=f"2026-01-01T{minute}:00.000000Z", cost_microusd=1, **fields)


def test_where_records_at_a_bound_are_gone_the_whole_hour_is_taken_and_said(path: Path) -> None:
    """The rollup still knows the hour; half of it nobody knows any more."""
    _stored(path, _at("09:10"), _at("09:50"), _at("10:10"), _at("10:50"), _at("11:50"))
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM records WHERE seq = 1")
    connection.close()
    wanted = RecordFilter(since="2026-01-01T09:30:00.000000Z", until="2026-01-01T10:30:00.000000Z")
    answer = SqliteUsage(path).answer(UsageQuery(("org",), wanted))
    assert [row.sums[0] for row in answer.rows] == [3]
    assert (answer.since, answer.until, answer.rounded) == ("2026-01-01T09:00:00.000000Z", wanted.until, True)


def test_users_are_shown_by_name_until_they_are_erased(path: Path) -> None:
    """The rollup knows references only."""
    _stored(path, _at("09:10", org="a", user="zoë"), _at("09:10", org="b", user="zoë"))
    rows = SqliteUsage(path).rows(UsageQuery(("user",)))
    assert [row.keys for row in rows] == [("zoë",)]
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM persons WHERE org = 'b'")
    connection.close()
    names = sorted(row.keys[0][:7] for row in SqliteUsage(path).rows(UsageQuery(("user",))))
    assert names == ["person:", "zoë"]


def test_an_orgs_scope_holds_for_rollups_and_for_edges(path: Path) -> None:
    """A tenant sees its own sums only, whatever it groups by."""
    _stored(path, *(_at(minute, org=org, labels={"of": org}) for minute in ("09:10", "10:10", "11:10") for org in ("a", "b")))
    for bounds in ({}, {"since": "2026-01-01T09:05:00.000000Z", "until": "2026-01-01T11:30:00.000000Z"}):
        wanted = RecordFilter(org="a", **bounds)
        for by in (("label",), ("org",), ("hour", "label")):
            rows = list(SqliteUsage(path).rows(UsageQuery(by, wanted)))
            assert sum(row.sums[0] for row in rows) == 3
            assert not any("b" in key for row in rows for key in row.keys)


def test_time_rows_come_in_order_and_others_dearest_first(path: Path) -> None:
    """What a person reads from the top."""
    _stored(path, _at("10:00", org="cheap"), _at("09:00", org="dear"), _at("11:00", org="dear"))
    usage = SqliteUsage(path)
    assert [row.keys for row in usage.rows(UsageQuery(("org",)))] == [("dear",), ("cheap",)]
    assert [row.keys[0][-2:] for row in usage.rows(UsageQuery(("hour", "org")))] == ["09", "10", "11"]


@pytest.mark.parametrize("bound", ["0001-01-01T00:30:00.000000Z", "9999-12-31T23:30:00.000000Z"])
def test_bounds_at_the_ends_of_the_calendar_are_fine(path: Path, bound: str) -> None:
    """`--since 999999w`."""
    _stored(path, _at("10:00"))
    for wanted in (RecordFilter(since=bound), RecordFilter(until=bound), RecordFilter(since=bound, until=bound)):
        assert sum(row.sums[0] for row in SqliteUsage(path).rows(UsageQuery(("org",), wanted))) in {0, 1}
