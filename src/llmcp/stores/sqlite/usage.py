"""Answering `usage` from the rollup: whole hours from their sums, the hours at the bounds from their records.

Rules:
1. The rows are exactly the sums of the records between the bounds, whatever the bounds.
2. Where records of an hour at a bound are gone (`audit prune`), that hour is taken whole and the answer says so; the rollup still
   knows the hour.
3. One answer is of one state of the store.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmcp.core.records import timestamp
from llmcp.core.usage import MEASURES, Facet, UsageAnswer, UsageSums
from llmcp.stores.sqlite.facets_match import lines_of, matching_facets, narrows
from llmcp.stores.sqlite.file import connect, prepare, translated
from llmcp.stores.sqlite.persons import reveal
from llmcp.stores.sqlite.usage_rollup import hour_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llmcp.core.usage import UsageQuery, UsageRow

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SPANS: Final = {0: "", 13: "hour, ", 10: "hour / 24, ", 7: "hour / 24, "}
_SUMS: Final = ", ".join(f"sum({name})" for name in MEASURES)
_HOURS: Final = ", ".join(f"sum({name}) AS {name}" for name in MEASURES)
_FACETS: Final = (
    "SELECT id, org, app, [user], key_id, provider, operation, request_model, response_model, outcome, labels FROM facets"
)
_EDGE: Final = (
    "SELECT number, record FROM records INDEXED BY idx_records_time CROSS JOIN grouped USING (facet) WHERE time >= ? AND time < ?"
)
_HELD: Final = "SELECT count(*) FROM records INDEXED BY idx_records_time WHERE time >= ? AND time < ?"


class _Tokens(msgspec.Struct, gc=False):
    cache_write_tokens: int = 0
    cached_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


class _Used(msgspec.Struct, gc=False):
    gen_ai: _Tokens
    cost_microusd: int = 0


_DECODER: Final = msgspec.json.Decoder(_Used)


class SqliteUsage:
    """A `UsageLog` in one file. Opening creates or migrates it; errors are those of `file.prepare`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        prepare(path)

    def rows(self, query: UsageQuery) -> Iterator[UsageRow]:
        """Yield the rows of `answer`."""
        yield from self.answer(query).rows

    def answer(self, query: UsageQuery) -> UsageAnswer:
        """Return the rows of `query` and the bounds they really have."""
        with translated(self._path), closing(connect(self._path, read_only=True)) as connection:
            connection.execute("BEGIN")
            return _Answering(connection, query).answer()


class _Answering:
    """One question to one state of the store."""

    def __init__(self, connection: sqlite3.Connection, query: UsageQuery) -> None:
        self._connection = connection
        self._query = query
        self._sums = UsageSums(query.by)
        self._groups: list[tuple[str, ...]] = []
        self._group()
        self.rounded = False

    def answer(self) -> UsageAnswer:
        wanted = self._query.wanted
        since, until = wanted.since, wanted.until
        if until and since >= until:
            return UsageAnswer((), since, until)
        since, first = self._begin(since)
        until, end = self._end(until)
        if first is not None and end is not None and first > end:
            # Both bounds lie in one hour, and none of it is whole.
            self._add_records(since, until)
        else:
            if since and first is not None and since < _moment(first):
                self._add_records(since, _moment(first))
            self._add_hours(first, end)
            if until and end is not None and _moment(end) < until:
                self._add_records(_moment(end), until)
        return UsageAnswer(self._sums.rows(), since, until, self.rounded)

    def _begin(self, since: str) -> tuple[str, int | None]:
        """Return the bound, moved back where records are gone, and the first whole hour after it."""
        if not since:
            return "", None
        hour = hour_of(since[:13])
        if since == _moment(hour):
            return since, hour
        if self._incomplete(hour):
            return _moment(hour), hour
        return since, hour + 1

    def _end(self, until: str) -> tuple[str, int | None]:
        """Return the bound, moved on where records are gone, and the hour before which all are whole."""
        if not until:
            return "", None
        hour = hour_of(until[:13])
        if until == _moment(hour):
            return until, hour
        if self._incomplete(hour):
            return _moment(hour + 1), hour + 1
        return until, hour

    def _incomplete(self, hour: int) -> bool:
        """Tell whether records of an hour are gone."""
        (used,) = self._connection.execute("SELECT coalesce(sum(requests), 0) FROM usage WHERE hour = ?", (hour,)).fetchone()
        (held,) = self._connection.execute(_HELD, (_moment(hour), _moment(hour + 1))).fetchone()
        gone = bool(used > held)
        self.rounded = self.rounded or gone
        return gone

    def _group(self) -> None:
        """Number the rows that there can be, times left out, and tell SQLite which facets belong to which."""
        wanted, numbers = self._query.wanted, dict[tuple[str, ...], int]()
        passing = frozenset(matching_facets(self._connection, wanted)) if narrows(wanted) else None
        rows = [row for row in self._connection.execute(_FACETS) if passing is None or row[0] in passing]
        names: dict[str, str] = {}
        if "user" in self._query.by:
            names = reveal(self._connection, {row[3] for row in rows if row[3]})
        self._connection.execute("PRAGMA temp_store = MEMORY")
        self._connection.execute(
            "CREATE TEMP TABLE grouped (facet INTEGER, number INTEGER, PRIMARY KEY (facet, number)) WITHOUT ROWID"
        )
        self._connection.executemany(
            "INSERT INTO grouped VALUES (?, ?)",
            (
                (row[0], numbers.setdefault(keys, len(numbers)))
                for row in rows
                for keys in set(self._sums.names(_facet(row[1:], names.get)))
            ),
        )
        self._groups = list(numbers)

    def _add_hours(self, first: int | None, end: int | None) -> None:
        where = " AND ".join(condition for condition, asked in (("hour >= ?", first), ("hour < ?", end)) if asked is not None)
        bounds = [bound for bound in (first, end) if bound is not None]
        span = _SPANS[self._sums.span]
        # By hour first: so the rows lie in the table, and sorting an hour is much cheaper than sorting all.
        hours = f"SELECT number, hour, {_HOURS} FROM usage CROSS JOIN grouped USING (facet) WHERE {where or '1'} GROUP BY hour, number"  # noqa: S608 - of constants
        sql = f"SELECT number, min(hour), {_SUMS} FROM ({hours}) GROUP BY {span}number"  # noqa: S608 - of constants
        for number, hour, *sums in self._connection.execute(sql, bounds):
            self._sums.add(self._groups[number], _moment(hour), sums)

    def _add_records(self, since: str, until: str) -> None:
        for number, record in self._connection.execute(_EDGE, (since, until)):
            self._sums.add(self._groups[number], since, _used(record))


def _facet(row: tuple[Any, ...], name: Callable[[str, str], str]) -> Facet:
    org, app, user, key_id, provider, operation, requested, answering, outcome, labels = row
    return Facet(
        org, app, name(user, user), key_id, provider, operation, requested, answering, outcome, lines_of(labels)
    )  # fmt: skip


def _used(record: bytes) -> tuple[int, ...]:
    used = _DECODER.decode(record)
    tokens = used.gen_ai
    return (
        1,
        tokens.input_tokens,
        tokens.output_tokens,
        tokens.cached_tokens,
        used.cost_microusd,
        tokens.cache_write_tokens,
        tokens.reasoning_tokens,
    )


def _moment(hour: int) -> str:
    try:
        return timestamp(_EPOCH + timedelta(hours=hour))
    except OverflowError:
        return timestamp(datetime.max.replace(tzinfo=UTC))
