"""The use case behind `audit export`: records in, a file in another form out, however many there are.

Rules:
1. Memory holds a batch of records, never all of them.
2. `jsonl` is what the log's query yields, byte for byte; `csv` the flat row; the others are mappings, one module each.
3. A person stands in an export as the log's query yields it: named, or erased.
4. One export holds one stream.
5. A cell of CSV cannot steer a spreadsheet or a terminal.
"""

from __future__ import annotations

import csv
import io
import itertools
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from llmcp.control import export_ocsf, export_otlp
from llmcp.control.audit import COLUMNS, CONTROL_COLUMNS, flat_control_row, flat_row
from llmcp.control.export_parquet import ROW_GROUP, ParquetExport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_BATCH: Final = 1000
_OTLP_BATCH: Final = 512


class ExportFormat(StrEnum):
    """The forms of an export."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    OCSF = "ocsf"
    OTLP = "otlp"


def export(
    records: Iterable[bytes], form: ExportFormat, sink: BinaryIO, *, stream: str, version: str, progress: Callable[[int], None]
) -> int:
    """Write canonical `records` into `sink`; return how many there were.

    `stream` is `decision` or `control`, `version` llmcp's; `progress` is told the count after each batch. Raises: UsageError where
    the form needs what is not installed.
    """
    count = 0
    writer = _Parquet(sink, stream) if form is ExportFormat.PARQUET else _Text(sink, form, stream, version)
    try:
        for batch in itertools.batched(records, writer.batch):
            writer.write(batch)
            count += len(batch)
            progress(count)
    finally:
        writer.close()
    return count


class _Text:
    """Lines of text."""

    def __init__(self, sink: BinaryIO, form: ExportFormat, stream: str, version: str) -> None:
        self.batch = _OTLP_BATCH if form is ExportFormat.OTLP else _BATCH
        self._sink = sink
        self._form = form
        self._stream = stream
        self._version = version
        if form is ExportFormat.CSV:
            sink.write(_csv_lines([CONTROL_COLUMNS if stream == "control" else COLUMNS]))

    def write(self, batch: tuple[bytes, ...]) -> None:
        """Write a batch."""
        if self._form is ExportFormat.JSONL:
            self._sink.write(b"\n".join(batch) + b"\n")
            return
        documents = [msgspec.json.decode(data) for data in batch]
        if self._form is ExportFormat.CSV:
            flat = flat_control_row if self._stream == "control" else flat_row
            self._sink.write(_csv_lines(map(_cell, flat(document).values()) for document in documents))
        elif self._form is ExportFormat.OCSF:
            lines = [msgspec.json.encode(export_ocsf.event(document, self._version)) for document in documents]
            self._sink.write(b"\n".join(lines) + b"\n")
        else:
            self._sink.write(msgspec.json.encode(export_otlp.request(documents, self._version)) + b"\n")

    def close(self) -> None:
        """Do nothing: the sink is its opener's."""


class _Parquet:
    """Row groups."""

    batch = ROW_GROUP

    def __init__(self, sink: BinaryIO, stream: str) -> None:
        self._file = ParquetExport(sink, stream)

    def write(self, batch: tuple[bytes, ...]) -> None:
        """Write a row group."""
        self._file.write([msgspec.json.decode(data) for data in batch])

    def close(self) -> None:
        """Write the footer."""
        self._file.close()


def _csv_lines(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: str | int | bool) -> str:  # noqa: FBT001 - a cell, not a switch
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    shown = value if value.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in value)
    return f"'{shown}" if shown[:1] in {"=", "+", "-", "@"} else shown
