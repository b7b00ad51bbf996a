"""Taking records and bodies away on purpose, so that what is left still verifies.

Rules:
1. Only a prefix of the decision stream goes; its leaves stay behind as tiles that other leaves need, and as the frontier.
2. One transaction takes rows and tiles away, says so in `pruned`, and adds the control record that tells it.
3. Usage, facets and persons stay. The change number grows, so that other writers forget what they remember.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmcp.core.ledger import BrokenTreeError, Pruned
from llmcp.core.merkle import TILE_HEIGHT, TILE_WIDTH, frontier
from llmcp.stores.sqlite_change import append_control
from llmcp.stores.sqlite_tree import TileReader, tree_size

if TYPE_CHECKING:
    import sqlite3

    from llmcp.core.control_records import ControlRecord

_LEVELS: Final = 8
_BEFORE: Final = "SELECT coalesce((SELECT time FROM pruned WHERE stream = ?1), '')"

# The last tile of a level says where the next hash of that level belongs.
_DROP: Final = """DELETE FROM tiles WHERE stream = ?1 AND level = ?2
   AND number < min(?3, (SELECT max(number) FROM tiles WHERE stream = ?1 AND level = ?2))"""


def forget_rows(connection: sqlite3.Connection, stream: str, size: int, record: ControlRecord) -> int:
    """Take away the records up to number `size`; return how many. In the caller's transaction. Raises: BrokenTreeError."""
    if size > tree_size(connection, stream):
        raise BrokenTreeError(
            f"the tree of the stream `{stream}` does not reach record {size}", fix="`llmcp audit verify` says what is damaged"
        )
    joined = b"".join(frontier(size, TileReader(connection, stream)))
    (before,) = connection.execute(_BEFORE, (stream,)).fetchone()
    (newest,) = connection.execute(
        "SELECT max(coalesce(max(time), ''), ?) FROM records WHERE seq <= ?", (before, size)
    ).fetchone()
    gone = connection.execute("DELETE FROM records WHERE seq <= ?", (size,)).rowcount
    connection.execute(
        "INSERT OR REPLACE INTO pruned (stream, size, frontier, time) VALUES (?, ?, ?, ?)", (stream, size, joined, newest)
    )
    for level in range(_LEVELS):
        kept = size // TILE_WIDTH >> (TILE_HEIGHT * level)
        connection.execute(_DROP, (stream, level, kept))
    record.detail = {**record.detail, "records": str(gone), **Pruned(size, joined, newest).evidence}
    append_control(connection, record)
    return gone


def forget_bodies(connection: sqlite3.Connection, before: str, record: ControlRecord, limit: int) -> int:
    """Take away at most `limit` kept bodies that are older; return how many. In the caller's transaction."""
    sql = "DELETE FROM bodies WHERE ref IN (SELECT ref FROM bodies WHERE time < ? ORDER BY time LIMIT ?)"
    gone = connection.execute(sql, (before, limit)).rowcount
    record.detail = {**record.detail, "bodies": str(gone)}
    append_control(connection, record)
    return gone
