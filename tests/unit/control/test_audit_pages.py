"""Pages, cursors and the control stream, through the use cases and over the real store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.audit_log import record
from llmcp.control import audit, audit_stats
from llmcp.core.control_records import ControlRecord
from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import GenAi, Rule
from llmcp.errors import UsageError
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.change import change
from llmcp.stores.sqlite.usage import SqliteUsage

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> SqliteAuditLog:
    """Return an empty store."""
    return SqliteAuditLog(tmp_path / "llmcp.db")


def _change(log: SqliteAuditLog, number: int, **fields: str) -> None:
    given = {
        "action": "token.create",
        "actor": "local:ann",
        "target": f"tok_{number}",
        "time": f"2026-01-01T00:00:0{number}.000000Z",
    }
    with change(log.path, ControlRecord(id=f"c_{number}", detail={"scope": "all"}, **(given | fields))):
        pass


def _seqs(page: audit.Page) -> list[int]:
    return [row["seq"] for row in page.documents()]


def test_the_window_of_the_first_page_holds_on_the_others(log: SqliteAuditLog) -> None:
    """Time goes on between two pages; `--since 1h` does not."""
    log.append([record(time=f"2026-01-01T11:0{minute}:00.000000Z") for minute in range(6)])
    spoken = RecordFilter(since="1h", limit=3)
    first = audit.page(log, spoken, "", NOW)
    second = audit.page(log, spoken, first.next, NOW + timedelta(minutes=4))
    assert (_seqs(first), _seqs(second), second.next) == ([4, 5, 6], [1, 2, 3], "")


def test_control_records_are_found_by_what_operators_did(log: SqliteAuditLog) -> None:
    """Action, actor, target, time, org and the words of the detail; persons by name."""
    _change(log, 1, org="a")
    _change(log, 2, action="token.revoke", org="b")
    _change(log, 3, action="org.create", actor="daemon", target="b", org="b", user="zoë")
    control = RecordFilter(stream="control", limit=10)
    for fields, seqs in (
        ({}, [1, 2, 3]),
        ({"action": "TOKEN.*"}, [1, 2]),
        ({"actor": "local:ann"}, [1, 2]),
        ({"target": "b"}, [3]),
        ({"org": "b"}, [2, 3]),
        ({"org": "b", "text": "SCOPE=all", "action": "token.*"}, [2]),
        ({"user": "zoë"}, [3]),
        ({"since": "2026-01-01T00:00:02Z"}, [2, 3]),
        ({"until": "2026-01-01T00:00:02Z"}, [1]),
        ({"decision_id": "c_2"}, [2]),
    ):
        assert _seqs(audit.page(log, replace(control, **fields), "", NOW)) == seqs, fields
        assert [row["seq"] for row in audit.query(log, audit.resolve_filter(replace(control, **fields), NOW))] == seqs


@pytest.mark.parametrize(("start", "expected"), [(-1, [[2, 3], [1]]), (0, [[1, 2], [3]])])
def test_control_records_come_in_pages_too(log: SqliteAuditLog, start: int, expected: list[list[int]]) -> None:
    """From either end, newest last."""
    for number in (1, 2, 3):
        _change(log, number)
    spoken = RecordFilter(stream="control", limit=2, after_seq=start)
    first = audit.page(log, spoken, "", NOW)
    second = audit.page(log, spoken, first.next, NOW)
    assert ([_seqs(first), _seqs(second)], second.next) == (expected, "")


def test_a_control_record_flattens_to_its_columns(log: SqliteAuditLog) -> None:
    """Nothing in it is a spreadsheet's formula."""
    _change(log, 1, target="=1+1")
    (data,) = log.query(RecordFilter(stream="control"))
    row = audit.flat_control_row(msgspec.json.decode(data))
    assert tuple(row) == audit.CONTROL_COLUMNS
    assert (row["target"], row["detail"], row["actor"]) == ("'=1+1", "scope=all", "local:ann")


@pytest.mark.parametrize(
    "spoken",
    [
        RecordFilter(stream="nonsense"),
        RecordFilter(stream="control", model="x"),
        RecordFilter(stream="control", session="x"),
        RecordFilter(actor="x"),
        RecordFilter(stream="decision", target="x"),
        RecordFilter(limit=1 << 63),
    ],
)
def test_a_filter_that_its_stream_cannot_answer_is_refused(spoken: RecordFilter) -> None:
    """An empty answer would look like an empty log."""
    with pytest.raises(UsageError):
        audit.resolve_filter(spoken, NOW)


@given(st.lists(st.integers(0, 50), min_size=1), st.integers(1, 100))
def test_a_percentile_is_a_measured_value_that_so_many_do_not_exceed(values: list[int], percent: int) -> None:
    """The smallest such value."""
    found = audit_stats.percentile(sorted(values), percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_stats_count_what_refused_and_not_what_only_warned(log: SqliteAuditLog) -> None:
    """A rule that set a field on a refused request is not its refusal; nothing divides by nothing."""
    deny, cap = Rule("deny", "no", "enforce", "p"), Rule("set", "cap", "enforce", "p")
    log.append(
        [
            record(outcome="denied", rules=(deny, cap), latency_ms=10),
            record(outcome="error", error_type="timeout", latency_ms=30, gen_ai=GenAi(request_model="m", input_tokens=5)),
            record(rules=(cap,), latency_ms=20, cost_microusd=3),
        ]
    )
    found = audit_stats.stats(log, SqliteUsage(log.path), RecordFilter(), "model")
    assert (found["requests"], found["refused"], found["errors"], found["cost_microusd"]) == (3, 1, 1, 3)
    assert found["refusals"] == [{"rule": "p/no", "requests": 1}]
    assert found["error_types"] == [{"error_type": "timeout", "requests": 1}]
    assert (found["latency"]["p50_ms"], found["latency"]["p95_ms"]) == (20, 30)
    assert {row["model"]: row["requests"] for row in found["groups"]} == {"": 2, "m": 1}
    empty = audit_stats.stats(log, SqliteUsage(log.path), RecordFilter(org="none"), "model")
    assert (empty["requests"], empty["latency"]["p50_ms"], empty["groups"]) == (0, 0, [])
