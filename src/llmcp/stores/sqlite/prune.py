"""Taking records and bodies away on purpose, so that what is left still verifies.

Rules:
1. Only a prefix of the decision stream goes; its leaves stay behind as tiles that other leaves need, and as the frontier.
2. One transaction takes rows and tiles away, says so in `pruned`, and adds the control record that tells it.
3. Kept bodies go with the records that name them: nothing else leads to them.
4. Usage, facets and persons stay; where rows and agents' sessions lay does not. The change number grows, so that other writers forget what they remember.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from llmcp.core.ledger import BrokenTreeError, DamagedLedgerError, Pruned
from llmcp.core.merkle import HASH_BYTES, TILE_BYTES, TILE_HEIGHT, TILE_WIDTH, frontier, full_root, leaf_hash
from llmcp.core.records import parse
from llmcp.stores.sqlite.change import append_control
from llmcp.stores.sqlite.spans import forget_spans
from llmcp.stores.sqlite.tree import TileReader, tree_size

if TYPE_CHECKING:
    import sqlite3

    from llmcp.core.control_records import ControlRecord

_NO_BODIES: Final = b'"bodies":{"request":"","response":""}'
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
    reader = TileReader(connection, stream)
    bodies = _check(connection, reader, size)
    joined = b"".join(frontier(size, reader))
    (before,) = connection.execute(_BEFORE, (stream,)).fetchone()
    (newest,) = connection.execute(
        "SELECT max(coalesce(max(time), ''), ?) FROM records WHERE seq <= ?", (before, size)
    ).fetchone()
    gone = connection.execute("DELETE FROM records WHERE seq <= ?", (size,)).rowcount
    connection.executemany("DELETE FROM bodies WHERE ref = ?", [(ref,) for ref in bodies])
    forget_spans(connection, size)
    connection.execute(
        "INSERT OR REPLACE INTO pruned (stream, size, frontier, time) VALUES (?, ?, ?, ?)", (stream, size, joined, newest)
    )
    for level in range(_LEVELS):
        kept = size // TILE_WIDTH >> (TILE_HEIGHT * level)
        connection.execute(_DROP, (stream, level, kept))
    record.detail = {**record.detail, "records": str(gone), **Pruned(size, joined, newest).evidence}
    append_control(connection, record)
    return gone


def _check(connection: sqlite3.Connection, reader: TileReader, size: int) -> list[str]:
    """Refuse to take away records that are not those of their leaves: what is damaged is evidence. Raises: DamagedLedgerError.

    Return the names of the bodies that these records keep.
    """
    bodies: list[str] = []
    (first,) = connection.execute("SELECT coalesce(max(size), 0) + 1 FROM pruned WHERE stream = 'decision'").fetchone()
    expected, tile = first, b""
    for seq, data in connection.execute("SELECT seq, CAST(record AS BLOB) FROM records WHERE seq <= ? ORDER BY seq", (size,)):
        inside = (seq - 1) % TILE_WIDTH
        if not tile or not inside:
            tile = _tile(reader, (seq - 1) // TILE_WIDTH)
        if seq != expected or leaf_hash(data) != tile[inside * HASH_BYTES : (inside + 1) * HASH_BYTES]:
            raise _damaged(min(seq, expected))
        expected += 1
        if _NO_BODIES not in data:
            bodies += [ref for ref in _names(data) if ref]
    if expected != max(size + 1, first):
        raise _damaged(expected)
    return bodies


def _names(data: bytes) -> tuple[str, str]:
    try:
        found = parse(data).bodies
    except msgspec.DecodeError:
        return "", ""
    return found.request, found.response


def _tile(reader: TileReader, number: int) -> bytes:
    """Return a tile whose root is what the level above says."""
    tile, above = reader.tile(0, number), reader.tile(1, number // TILE_WIDTH)
    at = number % TILE_WIDTH * HASH_BYTES
    if len(tile) == TILE_BYTES and full_root(tile) != above[at : at + HASH_BYTES]:
        raise _damaged(number * TILE_WIDTH + 1)
    return tile


def _damaged(seq: int) -> DamagedLedgerError:
    return DamagedLedgerError(
        "nothing was pruned: the log is damaged",
        why=f"from record {seq} on, records and leaves contradict each other",
        fix="`llmcp audit verify` names what is damaged",
    )


def forget_bodies(connection: sqlite3.Connection, before: str, record: ControlRecord, limit: int) -> int:
    """Take away at most `limit` kept bodies that are older; return how many. In the caller's transaction."""
    sql = "DELETE FROM bodies WHERE ref IN (SELECT ref FROM bodies WHERE time < ? ORDER BY time LIMIT ?)"
    gone = connection.execute(sql, (before, limit)).rowcount
    record.detail = {**record.detail, "bodies": str(gone)}
    append_control(connection, record)
    return gone
