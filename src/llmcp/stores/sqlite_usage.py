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
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmcp.core.records import timestamp
from llmcp.core.usage import MEASURES, Facet, UsageAnswer, UsageSums
from llmcp.stores.sqlite_facets_match import lines_of, matching_facets, narrows
from llmcp.stores.sqlite_file import connect, prepare, translated
from llmcp.stores.sqlite_persons import reveal
from llmcp.stores.sqlite_usage_rollup import hour_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from llmcp.core.usage import UsageQuery, UsageRow

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SPANS: Final = {0: "", 13: "hour, ", 10: "hour / 24, ", 7: "hour / 24, "}
_SUMS: Final = ", ".join(f"sum({name})" for name in MEASURES)
_FACETS: Final = (
    "SELECT id, org, app, [user], key_id, provider, operation, request_model, response_model, outcome, rules, labels FROM facets"
)
_EDGE: Final = "SELECT facet, record FROM records INDEXED BY idx_records_time WHERE time >= ? AND time < ?"
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
_GONE: Final = Facet()


class SqliteUsage:
    """A `UsageLog` in one file. Opening creates or migrates it; errors are those of `sqlite_file.prepare`."""

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
        wanted = query.wanted
        self._facets = frozenset(matching_facets(connection, wanted)) if narrows(wanted) else None
        self._known: dict[int, Facet] = {}
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

    def _add_hours(self, first: int | None, end: int | None) -> None:
        where = " AND ".join(condition for condition, asked in (("hour >= ?", first), ("hour < ?", end)) if asked is not None)
        bounds = [bound for bound in (first, end) if bound is not None]
        span = _SPANS[self._sums.span]
        sql = f"SELECT facet, min(hour), {_SUMS} FROM usage WHERE {where or '1'} GROUP BY {span}facet"  # noqa: S608 - of constants
        for rows in batched(self._connection.execute(sql, bounds), 4096):
            self._learn({row[0] for row in rows})
            for facet, hour, *sums in rows:
                if self._facets is None or facet in self._facets:
                    self._sums.add(self._known.get(facet, _GONE), _moment(hour), sums)

    def _add_records(self, since: str, until: str) -> None:
        for rows in batched(self._connection.execute(_EDGE, (since, until)), 4096):
            self._learn({facet for facet, _ in rows})
            for facet, record in rows:
                if self._facets is None or facet in self._facets:
                    self._sums.add(self._known.get(facet, _GONE), since, _used(record))

    def _learn(self, numbers: Collection[int]) -> None:
        """Know what the facets say, the persons who are still known by their names."""
        missing = [number for number in numbers if number not in self._known and (self._facets is None or number in self._facets)]
        if not missing:
            return
        listed = f"{_FACETS} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608 - of constants
        rows = self._connection.execute(listed, (f"[{','.join(map(str, missing))}]",)).fetchall()
        names: dict[str, str] = {}
        if "user" in self._query.by:
            names = reveal(self._connection, {row[3] for row in rows if row[3]})
        for row in rows:
            self._known[row[0]] = _facet(row[1:], names.get)


def _facet(row: tuple[Any, ...], name: Callable[[str, str], str]) -> Facet:
    org, app, user, key_id, provider, operation, requested, answering, outcome, rules, labels = row
    return Facet(
        org, app, name(user, user), key_id, provider, operation, requested, answering, outcome, lines_of(rules), lines_of(labels)
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
