"""What `audit` shows of a log, over the real store."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.audit_log import RECORDS, record
from llmcp.control import audit
from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import DecisionRecord, GenAi, Rule, canonical, timestamp
from llmcp.errors import NotFoundError, UsageError
from llmcp.stores.sqlite.audit_log import SqliteAuditLog

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> SqliteAuditLog:
    """Return an empty store."""
    return SqliteAuditLog(tmp_path / "llmcp.db")


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        ("1h", timedelta(hours=1)),
        ("7d", timedelta(days=7)),
        (" 2w ", timedelta(weeks=2)),
        ("0s", timedelta()),
        ("2026-11-21T10:00:00Z", timedelta(hours=2)),
        ("2026-11-21T10:00:00.5+00:00", timedelta(hours=1, minutes=59, seconds=59.5)),
        ("2026-11-21T10:00:00+02:00", timedelta(hours=4)),
        ("2026-11-21", timedelta(hours=12)),
    ],
)
def test_a_time_is_a_span_back_from_now_or_a_moment(text: str, back: timedelta) -> None:
    """Every spelling that the command's help promises."""
    assert audit.parse_moment(text, NOW) == NOW - back


@given(st.text(max_size=20))
def test_any_other_time_is_a_usage_error(text: str) -> None:
    """Whatever is typed there, the answer is a moment or an error with a way out."""
    try:
        assert audit.parse_moment(text, NOW).tzinfo is not None
    except UsageError as error:
        assert error.fix  # noqa: PT017 - both ends are fine, only another exception is not


def test_a_span_beyond_the_calendar_is_its_beginning() -> None:
    """`--since 999999999w` asks for everything."""
    moment = audit.parse_moment("999999999w", NOW)
    assert timestamp(moment) < "0002"


def test_spoken_filters_become_the_stores() -> None:
    """Spans are resolved once, against one clock reading."""
    wanted = audit.resolve_filter(RecordFilter(since="1h", until="2026-11-21T11:30:00Z", org="o", limit=3), NOW)
    assert wanted == RecordFilter(since="2026-11-21T11:00:00.000000Z", until="2026-11-21T11:30:00.000000Z", org="o", limit=3)


@pytest.mark.parametrize("spoken", [RecordFilter(outcome="refused"), RecordFilter(limit=-1), RecordFilter(since="yesterday")])
def test_a_filter_that_can_never_match_is_refused(spoken: RecordFilter) -> None:
    """A misspelt outcome would otherwise look like an empty log."""
    with pytest.raises(UsageError):
        audit.resolve_filter(spoken, NOW)


def test_query_gives_documents_newest_last(log: SqliteAuditLog) -> None:
    """As the canonical form says them."""
    written = [record(org="a"), record(org="b"), record(org="a")]
    log.append(written)
    assert list(audit.query(log, RecordFilter(org="a"))) == [
        msgspec.json.decode(canonical(item)) for item in written if item.org == "a"
    ]


def test_show_finds_one_decision_or_says_that_there_is_none(log: SqliteAuditLog) -> None:
    """Exit code 3 is not an empty answer."""
    one = record()
    log.append([one, record()])
    assert audit.show(log, one.decision_id)["id"] == one.id
    with pytest.raises(NotFoundError):
        audit.show(log, "no-such-id")


@settings(max_examples=50, deadline=None)
@given(RECORDS)
def test_every_record_flattens_to_the_same_columns(one: DecisionRecord) -> None:
    """So that a CSV has one header and every line fits it."""
    row = audit.flat_row(msgspec.json.decode(canonical(one)))
    assert tuple(row) == audit.COLUMNS
    assert all(isinstance(value, str | int) for value in row.values())


def test_a_flat_row_says_what_the_record_says() -> None:
    """Lists joined, rules by policy and id, labels sorted."""
    one = record(
        rules=(Rule("deny", "no-shell", "enforce", "agents"), Rule("set", "cap", "enforce", "agents")),
        gen_ai=GenAi(request_model="gpt-4o", input_tokens=7, finish_reasons=("stop", "length")),
        labels={"team": "x", "env": "ci"},
    )
    row = audit.flat_row(msgspec.json.decode(canonical(one)))
    assert row["rules"] == "agents/no-shell agents/cap"
    assert row["finish_reasons"] == "stop length"
    assert row["labels"] == "env=ci team=x"
    assert row["input_tokens"] == 7


@pytest.mark.parametrize("hostile", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_no_cell_is_a_spreadsheets_formula(hostile: str) -> None:
    """A model's name is the client's word, and somebody will open the export in a spreadsheet."""
    row = audit.flat_row(msgspec.json.decode(canonical(record(gen_ai=GenAi(request_model=hostile)))))
    out = io.StringIO()
    csv.DictWriter(out, audit.COLUMNS).writerow(row)
    (cells,) = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert cells[audit.COLUMNS.index("request_model")] == "'" + hostile
