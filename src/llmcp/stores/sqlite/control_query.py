"""Which control records a filter lets pass. There are as many as operators made changes: they are looked at one by one.

Rules:
1. The scope (`org`) is asked of SQLite, everything else of the filter, about the record as it is shown.
2. Newest first until the page is full; the answer is newest last.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from llmcp.core.control_records import parse
from llmcp.stores.sqlite.persons import revealed_control
from llmcp.stores.sqlite.spans import LAST_SEQ

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from llmcp.core.record_filter import RecordFilter


@dataclass(frozen=True, slots=True)
class FoundControl:
    """The stored bytes of a page, oldest first, and where the next page begins (-1: nowhere)."""

    rows: list[bytes]
    next_seq: int


def find_control(connection: sqlite3.Connection, wanted: RecordFilter) -> FoundControl:
    """Return the page of control records that `wanted` asks for; without a limit, all of it."""
    newest_first = wanted.after_seq < 0 and wanted.limit > 0
    rows = _matching(connection, wanted, order="DESC" if newest_first else "ASC")
    found = list(islice(rows, wanted.limit + 1) if wanted.limit else rows)
    more = bool(wanted.limit) and len(found) > wanted.limit
    found = found[: wanted.limit] if more else found
    next_seq = found[-1][0] if more else -1
    return FoundControl([data for _, data in (found[::-1] if newest_first else found)], next_seq)


def _matching(connection: sqlite3.Connection, wanted: RecordFilter, *, order: str) -> Iterator[tuple[int, bytes]]:
    sql = f"""SELECT seq, record FROM control_records
 WHERE seq BETWEEN ? AND ? AND time >= ? AND (? = '' OR time < ?) AND (? = '' OR org = ?) ORDER BY seq {order}"""  # noqa: S608 - of constants
    high = wanted.before_seq - 1 if wanted.before_seq else LAST_SEQ
    values = (wanted.after_seq + 1, high, wanted.since, wanted.until, wanted.until, wanted.org, wanted.org)
    for seq, data in connection.execute(sql, values):
        (shown,) = revealed_control(connection, [data])
        if wanted.matches_control(parse(shown)):
            yield seq, data
