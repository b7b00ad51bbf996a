"""A stream's checkpoints, one after the other: signatures, what they say, and that each grew out of the one before.

Rules:
1. Where the note's signature is right, the note is believed and the columns beside it are not.
2. A root is compared with the tree that the records give and with the one that the tiles give; what neither gives was changed
   together with them, between the last checkpoint that fitted and this one.
3. A checkpoint of records that were pruned is checked by its signature and its proof alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from llmcp.control.ledger import origin_of
from llmcp.core import merkle, signed_note
from llmcp.core.ledger import BrokenTreeError, Checkpoint, Damage, Kind
from llmcp.core.signed_note import CheckpointText, NoteError, VerifierKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmcp.core.signed_note import Verify
    from llmcp.ports.ledger import LedgerView


class Fits(Enum):
    """Which tree has the root that was signed: that of the records, else that of the tiles, else none."""

    RECORDS = 1
    TILES = 2
    NOTHING = 3


@dataclass(frozen=True, slots=True)
class Trust:
    """What the checker believes: keys, and the log's name."""

    keys: Sequence[VerifierKey]
    verify: Verify
    origin: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint after its signature was looked at. `said` is what to believe; without `damage` it was signed as it stands."""

    said: CheckpointText
    damage: Damage | None


def open_checkpoint(found: Checkpoint, trust: Trust) -> Opened:
    """Look at signature, origin and columns."""
    stands = CheckpointText(origin_of(trust.origin, found.stream), found.size, found.root)
    said, fault = _open(found.note, trust)
    if said is None:
        kind = Kind.CHECKPOINT_KEY if fault.code == "unknown-key" else Kind.CHECKPOINT_SIGNATURE
        return Opened(stands, Damage(kind, found.stream, fault.why or fault.what, checkpoint=found.size))
    if said == stands:
        return Opened(said, None)
    names = [name for name in ("origin", "size", "root") if getattr(said, name) != getattr(stands, name)]
    words = f"its {' and '.join(names)} {'is' if len(names) == 1 else 'are'} not what was signed over {said.size} records"
    believed = said if "origin" not in names else stands
    return Opened(believed, Damage(Kind.CHECKPOINT_ALTERED, found.stream, words, checkpoint=found.size))


def _open(note: str, trust: Trust) -> tuple[CheckpointText | None, NoteError]:
    fault = NoteError("no key")
    for key in trust.keys:
        try:
            return signed_note.parse_checkpoint(signed_note.open_note(note, key, trust.verify)), fault
        except NoteError as error:
            # The key that the note names says more than those that it does not.
            fault = error if fault.code != "bad-signature" else fault
    return None, fault


class Chain:
    """Goes along the checkpoints as the records are read. `tree` is how many leaves there are, `pruned` how many went."""

    def __init__(self, view: LedgerView, trust: Trust, *, tree: int, pruned: int) -> None:
        self._view = view
        self._trust = trust
        self._tree = tree
        self._pruned = pruned
        self._waiting = view.checkpoints()
        self._next = next(self._waiting, None)
        self._before = CheckpointText("", 0, merkle.EMPTY_ROOT)
        self._fitted = 0
        self.count = 0
        self.fits = Fits.NOTHING
        self.signed = 0

    def due(self, size: int) -> bool:
        """Tell whether the next checkpoint is over at most `size` records."""
        return self._next is not None and self._next.size <= size

    @property
    def next_size(self) -> int:
        """Return what the next checkpoint is over (there is one)."""
        return self._next.size if self._next else 0

    def take(self, root: bytes | None) -> Iterator[Damage]:
        """Check the next checkpoint; `root` is what the records give at its size, None where they cannot say."""
        found = self._next
        if found is None:
            return
        self._next = next(self._waiting, None)
        self.count += 1
        opened = open_checkpoint(found, self._trust)
        if opened.damage:
            yield opened.damage
        else:
            self.signed = found.size
        yield from self._link(found, opened)
        yield from self._compare(found, opened, root)
        self._before = opened.said if opened.damage is None or root is None else CheckpointText("", found.size, root)

    def rest(self) -> Iterator[Damage]:
        """Check the checkpoints that are over more records than there are."""
        while self._next is not None:
            size = self._next.size
            yield Damage(
                Kind.TRUNCATED,
                self._view.stream,
                f"{size} records were signed, {self._tree} are left",
                self._tree + 1,
                size,
                size,
            )
            yield from self.take(None)

    def _link(self, found: Checkpoint, opened: Opened) -> Iterator[Damage]:
        before, said = self._before, opened.said
        if found.previous != before.size:
            words = f"it grew out of a checkpoint over {found.previous} records, but the one before it is over {before.size}"
            yield Damage(Kind.CHECKPOINT_CHAIN, found.stream, words, checkpoint=found.size)
        elif not merkle.verify_consistency(before.size, said.size, found.proof, before.root, said.root):
            words = f"its stored proof does not lead from the checkpoint over {before.size} records to it"
            yield Damage(Kind.CHECKPOINT_CHAIN, found.stream, words, checkpoint=found.size)

    def _compare(self, found: Checkpoint, opened: Opened, root: bytes | None) -> Iterator[Damage]:
        said = opened.said
        self.fits = Fits.NOTHING
        if said.size < self._pruned or said.size > self._tree:
            return
        if said.size != found.size or root is None:
            root = self._from_tiles(said.size)
        tiles = self._from_tiles(said.size)
        if said.root == root:
            self.fits = Fits.RECORDS
        elif said.root == tiles:
            self.fits = Fits.TILES
        if self.fits is not Fits.NOTHING:
            self._fitted = said.size
        elif opened.damage is None or opened.damage.kind is Kind.CHECKPOINT_ALTERED:
            words = "they are not the records that were signed: records and hashes were changed together"
            yield Damage(Kind.RANGE_ALTERED, found.stream, words, self._fitted + 1, said.size, found.size)
        else:
            words = "its root is not that of the records"
            yield Damage(Kind.CHECKPOINT_ALTERED, found.stream, words, checkpoint=found.size)

    def _from_tiles(self, size: int) -> bytes | None:
        try:
            return merkle.root_at(size, self._view.hash_at)
        except BrokenTreeError:
            return None
