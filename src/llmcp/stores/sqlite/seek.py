"""Walking the rows of some facets in the order of `seq`, without looking at the rows of others.

Rules:
1. Each facet's rows are found in the index of facets, newest or oldest first; the walks are merged through a heap. What is not
   taken is not read: a facet costs one look, and then as many more as it has rows on the page.
2. Many facets: first a stretch of rows is read in order, because what is common is found there at once; only then is each facet
   looked up.
"""

from __future__ import annotations

from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

FEW_FACETS: Final = 256
STRETCH: Final = 4096
_CHUNK: Final = 256

_HEADS: Final = """SELECT f.value, (SELECT seq FROM records INDEXED BY idx_records_facet
 WHERE facet = f.value AND seq BETWEEN ? AND ? ORDER BY seq {} LIMIT 1) FROM json_each(?) f"""
_MORE: Final = (
    "SELECT seq FROM records INDEXED BY idx_records_facet WHERE facet = ? AND seq BETWEEN ? AND ? ORDER BY seq {} LIMIT ?"
)
_ROWS: Final = "SELECT seq, facet FROM records WHERE seq BETWEEN ? AND ? ORDER BY seq {} LIMIT ?"
_EVERY: Final = "SELECT seq FROM records WHERE seq BETWEEN ? AND ? ORDER BY seq {}"


def walk(
    connection: sqlite3.Connection, facets: Sequence[int] | None, low: int, high: int, *, newest_first: bool
) -> Iterator[int]:
    """Yield the `seq` of the rows of `facets` (None: of all) from `low` to `high`, both included, in one order or the other."""
    order = "DESC" if newest_first else "ASC"
    if facets is None:
        for (seq,) in connection.execute(_EVERY.format(order), (low, high)):
            yield seq
        return
    if len(facets) > FEW_FACETS:
        known = frozenset(facets)
        stretch = connection.execute(_ROWS.format(order), (low, high, STRETCH)).fetchall()
        yield from (seq for seq, facet in stretch if facet in known)
        if len(stretch) < STRETCH:
            return
        low, high = (low, stretch[-1][0] - 1) if newest_first else (stretch[-1][0] + 1, high)
    yield from _merged(connection, facets, low, high, order)


def _merged(connection: sqlite3.Connection, facets: Sequence[int], low: int, high: int, order: str) -> Iterator[int]:
    sign = -1 if order == "DESC" else 1
    heads = connection.execute(_HEADS.format(order), (low, high, f"[{','.join(map(str, facets))}]"))
    heap: list[tuple[int, int, Iterator[int]]] = [(sign * seq, facet, iter(())) for facet, seq in heads if seq is not None]
    heapify(heap)
    grown: dict[int, int] = {}
    while heap:
        at, facet, rest = heap[0]
        yield sign * at
        seq = next(rest, None)
        if seq is None:
            grown[facet] = size = min(grown.get(facet, 1) * 4, _CHUNK)
            bounds = (low, sign * at - 1) if sign < 0 else (at + 1, high)
            rest = iter([row[0] for row in connection.execute(_MORE.format(order), (facet, *bounds, size))])
            seq = next(rest, None)
        if seq is None:
            heappop(heap)
        else:
            heapreplace(heap, (sign * seq, facet, rest))
