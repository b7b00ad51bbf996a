r"""Facets: one row for every combination of what queries filter by and usage groups by; a record points at its own.

Rules:
1. Rules, finding kinds and labels are sorted lines, each with a newline on both sides: `\npolicy/rule\n`, `\nkind\n`,
   `\nname=value\n`. Would-be rules stand among the rules.
2. A facet never changes and names persons by reference only.
3. `key` is SHA-256 of the row's own JSON: two processes that meet the same combination find the same row.
4. The cache is bounded, and holds only what is committed or part of the transaction under way (`forget`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmcp.stores.sqlite.many import find_rows, write_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Hashable, Iterable, Sequence

    from llmcp.core.records import DecisionRecord

COLUMNS: Final = (
    "org", "app", "user", "key_id", "provider", "operation", "request_model", "response_model", "outcome", "rules", "kinds", "labels",
)  # fmt: skip
"""What a facet says, in the order of the table (after `id` and `key`)."""

_MOST: Final = 20_000


class FacetCache:
    """Numbers of facets that were met before."""

    def __init__(self) -> None:
        self._ids: dict[Hashable, int] = {}

    def forget(self) -> None:
        """Know nothing any more."""
        self._ids.clear()

    def numbers(self, connection: sqlite3.Connection, records: Sequence[DecisionRecord]) -> list[int]:
        """Return the facet of each record, made if need be. In the caller's transaction. The records name no person."""
        ids = self._ids
        if len(ids) > _MOST:
            ids.clear()
        keys = [_short_key(record) for record in records]
        found = [ids.get(key) for key in keys]
        if None in found:
            missing = {keys[index]: records[index] for index, known in enumerate(found) if known is None}
            ids.update(zip(missing, _numbers(connection, [row(record) for record in missing.values()]), strict=True))
        return [known or ids[key] for key, known in zip(keys, found, strict=True)]


def row(record: DecisionRecord) -> tuple[str, ...]:
    """Return what a record's facet says: `COLUMNS`."""
    gen_ai = record.gen_ai
    return (
        record.org,
        record.app,
        record.user,
        record.key_id,
        gen_ai.provider,
        record.operation,
        gen_ai.request_model,
        gen_ai.response_model,
        record.outcome,
        _lines(f"{rule.policy}/{rule.id}" for rule in (*record.rules, *record.would_be.rules)),
        _lines(finding.kind for finding in record.findings),
        _lines(f"{name}={value}" for name, value in record.labels.items()),
    )


def _short_key(record: DecisionRecord) -> tuple[Any, ...]:
    """Return what tells facets apart without wording them; several of these may mean one facet."""
    gen_ai = record.gen_ai
    return (
        record.org,
        record.user,
        record.key_id,
        record.app,
        gen_ai.request_model,
        gen_ai.response_model,
        record.outcome,
        record.operation,
        gen_ai.provider,
        record.rules,
        record.would_be.rules,
        tuple([finding.kind for finding in record.findings]) if record.findings else (),
        tuple(record.labels.items()) if record.labels else (),
    )


def _numbers(connection: sqlite3.Connection, rows: Sequence[tuple[str, ...]]) -> list[int]:
    keys = [key_of(values) for values in rows]
    ids: dict[bytes, int] = dict(
        find_rows(connection, "SELECT key, id FROM facets WHERE key IN (", 1, list(dict.fromkeys(keys)), ")")
    )
    new: list[Any] = []
    last = 0
    for key, values in zip(keys, rows, strict=True):
        if key not in ids:
            last = last or _last(connection)
            ids[key] = last = last + 1
            new += (last, key, *values)
    write_rows(connection, "INSERT INTO facets", 2 + len(COLUMNS), new)
    return [ids[key] for key in keys]


def key_of(values: Sequence[Any]) -> bytes:
    """Return the key of a facet that says these."""
    return hashlib.sha256(msgspec.json.encode(tuple(values))).digest()


def _last(connection: sqlite3.Connection) -> int:
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM facets").fetchone()
    return int(last)


def _lines(names: Iterable[str]) -> str:
    # A newline inside a name would be a second name.
    found = sorted({name.replace("\n", " ") for name in names})
    return f"\n{'\n'.join(found)}\n" if found else ""
