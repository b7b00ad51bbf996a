"""What `audit verify` looks at besides the streams: the store's own tables, single values, and who the references are.

Rules:
1. The tables, indexes, views and triggers are those of a new store; whatever else is there may make readers see another log.
2. A reference is its value's under the salt beside it: another name cannot be put under a record.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from llmcp.core.ledger import Damage, Kind
from llmcp.stores.sqlite import schema as sqlite_schema
from llmcp.stores.sqlite.facets import COLUMNS, key_of
from llmcp.stores.sqlite.persons import is_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

_OBJECTS: Final = "SELECT type, name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name"
_VALUES: Final = "SELECT typeof(value) FROM meta WHERE name = 'change'"
_FACETS: Final = f"SELECT id, key, {', '.join(f'[{name}]' for name in COLUMNS)} FROM facets"  # noqa: S608 - names of columns
_PERSONS: Final = "SELECT CAST(ref AS BLOB), CAST(value AS BLOB), CAST(salt AS BLOB) FROM persons"


def beside(connection: sqlite3.Connection) -> Iterator[Damage]:
    """Yield what is wrong. In a read transaction."""
    wrong = list(_schema(connection))
    yield from wrong
    if any(damage.words.startswith("the table") for damage in wrong):
        return  # what is in tables that are not ours says nothing
    if connection.execute(_VALUES).fetchone() != ("integer",):
        yield Damage(
            Kind.SCHEMA_ALTERED, "", "the number of changes (`change` in `meta`) is gone or no number: changes are not noticed"
        )
    for number, key, *values in connection.execute(_FACETS):
        if key != key_of(values):
            yield Damage(Kind.COLUMN_ALTERED, "decision", f"facet {str(number)[:32]} does not have the key of what it says")
    for ref, value, salt in connection.execute(_PERSONS):
        if not is_reference(ref or b"", value or b"", salt or b""):
            name = (ref or b"").decode("utf-8", "replace")
            yield Damage(Kind.PERSON_ALTERED, "", f"`{name[:64]}` is not the reference of the name beside it")


def _schema(connection: sqlite3.Connection) -> Iterator[Damage]:
    found = {(kind, name): sql for kind, name, sql in connection.execute(_OBJECTS)}
    expected = _expected()
    for kind, name in sorted(found.keys() | expected.keys(), key=str):
        here = found.get((kind, name))
        if here is None:
            yield Damage(Kind.SCHEMA_ALTERED, "", f"the {kind} `{name}` is gone")
        elif (kind, name) not in expected:
            if not str(name).startswith("sqlite_"):  # SQLite's own, as what `ANALYZE` leaves
                yield Damage(Kind.SCHEMA_ALTERED, "", f"the {kind} `{name}` is not llmcp's")
        elif _plain(here) != _plain(expected[kind, name]):
            yield Damage(Kind.SCHEMA_ALTERED, "", f"the {kind} `{name}` was made otherwise than llmcp makes it")


def _expected() -> dict[tuple[str, str], str]:
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in sqlite_schema.SNAPSHOT:
            connection.execute(statement)
        return {(kind, name): sql for kind, name, sql in connection.execute(_OBJECTS)}


def _plain(sql: str) -> str:
    return "".join(sql.split()).replace('"', "")
