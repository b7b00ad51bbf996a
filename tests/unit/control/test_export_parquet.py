"""Rules of `llmcp.control.export_parquet`, read back by pyarrow."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmcp.control.export import ExportFormat, export
from llmcp.core.records import DecisionRecord, canonical
from record_strategies import CONTROLS, DECISIONS, document

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def table(records: list[bytes], stream: str = "decision") -> Any:
    """Return the file as a table."""
    sink = io.BytesIO()
    export(records, ExportFormat.PARQUET, sink, stream=stream, version="1", progress=lambda _: None)
    return pq.read_table(io.BytesIO(sink.getvalue()))


@given(st.lists(DECISIONS, max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_value_of_a_record_comes_back(records: list[bytes]) -> None:
    """As it was: integers, texts, lists, maps, lists of objects."""
    rows = table(records).to_pylist()
    assert len(rows) == len(records)
    for row, record in zip(rows, map(document, records), strict=True):
        assert row["time"] == datetime.fromisoformat(record["time"])
        for name in (
            "seq",
            "id",
            "decision_id",
            "user",
            "outcome",
            "groups",
            "warnings",
            "cost_microusd",
            "rules",
            "edits",
            "faults",
        ):
            assert row[name] == record[name], name
        for name in ("input_tokens", "output_tokens", "provider", "finish_reasons", "tools", "streamed"):
            assert row[name] == record["gen_ai"][name], name
        assert dict(row["labels"]) == record["labels"]
        assert dict(row["flags"]) == record["flags"]
        assert row["findings"] == record["findings"]
        assert row["would_be_rules"] == record["would_be"]["rules"]
        assert row["status"] == record["upstream"]["status"]
        assert row["request_bytes"] == record["inspection"]["request"]["bytes"]
        assert row["response_skipped"] == record["inspection"]["response"]["skipped"]
        assert row["facts_tools"] == record["facts"]["tools"]
        assert row["bodies_request"] == record["bodies"]["request"]
        assert row["client_ip"] == record["facts"]["client_ip"]


@given(st.lists(CONTROLS, max_size=4))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_change_comes_back_too(records: list[bytes]) -> None:
    """With its own columns."""
    for row, record in zip(table(records, "control").to_pylist(), map(document, records), strict=True):
        assert {name: row[name] for name in ("seq", "action", "actor", "target")} == {
            name: record[name] for name in ("seq", "action", "actor", "target")
        }
        assert dict(row["detail"]) == record["detail"]


def test_columns_are_typed_and_never_null() -> None:
    """Also in a file without a row."""
    schema = table([]).schema
    assert schema.field("time").type == pa.timestamp("us", tz="UTC")
    assert schema.field("input_tokens").type == pa.int64()
    assert schema.field("streamed").type == pa.bool_()
    assert schema.field("groups").type == pa.list_(pa.string())
    assert schema.field("labels").type == pa.map_(pa.string(), pa.string())
    assert pa.types.is_struct(schema.field("rules").type.value_type)
    assert not any(field.nullable for field in schema)


def test_every_key_of_a_record_has_a_column() -> None:
    """A key that a later version adds must not be forgotten here."""
    columns = set(table([]).schema.names)
    record = document(canonical(DecisionRecord(id="a", time="2026-01-01T00:00:00.000000Z")))
    nested = {"gen_ai": "", "upstream": "", "facts": "facts_", "would_be": "would_be_", "bodies": "bodies_"}
    for name, value in record.items():
        if name in nested:
            for inner in value:
                assert {inner, nested[name] + inner} & columns, (name, inner)
        elif name == "inspection":
            assert {f"{side}_{inner}" for side in value for inner in value[side]} <= columns
        elif name != "stream":  # one file, one stream
            assert name in columns


def test_rows_come_in_groups() -> None:
    """So that a reader, and this writer, need not hold all of them."""
    record = canonical(DecisionRecord(id="a", time="2026-01-01T00:00:00.000000Z"))
    sink = io.BytesIO()
    export([record] * 25_000, ExportFormat.PARQUET, sink, stream="decision", version="1", progress=lambda _: None)
    file = pq.ParquetFile(io.BytesIO(sink.getvalue()))
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [10_000, 10_000, 5_000]


def test_without_the_library_there_is_an_error_that_says_so() -> None:
    """And how to get it."""
    code = (
        "import io, sys; sys.modules['pyarrow'] = None\n"
        "from llmcp.control.export import ExportFormat, export\n"
        "from llmcp.errors import UsageError\n"
        "sink = io.BytesIO()\n"
        "try: export([], ExportFormat.PARQUET, sink, stream='decision', version='1', progress=print)\n"
        "except UsageError as error: assert 'llmcp[parquet]' in error.fix and not sink.getvalue(); sys.exit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 7
