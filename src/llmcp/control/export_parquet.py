"""Records as a Parquet file with typed columns, a row group at a time.

Rules:
1. Integers are int64, the time is timestamp[us, UTC], lists are lists, maps are maps; nothing is null.
2. A column's name is the flat row's where it has one; the decision stream and the control stream have a schema each.
3. Memory holds one row group of records, however many there are.
4. `pyarrow` is the extra `parquet`; without it there is an error that says so, before anything is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Final

from llmcp.control.export_parts import at, moment
from llmcp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmcp.control.export_parts import Record

ROW_GROUP: Final = 10_000

_TEXT: Final = "text"
_INT: Final = "int"
_BOOL: Final = "bool"
_TEXTS: Final = "texts"
_MAP: Final = "map"
_RULES: Final = "effect id mode policy"


def _columns(kind: str, names: str, prefix: str = "", path: tuple[str, ...] = ()) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(prefix + name, kind, (*path, name)) for name in names.split()]


# (column, type, path in the record); a type with blanks names the texts of a list of objects, `:int` and `:bool` other types.
_DECISION: Final = (
    *_columns(_INT, "seq"),
    ("time", "time", ("time",)),
    *_columns(_TEXT, "id decision_id org app user"),
    *_columns(_TEXTS, "groups"),
    *_columns(_TEXT, "key_id agent session action operation outcome"),
    *_columns(_TEXT, "provider request_model response_model", path=("gen_ai",)),
    *_columns(_INT, "input_tokens output_tokens cached_tokens cache_write_tokens reasoning_tokens", path=("gen_ai",)),
    *_columns(_TEXT, "usage_source", path=("gen_ai",)),
    *_columns(_BOOL, "streamed", path=("gen_ai",)),
    *_columns(_TEXTS, "finish_reasons tools", path=("gen_ai",)),
    *_columns(_INT, "cost_microusd"),
    *_columns(_TEXT, "price_source"),
    *_columns(_INT, "status attempts", path=("upstream",)),
    *_columns(_INT, "latency_ms overhead_us"),
    *_columns(_TEXT, "error_type revision"),
    *_columns(_RULES, "rules"),
    *_columns(_TEXT, "verdict", "would_be_", ("would_be",)),
    *_columns(_RULES, "rules", "would_be_", ("would_be",)),
    *_columns(_TEXTS, "warnings"),
    *_columns("acted:bool id policy why", "faults"),
    *_columns("field new old", "edits"),
    *_columns("action count:int kind", "findings"),
    *_columns(_MAP, "flags labels"),
    *_columns(_TEXT, "client_ip client_user_agent temperature", path=("facts",)),
    *_columns(_BOOL, "stream has_max_tokens", "facts_", ("facts",)),
    *_columns(_INT, "estimated_microusd input_tokens max_tokens text_bytes turns", "facts_", ("facts",)),
    *_columns(_TEXTS, "tools", "facts_", ("facts",)),
    *_columns(_TEXT, "request response", "bodies_", ("bodies",)),
    *_columns(_INT, "bytes", "request_", ("inspection", "request")),
    *_columns(_BOOL, "scanned", "request_", ("inspection", "request")),
    *_columns("what why", "skipped", "request_", ("inspection", "request")),
    *_columns(_INT, "bytes", "response_", ("inspection", "response")),
    *_columns(_BOOL, "scanned", "response_", ("inspection", "response")),
    *_columns("what why", "skipped", "response_", ("inspection", "response")),
    *_columns(_INT, "v"),
)
_CONTROL: Final = (
    *_columns(_INT, "seq"),
    ("time", "time", ("time",)),
    *_columns(_TEXT, "id org action actor target user outcome"),
    *_columns(_MAP, "detail"),
    *_columns(_INT, "v"),
)


class ParquetExport:
    """Writes row groups into `sink`, which need not seek. Raises: UsageError where `pyarrow` is missing."""

    def __init__(self, sink: BinaryIO, stream: str) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra, and 300 ms
            import pyarrow.parquet as pq  # noqa: PLC0415
        except ImportError:
            raise UsageError(
                "Parquet needs a library that is not installed",
                why="`pyarrow` is an optional part of llmcp",
                fix="install `llmcp[parquet]`, or choose `--format jsonl`",
                code="missing-extra",
            ) from None
        self._pa = pa
        self._columns = _CONTROL if stream == "control" else _DECISION
        self._schema = pa.schema([pa.field(name, _type(pa, kind), nullable=False) for name, kind, _ in self._columns])
        self._writer = pq.ParquetWriter(sink, self._schema, compression="zstd")

    def write(self, records: Sequence[Record]) -> None:
        """Write one row group."""
        arrays = [
            self._pa.array(_column(records, kind, path), field.type)
            for (_, kind, path), field in zip(self._columns, self._schema, strict=True)
        ]
        self._writer.write_batch(self._pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


def _type(pa: Any, kind: str) -> Any:  # noqa: ANN401 - the library has no types
    simple: dict[str, Callable[[], Any]] = {
        _TEXT: pa.string,
        _INT: pa.int64,
        _BOOL: pa.bool_,
        _TEXTS: lambda: pa.list_(pa.string()),
        _MAP: lambda: pa.map_(pa.string(), pa.string()),
        "time": lambda: pa.timestamp("us", tz="UTC"),
    }
    if kind in simple:
        return simple[kind]()
    parts = [part.partition(":") for part in kind.split()]
    return pa.list_(pa.struct([pa.field(name, simple[of or _TEXT](), nullable=False) for name, _, of in parts]))


_NEUTRAL: Final[dict[str, tuple[type, Any]]] = {_TEXT: (str, ""), _INT: (int, 0), _BOOL: (bool, False)}


def _column(records: Sequence[Record], kind: str, path: tuple[str, ...]) -> list[Any]:
    """Return one column's values, each of the column's type whatever an older record says."""
    if kind == "time":
        return [moment(record) for record in records]
    (*outer, name) = path
    holders = [at(record, *outer) for record in records] if outer else records
    found = [holder.get(name) if isinstance(holder, dict) else None for holder in holders]
    if kind in _NEUTRAL:
        expected, neutral = _NEUTRAL[kind]
        return [value if type(value) is expected else neutral for value in found]
    if kind == _MAP:
        return [[(key, _fit(item, _TEXT)) for key, item in value.items()] if isinstance(value, dict) else [] for value in found]
    if kind == _TEXTS:
        return [[_fit(item, _TEXT) for item in value] if isinstance(value, list) else [] for value in found]
    parts = [(name, of or _TEXT) for name, _, of in (part.partition(":") for part in kind.split())]
    return [_structs(value, parts) if value and isinstance(value, list) else [] for value in found]


def _structs(items: list[Any], parts: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{name: _fit(item.get(name), kind) for name, kind in parts} for item in items if isinstance(item, dict)]


def _fit(value: Any, kind: str) -> Any:  # noqa: ANN401 - a column's value
    expected, neutral = _NEUTRAL[kind]
    return value if type(value) is expected else neutral
