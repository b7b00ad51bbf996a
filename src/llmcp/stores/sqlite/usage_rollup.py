"""Usage by hour and facet, kept up with the records in their own transaction: always equal to their sum.

A cell stops at the largest integer of a record: beyond it a provider that reports nonsense would turn sums into floats.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from llmcp.core.records import MAX_SAFE_INTEGER
from llmcp.stores.sqlite.many import write_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from llmcp.core.records import DecisionRecord

COUNTED: Final = (
    "requests", "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "cost_microusd",
)  # fmt: skip
"""What is summed, in the order of the table (after `hour` and `facet`)."""

_UPSERT: Final = " ON CONFLICT DO UPDATE SET " + ", ".join(
    f"{name} = min({name} + excluded.{name}, {MAX_SAFE_INTEGER})" for name in COUNTED
)


def add_usage(connection: sqlite3.Connection, records: Sequence[DecisionRecord], facets: Sequence[int]) -> None:
    """Add the records to the rollup. In the caller's transaction."""
    cells: dict[tuple[int, int], list[int]] = {}
    for record, facet in zip(records, facets, strict=True):
        gen_ai = record.gen_ai
        key = (hour_of(record.time[:13]), facet)
        cell = cells.get(key)
        if cell is None:
            cells[key] = cell = [0, 0, 0, 0, 0, 0, 0]
        cell[0] += 1
        cell[1] += gen_ai.input_tokens
        cell[2] += gen_ai.output_tokens
        cell[3] += gen_ai.cached_tokens
        cell[4] += gen_ai.cache_write_tokens
        cell[5] += gen_ai.reasoning_tokens
        cell[6] += record.cost_microusd
    values: list[int] = []
    for key, cell in cells.items():
        values += key
        values += cell if max(cell) <= MAX_SAFE_INTEGER else [min(number, MAX_SAFE_INTEGER) for number in cell]
    write_rows(connection, "INSERT INTO usage", 2 + len(COUNTED), values, _UPSERT)


@lru_cache(maxsize=64)
def hour_of(text: str) -> int:
    """Return the hours since 1970 of a time that is cut after its hour (`2026-01-31T12`). Raises: ValueError."""
    return int(datetime.fromisoformat(f"{text}:00:00Z").timestamp()) // 3600
