"""`audit verify`: every leaf computed again from its record, compared with tiles, checkpoints and what stands beside.

Rules:
1. One pass in the order of the numbers, in memory that does not grow with the log.
2. Where a record and its leaf differ, the level above (else the last checkpoint) says which of the two was changed.
3. A range is named no wider than the evidence allows: a record, a tile of 256, the records between two checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from llmcp.control.ledger_chain import Chain, Fits, Trust
from llmcp.control.ledger_tiles import check_shape, check_upper, parent_hash, plausible_size
from llmcp.core import merkle
from llmcp.core.ledger import BrokenTreeError, Damage, DamageList, Kind
from llmcp.core.merkle import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmcp.core.ledger import LeafRow, Pruned
    from llmcp.ports.ledger import LedgerView

_NOTE_EVERY: Final = 50_000
_NOTHING: Final = bytes(HASH_BYTES)
_SIDE: Final = {
    "record": "its bytes are no record",
    "seq": "its own number is another",
    "stream": "it says that it belongs to another stream",
    "facet": "its facet is not there",
    "place": "queries by time or session do not find it where it should lie",
    "body.missing": "a body that it names is gone, and no pruning tells of it",
    "body.altered": "a body that it names does not open under that name",
}


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What there is of a stream."""

    stream: str
    records: int
    size: int
    pruned: int
    checkpoints: int
    signed: int
    root: str


