"""The seams of the ledger: a stream's tree as it is at one moment, what signs it, and where copies of its checkpoints go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from llmcp.core.control_records import ControlRecord
    from llmcp.core.ledger import Checkpoint, Damage, LeafRow, Pruned


class LedgerView(Protocol):
    """One stream at one moment: whatever is appended meanwhile is not seen."""

    stream: str

    def size(self) -> int:
        """Return the number of leaves."""

    def damage(self) -> str:
        """Return why records of this stream get no leaves any more; "" where all is well."""

    def hash_at(self, level: int, index: int) -> bytes:
        """Return a node's hash. Raises: BrokenTreeError."""

    def tile(self, level: int, number: int) -> bytes:
        """Return a tile's hashes, joined; nothing where there is none."""

    def tiles(self) -> Iterator[tuple[int, int, int]]:
        """Yield level, number and length in bytes of every tile, lower levels first."""

    def checkpoints(self, after: int = -1) -> Iterator[Checkpoint]:
        """Yield the checkpoints of more than `after` leaves, smallest first."""

    def last_checkpoint(self) -> Checkpoint | None:
        """Return the largest."""

    def pruned(self) -> Pruned | None:
        """Return what was taken away, None where nothing was."""

    def last_pruning(self) -> dict[str, str] | None:
        """Return what the last control record of a pruning of this stream's records says of it; None where there is none."""

    def rows(self) -> Iterator[LeafRow]:
        """Yield the records that are there in the order of their numbers."""

    def rollups(self) -> Iterator[Damage]:
        """Yield what does not add up between records and sums over them, after all `rows` were read."""

    def leaf(self, seq: int) -> bytes | None:
        """Return a record's bytes."""

    def seq_of(self, record_id: str) -> int | None:
        """Return a record's number by its id."""

    def last_older(self, bound: str) -> int:
        """Return the number of the last record before the first that is not older than `bound`; 0 where there is none."""


class Ledger(Protocol):
    """The ledger's side of a store. Blocking; never used on the event loop."""

    def view(self, stream: str) -> AbstractContextManager[LedgerView]:
        """Look at a stream."""

    def beside(self) -> Iterator[Damage]:
        """Yield what is wrong with the store besides its streams: tables that are not llmcp's, persons under other names."""

    def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint. Raises: ConflictError where another one than `previous` is the last meanwhile."""

    def value(self, name: str) -> str:
        """Return a single value that is kept beside the log; "" where there is none."""

    def keep(self, name: str, value: str) -> None:
        """Keep a single value."""

    def keep_first(self, name: str, value: str) -> str:
        """Keep a single value unless there is one; return the one that is kept."""

    def standing(self) -> dict[str, tuple[int, str]]:
        """Return the number of leaves of each stream, and why its records get none any more ("" where all is well)."""

    def forget_rows(self, stream: str, size: int, record: ControlRecord) -> int:
        """Take away the records up to number `size` that are still there, with the tiles that stood for them alone; return how many.

        One transaction with `record`, which tells it (`records`, `size`, `newest`, `frontier`), and with what `pruned` says.
        Raises: BrokenTreeError, with nothing taken away.
        """

    def count_bodies(self, before: str) -> int:
        """Return how many kept bodies are older."""

    def forget_bodies(self, before: str, record: ControlRecord, limit: int) -> int:
        """Take away at most `limit` kept bodies that are older, in one transaction with `record`; return how many."""


class Signer(Protocol):
    """Holds the ledger's private key."""

    public: bytes

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature."""


class Anchor(Protocol):
    """A place outside of the store that keeps checkpoints. Raises: UnreachableError where it cannot be reached."""

    name: str
    """What may be shown of its address."""

    def append(self, note: str) -> None:
        """Keep a note for good."""

    def notes(self) -> Iterator[str]:
        """Yield all notes that it keeps, oldest first."""
