"""The ledger's side of the SQLite store: views of a stream, checkpoints, single values.

Rules:
1. A view is one read transaction: rows, tiles and checkpoints of one moment, however long somebody looks.
2. A checkpoint is written only behind the one that it was proved against.
3. Nothing here trusts what it reads: bytes that are no hash or no text are handed on as they are, for `audit verify` to name.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmcp.core.control_records import parse
from llmcp.core.ledger import PRUNE_ACTION, Checkpoint, Pruned, split_hashes
from llmcp.errors import ConflictError
from llmcp.stores.sqlite.beside import beside
from llmcp.stores.sqlite.file import connect, translated
from llmcp.stores.sqlite.leaf_rows import control_rows, decision_rows
from llmcp.stores.sqlite.prune import forget_bodies, forget_rows
from llmcp.stores.sqlite.tree import TileReader, damage_of, tree_size

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from llmcp.core.control_records import ControlRecord
    from llmcp.core.ledger import Damage, LeafRow
    from llmcp.stores.sqlite.leaf_rows import CheckBody

_CHECKPOINT: Final = """SELECT stream, CAST(size AS INTEGER), coalesce(CAST(root AS BLOB), x''), time, note, previous,
   coalesce(CAST(proof AS BLOB), x'') FROM checkpoints WHERE stream = ?"""
TABLES: Final = {"decision": "records", "control": "control_records"}


class SqliteLedger:
    """A `Ledger` in the file that `prepare` has prepared."""

    def __init__(self, path: Path, check_body: CheckBody | None = None) -> None:
        self.path = path
        self._check_body = check_body

    @contextmanager
    def view(self, stream: str) -> Iterator[SqliteLedgerView]:
        """Look at a stream."""
        with translated(self.path), closing(connect(self.path, read_only=True)) as connection:
            connection.text_factory = _replaced
            connection.execute("BEGIN")
            yield SqliteLedgerView(connection, stream, self._check_body)

    def beside(self) -> Iterator[Damage]:
        """Yield what is wrong with the store besides its streams."""
        with translated(self.path), closing(connect(self.path, read_only=True)) as connection:
            connection.text_factory = _replaced
            connection.execute("BEGIN")
            yield from beside(connection)

    def standing(self) -> dict[str, tuple[int, str]]:
        """Return the number of leaves of each stream, and why its records get none any more ("" where all is well)."""
        with translated(self.path), closing(connect(self.path, read_only=True)) as connection:
            return {stream: (tree_size(connection, stream), damage_of(connection, stream)) for stream in TABLES}

    def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint. Raises: ConflictError where another one than `previous` is the last meanwhile."""
        with self._writing() as connection:
            sql = "SELECT coalesce(max(CAST(size AS INTEGER)), 0) FROM checkpoints WHERE stream = ?"
            (last,) = connection.execute(sql, (checkpoint.stream,)).fetchone()
            if last != checkpoint.previous:
                raise ConflictError(
                    f"somebody else signed a checkpoint of the stream `{checkpoint.stream}`",
                    why=f"expected one of {checkpoint.previous} leaves to be the last, found one of {last}",
                    fix="try again",
                )
            values = (checkpoint.stream, checkpoint.size, checkpoint.root, checkpoint.time, checkpoint.note, checkpoint.previous)
            connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)", (*values, b"".join(checkpoint.proof)))

    def value(self, name: str) -> str:
        """Return a single value that is kept beside the log; "" where there is none."""
        with translated(self.path), closing(connect(self.path, read_only=True)) as connection:
            found = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else ""

    def keep(self, name: str, value: str) -> None:
        """Keep a single value."""
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))

    def keep_first(self, name: str, value: str) -> str:
        """Keep a single value unless there is one; return the one that is kept."""
        with self._writing() as connection:
            connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", (name, value))
            (kept,) = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(kept)

    def forget_rows(self, stream: str, size: int, record: ControlRecord) -> int:
        """Take away the records up to number `size`; see `prune`."""
        with self._writing() as connection:
            return forget_rows(connection, stream, size, record)

    def count_bodies(self, before: str) -> int:
        """Return how many kept bodies are older."""
        with translated(self.path), closing(connect(self.path, read_only=True)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM bodies WHERE time < ?", (before,)).fetchone()
        return int(count)

    def forget_bodies(self, before: str, record: ControlRecord, limit: int) -> int:
        """Take away at most `limit` kept bodies that are older; see `prune`."""
        with self._writing() as connection:
            return forget_bodies(connection, before, record, limit)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with translated(self.path), closing(connect(self.path)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


class SqliteLedgerView:
    """A `LedgerView` on one connection, inside of its read transaction."""

    def __init__(self, connection: sqlite3.Connection, stream: str, check_body: CheckBody | None = None) -> None:
        self.stream = stream
        self._connection = connection
        self._reader = TileReader(connection, stream)
        self._rows = decision_rows(connection, check_body) if stream == "decision" else control_rows(connection)

    def size(self) -> int:
        """Return the number of leaves."""
        return tree_size(self._connection, self.stream)

    def damage(self) -> str:
        """Return why records of this stream get no leaves any more; "" where all is well."""
        return damage_of(self._connection, self.stream)

    def hash_at(self, level: int, index: int) -> bytes:
        """Return a node's hash. Raises: BrokenTreeError."""
        return self._reader(level, index)

    def tile(self, level: int, number: int) -> bytes:
        """Return a tile's hashes, joined; nothing where there is none."""
        return self._reader.tile(level, number)

    def tiles(self) -> Iterator[tuple[int, int, int]]:
        """Yield level, number and length in bytes of every tile, lower levels first."""
        sql = "SELECT level, number, length(CAST(hashes AS BLOB)) FROM tiles WHERE stream = ? ORDER BY level, number"
        for level, number, length in self._connection.execute(sql, (self.stream,)):
            yield _whole(level), _whole(number), length or 0

    def checkpoints(self, after: int = -1) -> Iterator[Checkpoint]:
        """Yield the checkpoints of more than `after` leaves, smallest first."""
        for row in self._connection.execute(f"{_CHECKPOINT} AND size > ? ORDER BY size", (self.stream, after)):
            yield _checkpoint(row)

    def last_checkpoint(self) -> Checkpoint | None:
        """Return the largest."""
        row = self._connection.execute(f"{_CHECKPOINT} ORDER BY size DESC LIMIT 1", (self.stream,)).fetchone()
        return _checkpoint(row) if row else None

    def pruned(self) -> Pruned | None:
        """Return what was taken away, None where nothing was."""
        sql = (
            "SELECT coalesce(CAST(size AS INTEGER), 0), coalesce(CAST(frontier AS BLOB), x''), time FROM pruned WHERE stream = ?"
        )
        row = self._connection.execute(sql, (self.stream,)).fetchone()
        return Pruned(int(row[0]), bytes(row[1]), str(row[2])) if row else None

    def last_pruning(self) -> dict[str, str] | None:
        """Return what the last control record of a pruning of this stream's records says of it; None where there is none."""
        sql = "SELECT CAST(record AS BLOB) FROM control_records WHERE action = ? ORDER BY seq DESC"
        for (data,) in self._connection.execute(sql, (PRUNE_ACTION,)):
            try:
                detail = parse(data).detail
            except msgspec.DecodeError:
                continue
            if detail.get("mode") == "rows" and detail.get("stream") == self.stream:
                return detail
        return None

    def rows(self) -> Iterator[LeafRow]:
        """Yield the records that are there in the order of their numbers."""
        return self._rows.rows()

    def rollups(self) -> Iterator[Damage]:
        """Yield what does not add up between records and sums over them, after all `rows` were read."""
        return self._rows.rollups(self.pruned())

    def leaf(self, seq: int) -> bytes | None:
        """Return a record's bytes."""
        row = self._connection.execute(f"SELECT CAST(record AS BLOB) FROM {self._table} WHERE seq = ?", (seq,)).fetchone()  # noqa: S608 - a constant
        return bytes(row[0]) if row else None

    def seq_of(self, record_id: str) -> int | None:
        """Return a record's number by its id."""
        row = self._connection.execute(f"SELECT seq FROM {self._table} WHERE id = ?", (record_id,)).fetchone()  # noqa: S608 - a constant
        return int(row[0]) if row else None

    def last_older(self, bound: str) -> int:
        """Return the number of the last record before the first that is not older than `bound`; 0 where there is none."""
        first = f"SELECT coalesce((SELECT min(+seq) FROM {self._table} WHERE time >= ?1), max(seq) + 1) - 1 FROM {self._table}"  # noqa: S608
        sql = f"SELECT coalesce(({first}), 0) WHERE EXISTS (SELECT 1 FROM {self._table} WHERE time < ?1)"  # noqa: S608 - constants
        row = self._connection.execute(sql, (bound,)).fetchone()
        return int(row[0]) if row else 0

    @property
    def _table(self) -> str:
        return TABLES[self.stream]


def _checkpoint(row: tuple[Any, ...]) -> Checkpoint:
    stream, size, root, time, note, previous, proof = row
    return Checkpoint(stream, int(size), bytes(root), str(time), _text(note), _whole(previous), split_hashes(bytes(proof)))


def _whole(value: object) -> int:
    """Return a number that stands where one belongs; -1 for anything else that somebody put there."""
    return value if isinstance(value, int) else -1


def _text(value: object) -> str:
    return _replaced(value) if isinstance(value, bytes) else str(value)


def _replaced(data: bytes) -> str:
    return data.decode("utf-8", "replace")
