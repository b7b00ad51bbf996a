"""Rules of `llmcp.control.export`: what every form has in common, JSONL and CSV."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmcp.control.audit import COLUMNS, CONTROL_COLUMNS
from llmcp.control.export import ExportFormat, export
from llmcp.control.export_parts import microseconds, paths, pruned, without
from llmcp.core.records import DecisionRecord, Rule, canonical
from record_strategies import CONTROLS, DECISIONS, STRANGE, document


def exported(records: Iterable[bytes], form: ExportFormat, stream: str = "decision") -> bytes:
    """Return what an export writes."""
    sink = io.BytesIO()
    export(records, form, sink, stream=stream, version="1.2.3", progress=lambda _: None)
    return sink.getvalue()


@given(st.lists(DECISIONS | CONTROLS, max_size=5))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_jsonl_is_the_records_byte_for_byte(records: list[bytes]) -> None:
    """As the log yields them."""
    assert exported(records, ExportFormat.JSONL) == b"".join(record + b"\n" for record in records)


@given(st.lists(DECISIONS, max_size=5))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_csv_has_a_header_and_one_row_a_record(records: list[bytes]) -> None:
    """Whatever stands in the texts: the columns are always as many."""
    rows = list(csv.reader(io.StringIO(exported(records, ExportFormat.CSV).decode(), newline="")))
    assert rows[0] == list(COLUMNS)
    assert len(rows) == len(records) + 1
    for row, record in zip(rows[1:], map(document, records), strict=True):
        assert len(row) == len(COLUMNS)
        assert row[0] == str(record["seq"])
        assert row[COLUMNS.index("streamed")] == ("yes" if record["gen_ai"]["streamed"] else "no")


@given(st.lists(CONTROLS, max_size=5))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_csv_of_the_control_stream_has_columns_of_its_own(records: list[bytes]) -> None:
    """A change has no model, and an exchange no target."""
    rows = list(csv.reader(io.StringIO(exported(records, ExportFormat.CSV, "control").decode(), newline="")))
    assert rows[0] == list(CONTROL_COLUMNS)
    assert [row[3] for row in rows[1:]] == [document(record)["action"] for record in records]


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_no_cell_is_a_formula_and_none_steers_a_terminal(start: str) -> None:
    """A client chose the words."""
    record = DecisionRecord(
        id="a", time="2026-01-01T00:00:00.000000Z", user=f"{start}cmd", session="a\x1b[2Jb", labels={"k": "1\n2"},
        rules=(Rule("deny", "r", "enforce", f"{start}p"),),
    )  # fmt: skip
    row = exported([canonical(record)], ExportFormat.CSV).decode().splitlines()[1]
    assert f"'{start}cmd" in row
    assert f",'{start}p/r" in row
    assert "\x1b" not in row
    assert "k=1\ufffd2" in row


@pytest.mark.parametrize("form", ExportFormat)
@pytest.mark.parametrize("stream", ["decision", "control"])
def test_no_record_at_all_is_a_valid_file(form: ExportFormat, stream: str) -> None:
    """A header and no row, or nothing."""
    written = exported([], form, stream)
    assert bool(written) is (form in {ExportFormat.CSV, ExportFormat.PARQUET})


@given(STRANGE)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_record_of_another_version_never_breaks_the_mappings(record: dict[str, object]) -> None:
    """Missing keys, other types, more keys: what can be said is said."""
    import msgspec

    data = [msgspec.json.encode(record)]
    for form in (ExportFormat.OCSF, ExportFormat.OTLP, ExportFormat.PARQUET):
        assert exported(data, form)
        assert exported(data, form, "control")


def test_progress_is_told_and_the_count_returned() -> None:
    """After each batch."""
    record = canonical(DecisionRecord(id="a", time="2026-01-01T00:00:00.000000Z"))
    told: list[int] = []
    count = export(
        (record for _ in range(2500)), ExportFormat.JSONL, io.BytesIO(), stream="decision", version="1", progress=told.append
    )
    assert count == 2500
    assert told == [1000, 2000, 2500]


class Nowhere(io.RawIOBase):
    """A sink that keeps nothing."""

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: object) -> int:
        """Forget it."""
        return len(data)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", [ExportFormat.JSONL, ExportFormat.CSV, ExportFormat.OCSF, ExportFormat.OTLP])
def test_memory_holds_a_batch_however_many_records_there_are(form: ExportFormat) -> None:
    """Four times the records, the same peak."""

    def peak(count: int) -> int:
        records = (
            canonical(DecisionRecord(id=str(number), time="2026-01-01T00:00:00.000000Z", labels={"n": str(number)}))
            for number in range(count)
        )
        tracemalloc.start()
        export(records, form, Nowhere(), stream="decision", version="1", progress=lambda _: None)  # type: ignore[arg-type]
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1000)
    assert peak(8000) < peak(2000) * 1.5


def test_what_was_mapped_is_left_out_and_what_is_neutral_too() -> None:
    """All the way down; what holds nothing any more goes as well."""
    record = {"a": 1, "b": {"c": "x", "d": 0, "e": {"f": []}}, "g": {"h": True, "i": "y"}, "j": "", "k": [0]}
    assert without(record, paths("a", "g.h", "b.c", "k.x")) == {"g": {"i": "y"}, "k": [0]}
    assert pruned(record) == {"a": 1, "b": {"c": "x"}, "g": {"h": True, "i": "y"}, "k": [0]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00.000001Z", 1),
        ("2026-01-01T00:00:00.000000Z", 1_767_225_600_000_000),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_times_are_whole_microseconds(text: str, expected: int) -> None:
    """Without passing through a float; what cannot be read is the epoch."""
    assert microseconds({"time": text}) == expected
