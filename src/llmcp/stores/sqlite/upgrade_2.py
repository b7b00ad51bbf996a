"""From schema 1 to 2: the records move into the new tables, and get their facets, their usage and their leaves.

Rules:
1. The canonical bytes of a record stay as they are, and are its leaf; only its facet names persons by reference. A record that came
   down from schema 2 has references already.
2. One batch after the other: memory does not grow with the store.
3. A row that somebody altered or took away stops nothing: it goes over as it is, without facts; the tree tells of gaps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmcp.core.records import DecisionRecord, parse
from llmcp.stores.sqlite.append import write_settled
from llmcp.stores.sqlite.facets import FacetCache
from llmcp.stores.sqlite.person_cache import PersonCache
from llmcp.stores.sqlite.usage_rollup import hour_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

type _Row = tuple[int, str, str, bytes]

_AT_ONCE: Final = 512
_LONG_AGO: Final = "1970-01-01T00:00:00.000000Z"


def upgrade(connection: sqlite3.Connection, tables: Sequence[str]) -> None:
    """Create `tables` and fill them from the old ones, which are gone afterwards. In the caller's transaction."""
    connection.execute("ALTER TABLE records RENAME TO records_of_1")
    old = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'records_of_1' AND sql <> ''")
    for (index,) in old.fetchall():
        connection.execute(f'DROP INDEX "{index}"')
    for statement in tables:
        connection.execute(statement)
    _fill(connection)
    connection.execute("DROP TABLE records_of_1")
    connection.execute("DROP TABLE record_rules")


def _fill(connection: sqlite3.Connection) -> None:
    facets, persons = FacetCache(), PersonCache(again=True)
    rows = connection.execute("SELECT seq, id, time, CAST(record AS BLOB) FROM records_of_1 ORDER BY seq")
    while batch := rows.fetchmany(_AT_ONCE):
        for run in _runs(batch):
            records = persons.concealed(connection, [_read(*row) for row in run])
            write_settled(connection, facets, run[0][0], records, [data for *_, data in run])


def _runs(rows: list[_Row]) -> Iterator[list[_Row]]:
    """Cut rows where a `seq` is missing."""
    start = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or rows[end][0] != rows[end - 1][0] + 1:
            yield rows[start:end]
            start = end


def _read(seq: int, name: str, time: str, data: bytes) -> DecisionRecord:
    try:
        record = parse(data)
        hour_of(time[:13])
    except ValueError:
        return DecisionRecord(id=name, time=_LONG_AGO, seq=seq)
    record.id, record.time = name, time
    return record
