"""The Merkle tree of each stream, in tiles beside the rows it stands for.

Rules:
1. Leaf `n` (from 0) is the record with `seq` `n + 1`; rows and leaves are written in one transaction.
2. Tiles of level 0 hold leaf hashes, tiles of level `n` the roots of the full tiles below; only the last of a level is partial.
3. The size of a tree is what its last tile of level 0 says: nothing is remembered between transactions, so nothing goes stale
   when another process appends.
4. Records that do not follow the last leaf are kept by their store all the same, but get no leaves: the stream is marked as
   damaged for good, no checkpoint is signed over it any more, and `audit verify` names what is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmcp.core.ledger import BrokenTreeError
from llmcp.core.merkle import HASH_BYTES, TILE_BYTES, TILE_WIDTH, full_root, hash_in_tile, leaf_hashes, tile_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

# The bound keeps out what is no number: SQLite sorts texts behind all of them, and a forged row must not stop the writer.
_LAST: Final = """SELECT number, coalesce(CAST(hashes AS BLOB), x'') FROM tiles WHERE stream = ? AND level = ? AND number < 9223372036854775807
   ORDER BY number DESC LIMIT 1"""
_PUT: Final = "INSERT OR REPLACE INTO tiles (stream, level, number, hashes) VALUES (?, ?, ?, ?)"


def append_leaves(connection: sqlite3.Connection, stream: str, first: int, leaves: Sequence[bytes]) -> bool:
    """Append the records `leaves` (canonical bytes, not hashed yet); `first` is the `seq` of the first of them.

    In the caller's transaction. False where they do not follow the last leaf: the stream is then marked as damaged (rule 4).
    """
    if not leaves:
        return True
    last = connection.execute(_LAST, (stream, 0)).fetchone()
    number, kept = last or (0, b"")
    if first != number * TILE_WIDTH + len(kept) // HASH_BYTES + 1 or len(kept) % HASH_BYTES:
        _mark_damaged(connection, stream, first, number * TILE_WIDTH + len(kept) // HASH_BYTES)
        return False
    rows: list[tuple[str, int, int, bytes]] = []
    _extend(connection, stream, (0, number, kept), leaf_hashes(leaves), rows)
    connection.executemany(_PUT, rows)
    return True


def _extend(
    connection: sqlite3.Connection,
    stream: str,
    last: tuple[int, int, bytes],
    added: Sequence[bytes],
    rows: list[tuple[str, int, int, bytes]],
) -> None:
    """Put `added` behind the last tile (level, number, hashes) of a level, and the roots of what became full a level higher."""
    level, number, kept = last
    hashes = kept + b"".join(added)
    roots: list[bytes] = []
    for start in range(0, len(hashes), TILE_BYTES):
        tile = hashes[start : start + TILE_BYTES]
        # A tile that was full already is the last one only until its successor comes: it is neither written nor counted again.
        if start or len(kept) < TILE_BYTES:
            rows.append((stream, level, number, tile))
            if len(tile) == TILE_BYTES:
                roots.append(full_root(tile))
        number += 1
    if roots:
        above = connection.execute(_LAST, (stream, level + 1)).fetchone() or (0, b"")
        _extend(connection, stream, (level + 1, *above), roots, rows)


def _mark_damaged(connection: sqlite3.Connection, stream: str, first: int, size: int) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)",
        (f"ledger.damaged.{stream}", f"record {first} came, but the tree has {size} leaves"),
    )


def damage_of(connection: sqlite3.Connection, stream: str) -> str:
    """Return why no record of this stream gets a leaf any more; "" where all is well."""
    found = connection.execute("SELECT value FROM meta WHERE name = ?", (f"ledger.damaged.{stream}",)).fetchone()
    return str(found[0]) if found else ""


def tree_size(connection: sqlite3.Connection, stream: str) -> int:
    """Return the number of leaves."""
    number, hashes = connection.execute(_LAST, (stream, 0)).fetchone() or (0, b"")
    return int(number) * TILE_WIDTH + len(hashes) // HASH_BYTES


class TileReader:
    """Reads nodes of one stream's tree, as a `HashAt`. Keeps the tiles of the last proofs: use one for one transaction."""

    def __init__(self, connection: sqlite3.Connection, stream: str) -> None:
        self._connection = connection
        self._stream = stream
        self._tiles: dict[tuple[int, int], bytes] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """Return the hash of a node. Raises: BrokenTreeError where its tile is not there or too short."""
        place = tile_of(level, index)
        tile = self._tiles.get(place)
        if tile is None:
            tile = self.tile(*place)
            if len(self._tiles) >= TILE_WIDTH:
                self._tiles.clear()
            self._tiles[place] = tile
        found = hash_in_tile(tile, level, index)
        if found is None:
            raise BrokenTreeError(
                f"the tree of the stream `{self._stream}` has a hole",
                why=f"tile {place[1]} of level {place[0]} is not there or too short",
                fix="`llmcp audit verify` says what is damaged",
            )
        return found

    def tile(self, level: int, number: int) -> bytes:
        """Return a tile's hashes, joined; nothing where there is none."""
        sql = "SELECT coalesce(CAST(hashes AS BLOB), x'') FROM tiles WHERE stream = ? AND level = ? AND number = ?"
        found = self._connection.execute(sql, (self._stream, level, number)).fetchone()
        return bytes(found[0]) if found else b""