def verify_stream(
    view: LedgerView,
    trust: Trust,
    damages: DamageList,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> StreamReport:
    """Check one stream whole."""
    return _Pass(view, trust, damages, progress).run()


class _Pass:
    def __init__(self, view: LedgerView, trust: Trust, damages: DamageList, progress: Callable[[int, int], None]) -> None:
        self.view = view
        self.stream = view.stream
        self.damages = damages
        self.progress = progress
        pruned = view.pruned()
        self.pruned = pruned
        self.base = pruned.size if pruned else 0
        self.size = plausible_size(view, self.base)
        self.chain = Chain(view, trust, tree=self.size, pruned=self.base)
        self.forest: list[tuple[int, bytes]] = []
        self.unsettled: list[int] = []
        self.last = b""
        self._signed = 0
        self.records = 0

    def run(self) -> StreamReport:
        """Check everything."""
        if why := self.view.damage():
            self._add(Kind.DISCONNECTED, f"since then no record got a leaf: {why}")
        self.damages.extend(tuple(check_shape(self.view, self.size, self.base)))
        self._check_pruning(self.pruned, self.view.last_pruning())
        self._start()
        self._rows()
        for damage in (*self.chain.rest(), *check_upper(self.view, self.size, self.base), *self.view.rollups()):
            self.damages.add(damage)
        return StreamReport(
            self.stream, self.records, self.size, self.base, self.chain.count, self.chain.signed,
            self._root(self.last, len(self.last) // HASH_BYTES).hex(),
        )  # fmt: skip

    def _add(self, kind: Kind, words: str, first: int = 0, last: int = 0) -> None:
        self.damages.add(Damage(kind, self.stream, words, first, last or first))

    def _check_pruning(self, pruned: Pruned | None, told: Mapping[str, str] | None) -> None:
        evidence = pruned.evidence if pruned else None
        if pruned and told is None:
            self._add(
                Kind.PRUNING_ALTERED, f"records up to {pruned.size} are said to be pruned, but no control record tells of it"
            )
        elif told is not None and evidence is None:
            self._add(
                Kind.PRUNING_ALTERED,
                f"a control record tells that records up to {told.get('size')} were pruned; the store does not",
            )
        elif evidence and told:
            for name in evidence:
                if evidence[name] != told.get(name):
                    self._add(Kind.PRUNING_ALTERED, f"the {name} of what was pruned is not what its control record says")
        if pruned:
            try:
                known = b"".join(merkle.frontier(min(pruned.size, self.size), self.view.hash_at))
            except BrokenTreeError:
                known = b""
            if known != pruned.frontier:
                self._add(Kind.PRUNING_ALTERED, "the frontier of what was pruned is not what the tiles say")

    def _start(self) -> None:
        """Begin behind what was pruned: the tiles say what stands for it."""
        self.number = self.base // TILE_WIDTH
        for level, index in merkle.subtrees(self.number * TILE_WIDTH):
            try:
                self.forest.append((level, self.view.hash_at(level, index)))
            except BrokenTreeError:
                self.forest.append((level, _NOTHING))
        self._checkpoints(b"", self.number * TILE_WIDTH)
        self._open_tile()
        for at in range(self.base % TILE_WIDTH):
            self.ours[at] = self.stored[at * HASH_BYTES : (at + 1) * HASH_BYTES]

    def _open_tile(self) -> None:
        self.stored = self.view.tile(0, self.number)
        self.ours: list[bytes | None] = [None] * TILE_WIDTH

    def _rows(self) -> None:
        """Read all records; `expected` is the index of the next."""
        expected, size, number = self.base, self.size, self.number
        add, ours = self._add, self.ours
        for row in self.view.rows():
            index = row.seq - 1
            self.records += 1
            if row.wrong:
                self._beside(row)
            if index != expected:
                if index < expected:
                    add(Kind.RECORD_UNEXPECTED, "no record belongs there: up to here they were pruned", row.seq)
                    continue
                if expected < size:
                    add(Kind.RECORD_MISSING, "it is gone, but its leaf is there", expected + 1, min(index, size))
            if index >= size:
                add(Kind.RECORD_UNEXPECTED, "it has no leaf", row.seq)
                expected = index + 1
                continue
            if index >> TILE_HEIGHT != number:
                number = self._reach(index >> TILE_HEIGHT)
                ours = self.ours
            ours[index & 0xFF] = sha256(b"\0" + row.data).digest()
            expected = index + 1
            if not self.records % _NOTE_EVERY:
                self.progress(self.records, size - self.base)
        if expected < size:
            add(Kind.RECORD_MISSING, "it is gone, but its leaf is there", expected + 1, size)
        if size > number * TILE_WIDTH:
            self._reach((size - 1) // TILE_WIDTH)
            self._finish_tile()
        self._settle_tiles(Fits.NOTHING)

    def _beside(self, row: LeafRow) -> None:
        for name in row.wrong:
            kind = Kind.RECORD_ALTERED if name in {"record", "seq", "stream"} else Kind.COLUMN_ALTERED
            if name.startswith("body."):
                kind = Kind.BODY_ALTERED
            self._add(kind, _SIDE.get(name, f"its column `{name}` is not what the record says"), row.seq)

    def _reach(self, number: int) -> int:
        while self.number < number:
            self._finish_tile()
            self.number += 1
            self._open_tile()
        return number

    def _finish_tile(self) -> None:
        """Compare the tile that was read with the stored one, and let the tree of the records grow by it."""
        start = self.number * TILE_WIDTH
        count = min(TILE_WIDTH, self.size - start)
        leaves = self._believed(start, count)
        if count < TILE_WIDTH:
            self._checkpoints(leaves, start + count)
            self.last = leaves
            return
        self._checkpoints(leaves, start + count - 1)
        root, above = merkle.full_root(leaves), parent_hash(self.view, 0, self.number)
        if above is not None and root != above:
            self.unsettled.append(self.number)
        self._checkpoints(leaves, start + count)
        self._grow(root)

    def _believed(self, start: int, count: int) -> bytes:
        """Return the hashes to go on with, having said where records and leaves differ."""
        if len(self.stored) < count * HASH_BYTES:
            # That the tile is short is reported elsewhere; the records stand for themselves.
            return b"".join([hash_ or _NOTHING for hash_ in self.ours[:count]])
        stored = self.stored[: count * HASH_BYTES]
        ours = b"".join([hash_ or stored[at * 32 : at * 32 + 32] for at, hash_ in enumerate(self.ours[:count])])
        if ours == stored:
            return stored
        above = parent_hash(self.view, 0, self.number) if count == TILE_WIDTH else None
        records_fit = merkle.full_root(ours) == above if above else self._fits_last(ours, start, count)
        for at in range(count):
            if ours[at * 32 : at * 32 + 32] == stored[at * 32 : at * 32 + 32]:
                continue
            seq = start + at + 1
            if not above and seq > self._signed:
                self._add(
                    Kind.RECORD_ALTERED, "it and its leaf contradict each other, and nothing signed says which was changed", seq
                )
            elif records_fit:
                words = "the hash of this leaf is not its record's"
                self.damages.add(Damage(Kind.TILE_ALTERED, self.stream, words, seq, seq, tile=f"0/{self.number}"))
            else:
                self._add(Kind.RECORD_ALTERED, "it is not the record that its leaf was made of", seq)
        return ours if records_fit else stored

    def _fits_last(self, leaves: bytes, start: int, count: int) -> bool:
        last = self.view.last_checkpoint()
        self._signed = last.size if last else 0
        return last is not None and start < last.size <= start + count and self._root(leaves, last.size - start) == last.root

    def _checkpoints(self, leaves: bytes, size: int) -> None:
        """Check the checkpoints over up to `size` records; `leaves` are the hashes behind the tiles that are done."""
        start = self.number * TILE_WIDTH
        while self.chain.due(size):
            at = self.chain.next_size - start
            self.damages.extend(tuple(self.chain.take(self._root(leaves, at) if 0 <= at <= len(leaves) // HASH_BYTES else None)))
            self._settle_tiles(self.chain.fits)

    def _settle_tiles(self, fits: Fits) -> None:
        """Say of tiles whose records contradict the hash above which of the two was changed."""
        for number in self.unsettled:
            first, last = number * TILE_WIDTH + 1, (number + 1) * TILE_WIDTH
            if fits is Fits.RECORDS:
                tile, words = f"1/{number // TILE_WIDTH}", f"its hash over tile 0/{number} is not that of the records"
                self.damages.add(Damage(Kind.TILE_ALTERED, self.stream, words, first, last, tile=tile))
            elif fits is Fits.TILES:
                self._add(Kind.RANGE_ALTERED, "records and their leaf hashes were changed together", first, last)
            else:
                self._add(Kind.RANGE_ALTERED, "records and the hash over them contradict each other", first, last)
        self.unsettled.clear()

    def _root(self, leaves: bytes, count: int) -> bytes:
        """Return the root over the tiles that are done and the first `count` of `leaves`."""
        hashes, at = [hash_ for _, hash_ in self.forest], 0
        for level, _ in merkle.subtrees(count):
            hashes.append(merkle.full_root(leaves[at : at + (HASH_BYTES << level)]))
            at += HASH_BYTES << level
        return merkle.fold(hashes)

    def _grow(self, root: bytes) -> None:
        level = TILE_HEIGHT
        while self.forest and self.forest[-1][0] == level:
            root = merkle.node_hash(self.forest.pop()[1], root)
            level += 1
        self.forest.append((level, root))
