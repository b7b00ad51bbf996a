"""Statements of many rows: how everything that comes in batches is written and looked up.

Every step of the database gives up the interpreter's lock, and getting it back from a busy event loop costs more than writing the
row. Numbers of rows are powers of two, so that few statements serve every batch and stay prepared.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

_MOST_ROWS: Final = 256


def write_rows(connection: sqlite3.Connection, head: str, columns: int, values: Sequence[Any], tail: str = "") -> None:
    """Run `head VALUES (…),(…) tail` over rows of `columns` values, all given in one flat sequence."""
    for start, end in _cuts(len(values) // columns):
        connection.execute(_sql(head, columns, end - start, tail), values[start * columns : end * columns])


def find_rows(connection: sqlite3.Connection, head: str, columns: int, values: Sequence[Any], tail: str = "") -> Iterator[Any]:
    """Yield what `head VALUES (…),(…) tail` finds; as `write_rows`."""
    for start, end in _cuts(len(values) // columns):
        yield from connection.execute(_sql(head, columns, end - start, tail), values[start * columns : end * columns]).fetchall()


def _cuts(rows: int) -> Iterator[tuple[int, int]]:
    start = 0
    while left := rows - start:
        size = min(_MOST_ROWS, 1 << (left.bit_length() - 1))
        yield start, start + size
        start += size


@cache
def _sql(head: str, columns: int, rows: int, tail: str) -> str:
    row = f"({','.join('?' * columns)})"
    return f"{head} VALUES {','.join([row] * rows)}{tail}"
