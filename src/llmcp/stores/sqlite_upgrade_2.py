"""From schema 1 to 2: the records move into the new tables, and get their facets, their usage and their leaves.

Rules:
1. The canonical bytes of a record stay as they are, and are its leaf; only its facet names persons by reference.
2. One record after the other: memory does not grow with the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmcp.core.records import parse
from llmcp.stores.sqlite_append import write_settled
from llmcp.stores.sqlite_facets import FacetCache
from llmcp.stores.sqlite_person_cache import PersonCache

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

_AT_ONCE: Final = 512


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
    facets, persons = FacetCache(), PersonCache()
    rows = connection.execute("SELECT seq, record FROM records_of_1 ORDER BY seq")
    while batch := rows.fetchmany(_AT_ONCE):
        records = [parse(data) for _, data in batch]
        write_settled(connection, facets, batch[0][0], persons.concealed(connection, records), [data for _, data in batch])
