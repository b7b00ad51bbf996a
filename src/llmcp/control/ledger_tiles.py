"""Are the tiles those of a tree of this size, and does every hash above stand for the tile below it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmcp.core import merkle
from llmcp.core.ledger import Damage, Kind
from llmcp.core.merkle import HASH_BYTES, TILE_BYTES, TILE_HEIGHT, TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmcp.ports.ledger import LedgerView

_HIGHEST: Final = 8
"""The level of a tree of 2^64 leaves."""

_REACH: Final = 1000
"""So many tiles may be missing in a row."""

type Tile = tuple[int, int, int]
"""Level, number, length in bytes."""


def expected_tiles(size: int, pruned: int) -> Iterator[Tile]:
    """Yield the tiles of a tree of `size` leaves of which `pruned` may have lost theirs. The last of a level always stays."""
    level, count = 0, size
    while count:
        last = (count - 1) // TILE_WIDTH
        first = min(pruned >> TILE_HEIGHT * (level + 1), last)
        for number in range(first, last + 1):
            yield level, number, HASH_BYTES * min(TILE_WIDTH, count - number * TILE_WIDTH)
        level += 1
        count >>= TILE_HEIGHT


def plausible_size(view: LedgerView, pruned: int) -> int:
    """Return the number of leaves. A tile that claims to lie far behind all others does not count: nobody could look at the gap."""
    if view.size() >> TILE_HEIGHT <= _REACH:
        return view.size()
    most = _REACH + (pruned >> TILE_HEIGHT) + 2 * sum(level == 0 for level, *_ in view.tiles())
    known = ((number, length) for level, number, length in view.tiles() if level == 0 and number < most)
    number, length = max(known, default=(0, 0))
    return number * TILE_WIDTH + length // HASH_BYTES


def check_shape(view: LedgerView, size: int, pruned: int) -> Iterator[Damage]:
    """Yield tiles that are missing, too short, too long, or not of this tree."""
    found = view.tiles()
    have = next(found, None)
    for wanted in expected_tiles(size, pruned):
        while have is not None and have[:2] < wanted[:2]:
            # What once was the last tile of its level stays when it is pruned: nothing reads it any more.
            if min(have[:2]) < 0 or (have[1] + 1) << TILE_HEIGHT * (have[0] + 1) > pruned:
                yield _damage(Kind.TILE_UNEXPECTED, view, have, "it belongs to no tree of this size")
            have = next(found, None)
        if have is None or have[:2] != wanted[:2]:
            yield _damage(Kind.TILE_MISSING, view, wanted, "its hashes are gone")
            continue
        if have[2] != wanted[2]:
            yield _damage(Kind.TILE_ALTERED, view, have, f"it has {have[2]} bytes, expected {wanted[2]}")
        have = next(found, None)
    while have is not None:
        yield _damage(Kind.TILE_UNEXPECTED, view, have, "it belongs to no tree of this size")
        have = next(found, None)


def check_upper(view: LedgerView, size: int, pruned: int) -> Iterator[Damage]:
    """Yield tiles of level 1 and above whose root is not what the level above says."""
    for level, number, length in expected_tiles(size, pruned):
        if level and length == TILE_BYTES:
            tile, above = view.tile(level, number), parent_hash(view, level, number)
            if len(tile) == TILE_BYTES and above is not None and merkle.full_root(tile) != above:
                words = f"it and the hash over it in tile {level + 1}/{number // TILE_WIDTH} contradict each other"
                yield _damage(Kind.TILE_ALTERED, view, (level, number, length), words)


def parent_hash(view: LedgerView, level: int, number: int) -> bytes | None:
    """Return what the level above says of a full tile; None where it says nothing."""
    start = number % TILE_WIDTH * HASH_BYTES
    return view.tile(level + 1, number // TILE_WIDTH)[start : start + HASH_BYTES] or None


def _damage(kind: Kind, view: LedgerView, tile: Tile, words: str) -> Damage:
    level, number, _ = tile
    if number < 0 or not 0 <= level <= _HIGHEST:
        return Damage(kind, view.stream, words, tile=f"{level}/{number}")
    width = TILE_WIDTH << TILE_HEIGHT * level
    return Damage(kind, view.stream, words, number * width + 1, (number + 1) * width, tile=f"{level}/{number}")
