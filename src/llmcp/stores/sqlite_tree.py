"""The Merkle tree of each stream, in tiles beside the rows it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence


def append_leaves(connection: sqlite3.Connection, stream: str, first: int, leaves: Sequence[bytes]) -> None:
    """Append the records `leaves` (canonical bytes, not hashed yet); `first` is the `seq` of the first of them. In the caller's transaction."""
