"""What `usage` says beside its rows, and what it draws."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from llmcp.control import usage
from llmcp.core.record_filter import RecordFilter
from llmcp.core.usage import MEASURES, UsageAnswer, UsageRow
from llmcp.errors import UsageError

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)


def _row(*keys: str, cost: int = 0, requests: int = 1) -> UsageRow:
    return UsageRow(keys, tuple({"cost_microusd": cost, "requests": requests}.get(name, 0) for name in MEASURES))


def test_bounds_are_spoken_as_everywhere() -> None:
    """A span back from now."""
    asked = usage.resolve_usage(RecordFilter(since="24h", org="o"), "model,day", NOW)
    assert (asked.by, asked.wanted.since, asked.wanted.org) == (("model", "day"), "2026-03-01T12:30:00.000000Z", "o")
    with pytest.raises(UsageError):
        usage.resolve_usage(RecordFilter(outcome="refused"), "model", NOW)


@pytest.mark.parametrize(
    ("by", "first", "last", "count"),
    [
        ("hour", "2026-02-28T22", "2026-03-01T02", 5),
        ("day", "2026-02-27", "2026-03-02", 4),
        ("month", "2025-11", "2026-02", 4),
        ("day", "2026-03-02", "2026-03-02", 1),
    ],
)
def test_a_series_of_time_has_no_gaps(by: str, first: str, last: str, count: int) -> None:
    """An hour without a request is an hour."""
    rows = (_row(first, cost=5),) + ((_row(last, cost=7),) if last != first else ())
    drawn = usage.series(UsageAnswer(rows), (by,), "cost_microusd")
    assert len(drawn) == count
    assert (drawn[0], drawn[-1][0]) == ((first, 5), last)
    assert sum(value for _, value in drawn) == sum(row.sums[MEASURES.index("cost_microusd")] for row in rows)


def test_other_rows_are_drawn_by_what_is_measured() -> None:
    """The table's order is by money, the chart's by its own figure; names stand in columns."""
    rows = (_row("dear", "a", cost=9, requests=1), _row("x", "", cost=1, requests=5))
    assert usage.series(UsageAnswer(rows), ("model", "org"), "requests") == [("x     -", 5), ("dear  a", 1)]


def test_what_is_drawn_is_money_where_there_was_any() -> None:
    """Local models cost nothing and are still drawn."""
    assert usage.measure_of(UsageAnswer((_row("m", cost=1),))) == "cost_microusd"
    assert usage.measure_of(UsageAnswer((_row("m"),))) == "requests"


def test_rounded_bounds_are_told() -> None:
    """Silence would be a wrong figure."""
    (note,) = usage.notes(UsageAnswer((), "2026-01-01T09:00:00.000000Z", "", rounded=True), ("org",))
    assert "2026-01-01T09" in note
    assert usage.notes(UsageAnswer(()), ("org",)) == []
    assert usage.notes(UsageAnswer(()), ("label",))
