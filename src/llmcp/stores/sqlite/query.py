"""Which decision records a filter lets pass, and in which order they are looked up.

Rules:
1. No plan reads the records one by one: a decision is found by its id, a session by its own index, everything else by its facets
   (`facets_match`) within the bounds of its time (`spans`), newest or oldest first (`seek`).
2. The answer is exactly what `RecordFilter.matches` says of the records as they are shown.
3. A page is found in one state of the store; a record that is pruned before it is read is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

from llmcp.core.record_filter import is_covered
from llmcp.core.records import Stream
from llmcp.stores.sqlite.facets_match import matching_facets, narrows
from llmcp.stores.sqlite.seek import walk
from llmcp.stores.sqlite.spans import BLOCK_BITS, LAST_SEQ, bounds_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from llmcp.core.record_filter import RecordFilter


@dataclass(frozen=True, slots=True)
class Found:
    """The `seq` of the rows of a page, oldest first, and where the next page begins (-1: nowhere)."""

    seqs: list[int]
    next_seq: int


def find_page(connection: sqlite3.Connection, wanted: RecordFilter) -> Found:
    """Return the page that `wanted` asks for; without a limit, all of it."""
    newest_first = wanted.after_seq < 0 and wanted.limit > 0
    rows = find(connection, wanted, newest_first=newest_first)
    seqs = list(islice(rows, wanted.limit + 1) if wanted.limit else rows)
    more = bool(wanted.limit) and len(seqs) > wanted.limit
    seqs = seqs[: wanted.limit] if more else seqs
    next_seq = seqs[-1] if more else -1
    return Found(seqs[::-1] if newest_first else seqs, next_seq)


def find(connection: sqlite3.Connection, wanted: RecordFilter, *, newest_first: bool) -> Iterator[int]:
    """Yield the `seq` of the rows that `wanted` lets pass, whatever its limit, in one order or the other."""
    if wanted.stream not in {"", Stream.DECISION} or wanted.actor or wanted.target:
        return
    low, high = _bounds(connection, wanted)
    if low > high:
        return
    facets = matching_facets(connection, wanted) if narrows(wanted) else None
    if facets is not None and not facets:
        return
    if wanted.decision_id:
        candidates = _of_decision(connection, wanted.decision_id, low, high)
    elif wanted.session:
        candidates = _of_session(connection, wanted.session, low, high, newest_first=newest_first)
    else:
        candidates = walk(connection, facets, low, high, newest_first=newest_first)
        if not (wanted.since or wanted.until or wanted.action):
            yield from candidates
            return
        facets = None
    yield from _checked(connection, wanted, candidates, None if facets is None else frozenset(facets))


def read(connection: sqlite3.Connection, seqs: Iterable[int]) -> Iterator[bytes]:
    """Yield the stored bytes of rows, without those that are gone."""
    for seq in seqs:
        row = connection.execute("SELECT record FROM records WHERE seq = ?", (seq,)).fetchone()
        if row is not None:
            yield row[0]


def _bounds(connection: sqlite3.Connection, wanted: RecordFilter) -> tuple[int, int]:
    low, high = bounds_of(connection, wanted.since, wanted.until)
    return max(low, wanted.after_seq + 1), min(high, wanted.before_seq - 1 if wanted.before_seq else LAST_SEQ)


def _of_decision(connection: sqlite3.Connection, decision_id: str, low: int, high: int) -> Iterator[int]:
    sql = "SELECT seq FROM records WHERE id = ? AND +seq BETWEEN ? AND ?"
    yield from (seq for (seq,) in connection.execute(sql, (decision_id, low, high)).fetchall())


def _of_session(connection: sqlite3.Connection, session: str, low: int, high: int, *, newest_first: bool) -> Iterator[int]:
    order = "DESC" if newest_first else "ASC"
    sql = f"SELECT seq FROM record_sessions WHERE block = ? AND session = ? AND seq BETWEEN ? AND ? ORDER BY seq {order}"  # noqa: S608 - see above
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()
    blocks = range(low >> BLOCK_BITS, (min(high, last) >> BLOCK_BITS) + 1)
    for block in reversed(blocks) if newest_first else blocks:
        yield from (seq for (seq,) in connection.execute(sql, (block, session, low, high)))


def _checked(
    connection: sqlite3.Connection, wanted: RecordFilter, candidates: Iterable[int], facets: frozenset[int] | None
) -> Iterator[int]:
    """Yield the candidates whose own time, facet (None: any), session and action fit."""
    inside = bool(wanted.action or (wanted.decision_id and wanted.session))
    sql = f"SELECT time, facet, {'record' if inside else 'NULL'} FROM records WHERE seq = ?"  # noqa: S608 - see above
    for seq in candidates:
        row = connection.execute(sql, (seq,)).fetchone()
        if row is None:
            continue
        time, facet, record = row
        if time < wanted.since or (wanted.until and time >= wanted.until):
            continue
        if (facets is None or facet in facets) and (not inside or _says(wanted, record)):
            yield seq


class _Said(msgspec.Struct, gc=False):
    action: str = ""
    session: str = ""


_DECODER: Final = msgspec.json.Decoder(_Said)


def _says(wanted: RecordFilter, record: bytes) -> bool:
    said = _DECODER.decode(record)
    return (not wanted.action or is_covered(wanted.action, said.action)) and wanted.session in {"", said.session}
