"""Where in the order of `seq` a span of time or a session lies, kept by the writer beside the rows.

Rules:
1. Records lie nearly, not exactly, in the order of their times. What is told here is never too narrow: every row of the time
   asked for lies within the bounds; a reader still looks at each row's own time.
   The first and last row of each ten minutes say where they are.
2. Asking costs the slots of the time asked for (52,000 a year) and the rows of the two slots at its ends, not the rows between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmcp.stores.sqlite.many import write_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from llmcp.core.records import DecisionRecord

SLOT_CHARS: Final = len("2026-01-31T12:3")
LAST_SEQ: Final = (1 << 63) - 1
BLOCK_BITS: Final = 16
"""Sessions are kept apart by blocks of so many rows: a batch then touches the pages of the newest block, not one a record."""

_FEW_ROWS: Final = 256

_NOTE: Final = """INSERT INTO record_spans VALUES (?, ?, ?)
 ON CONFLICT (slot) DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)"""
_EDGE: Final = (
    "SELECT {}(+seq) FROM records INDEXED BY idx_records_time WHERE time >= ? AND time < ?"  # `+`: not by walking the rows
)


def note_spans(connection: sqlite3.Connection, first: int, times: Iterable[str]) -> None:
    """Keep up with new rows, whose times these are; `first` is the `seq` of the first. In the caller's transaction."""
    slots = [time[:SLOT_CHARS] for time in times]
    lasts = {slot: seq for seq, slot in enumerate(slots, first)}
    for slot, last in lasts.items():
        connection.execute(_NOTE, (slot, first + slots.index(slot), last))


def note_sessions(connection: sqlite3.Connection, first: int, records: Iterable[DecisionRecord]) -> None:
    """Keep up with new rows of agents' sessions; as `note_spans`."""
    values: list[str | int] = []
    for seq, record in enumerate(records, first):
        if record.session:
            values += (seq >> BLOCK_BITS, record.session, seq)
    if values:
        write_rows(connection, "INSERT INTO record_sessions", 3, values)


def forget_spans(connection: sqlite3.Connection, size: int) -> None:
    """Forget where rows up to `size` lie, which are being pruned: also what the sessions of theirs were called."""
    connection.execute("DELETE FROM record_sessions WHERE block <= ? AND seq <= ?", (size >> BLOCK_BITS, size))
    connection.execute("DELETE FROM record_spans WHERE last <= ?", (size,))


def bounds_of(connection: sqlite3.Connection, since: str, until: str) -> tuple[int, int]:
    """Return the first and last `seq` between which all rows of the time lie; the first is the greater where there are none."""
    return _first(connection, since) if since else 0, _last(connection, until) if until else LAST_SEQ


def _first(connection: sqlite3.Connection, since: str) -> int:
    slot = since[:SLOT_CHARS]
    (beyond,) = connection.execute("SELECT min(first) FROM record_spans WHERE slot > ?", (slot,)).fetchone()
    edge = connection.execute("SELECT first, last FROM record_spans WHERE slot = ?", (slot,)).fetchone()
    found = None if edge is None else edge[0]
    if edge is not None and edge[1] - edge[0] > _FEW_ROWS:
        (found,) = connection.execute(_EDGE.format("min"), (since, slot + "~")).fetchone()
    return min((seq for seq in (beyond, found) if seq is not None), default=LAST_SEQ)


def _last(connection: sqlite3.Connection, until: str) -> int:
    slot = until[:SLOT_CHARS]
    (before,) = connection.execute("SELECT max(last) FROM record_spans WHERE slot < ?", (slot,)).fetchone()
    edge = connection.execute("SELECT first, last FROM record_spans WHERE slot = ?", (slot,)).fetchone()
    found = None if edge is None else edge[1]
    if edge is not None and edge[1] - edge[0] > _FEW_ROWS:
        (found,) = connection.execute(_EDGE.format("max"), (slot, until)).fetchone()
    return max((seq for seq in (before, found) if seq is not None), default=-1)
