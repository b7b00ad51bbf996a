"""The Merkle tree over a log of records: hashes, roots and proofs. Storing them is somebody else's business.

Rules (RFC 9162 section 2.1, which is RFC 6962's tree; tiles as in C2SP tlog-tiles):
1. A leaf's hash is SHA-256 of 0x00 and the record, a node's that of 0x01 and its two children; the empty tree's that of nothing.
2. Node `(level, index)` is the root of the full subtree over leaves `index << level` up to `(index + 1) << level`.
3. Only full subtrees are ever read (through `HashAt`), so what is read never changes again as the tree grows.
4. A tile holds up to 256 neighbouring hashes of a level that is a multiple of 8; all others are computed from them.
5. `verify_*` answer yes or no and believe nothing: sizes, lengths and hashes may come from anybody.
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    type HashAt = Callable[[int, int], bytes]
    """Returns the hash of node `(level, index)`. Raises: what its owner says where the node is not there."""

_sha256 = hashlib.sha256

HASH_BYTES: Final = 32
TILE_WIDTH: Final = 256
TILE_HEIGHT: Final = 8
TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES
EMPTY_ROOT: Final = _sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a record as a leaf."""
    return _sha256(b"\0" + data).digest()


def leaf_hashes(leaves: Iterable[bytes]) -> list[bytes]:
    """Return the hashes of many records."""
    sha256 = _sha256
    return [sha256(b"\0" + data).digest() for data in leaves]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node from its children's."""
    return _sha256(b"\1" + left + right).digest()


def full_root(hashes: bytes) -> bytes:
    """Return the root over joined hashes, whose number is a power of two."""
    sha256 = _sha256
    while len(hashes) > HASH_BYTES:
        hashes = b"".join([sha256(b"\1" + hashes[at : at + 64]).digest() for at in range(0, len(hashes), 64)])
    return hashes


def subtrees(size: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """Yield the full subtrees `(level, index)` that cover leaves `start` up to `size`, from the left.

    `start` is a multiple of the largest power of two that is not above `size - start`, as in every split of the RFC.
    """
    while start < size:
        level = (size - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the root over the hashes of ever smaller subtrees, as `subtrees` yields them."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def frontier(size: int, hash_at: HashAt) -> list[bytes]:
    """Return the hashes that stand for the first `size` leaves: all that is needed to let the tree grow."""
    return [hash_at(level, index) for level, index in subtrees(size)]


def root_at(size: int, hash_at: HashAt) -> bytes:
    """Return the root of the tree over the first `size` leaves."""
    return fold(frontier(size, hash_at))


def _range_root(start: int, end: int, hash_at: HashAt) -> bytes:
    return fold([hash_at(level, index) for level, index in subtrees(end, start)])


def inclusion_proof(index: int, size: int, hash_at: HashAt) -> list[bytes]:
    """Return the proof that leaf `index` (from 0) is in the tree of `size` leaves. Raises: ValueError where it cannot be."""
    if not 0 <= index < size:
        msg = f"leaf {index} is not in a tree of {size}"
        raise ValueError(msg)
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range_root(middle, end, hash_at))
            end = middle
        else:
            proof.append(_range_root(start, middle, hash_at))
            start = middle
    return proof[::-1]


def consistency_proof(old: int, new: int, hash_at: HashAt) -> list[bytes]:
    """Return the proof that the tree of `new` leaves begins with the tree of `old`. Raises: ValueError where it cannot."""
    if not 0 <= old <= new:
        msg = f"a tree of {new} does not begin with one of {old}"
        raise ValueError(msg)
    if old in {0, new}:
        return []
    proof: list[bytes] = []
    start, end = 0, new
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_range_root(middle, end, hash_at))
            end = middle
        else:
            proof.append(_range_root(start, middle, hash_at))
            start = middle
    if start:
        # Whoever checks knows the old root, but not the roots of its parts.
        proof.append(_range_root(start, end, hash_at))
    return proof[::-1]


def _split(count: int) -> int:
    """Return the largest power of two below `count` (at least 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether `proof` shows that the leaf with the hash `leaf` is number `index` of the tree (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            found = node_hash(found, sibling)
        at >>= 1
        last >>= 1
    return last == 0 and compare_digest(found, root)


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Tell whether `proof` shows that the new tree begins with the old one (RFC 9162 section 2.1.4.2).

    The empty tree begins every tree, and its root is the empty root.
    """
    if not 0 <= old <= new:
        return False
    if old == new:
        return not proof and compare_digest(old_root, new_root)
    if old == 0:
        return not proof and compare_digest(old_root, EMPTY_ROOT)
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at >>= 1
        last >>= 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first = node_hash(sibling, first)
            second = node_hash(sibling, second)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            second = node_hash(second, sibling)
        at >>= 1
        last >>= 1
    return last == 0 and compare_digest(first, old_root) and compare_digest(second, new_root)


def hash_in_tile(hashes: bytes, level: int, index: int) -> bytes | None:
    """Return node `(level, index)` from the tile that `tile_of` names; None where the tile is too short for it."""
    inside = level % TILE_HEIGHT
    start = (index << inside) % TILE_WIDTH * HASH_BYTES
    end = start + (HASH_BYTES << inside)
    return full_root(hashes[start:end]) if end <= len(hashes) else None


def tile_of(level: int, index: int) -> tuple[int, int]:
    """Return level and number of the tile that node `(level, index)` is computed from."""
    return level // TILE_HEIGHT, (index << level % TILE_HEIGHT) // TILE_WIDTH
