"""The tree, held against the vectors that all implementations of RFC 6962 share and against a second implementation."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from pymerkle import InmemoryTree

from llmcp.core import merkle

LEAVES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")]  # fmt: skip
ROOTS = [
    bytes.fromhex(text)
    for text in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
_96A2 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
_5F08 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
_6B47 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
_BC1A = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
_CA85 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
_D37E = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
_0EBC = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"


def memory(leaves: list[bytes]):
    """Return a `HashAt` over leaves in memory, by the plain definition."""
    hashes = merkle.leaf_hashes(leaves)

    def hash_at(level: int, index: int) -> bytes:
        part = hashes[index << level : (index + 1) << level]
        assert len(part) == 1 << level
        return merkle.full_root(b"".join(part))

    return hash_at


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_reference_vectors(size):
    """The first n of the eight well-known leaves have the well-known root."""
    assert merkle.root_at(size, memory(LEAVES)) == ROOTS[size]


@pytest.mark.parametrize(
    ("index", "size", "proof"),
    [(0, 1, []), (0, 8, [_96A2, _5F08, _6B47]), (5, 8, [_BC1A, _CA85, _D37E]), (2, 3, [ROOTS[2].hex()])],
)
def test_inclusion_proofs_are_those_of_the_reference_vectors(index, size, proof):
    """Proofs that other implementations publish come out hash by hash, and verify."""
    hashes = [bytes.fromhex(text) for text in proof]
    assert merkle.inclusion_proof(index, size, memory(LEAVES)) == hashes
    assert merkle.verify_inclusion(merkle.leaf_hash(LEAVES[index]), index, size, hashes, ROOTS[size])


@pytest.mark.parametrize(
    ("old", "new", "proof"),
    [(1, 1, []), (1, 8, [_96A2, _5F08, _6B47]), (6, 8, [_0EBC, _CA85, _D37E]), (2, 5, [_5F08, _BC1A])],
)
def test_consistency_proofs_are_those_of_the_reference_vectors(old, new, proof):
    """Proofs that other implementations publish come out hash by hash, and verify."""
    hashes = [bytes.fromhex(text) for text in proof]
    assert merkle.consistency_proof(old, new, memory(LEAVES)) == hashes
    assert merkle.verify_consistency(old, new, hashes, ROOTS[old], ROOTS[new])


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=70), st.data())
@settings(max_examples=150, deadline=None)
def test_a_second_implementation_agrees_on_roots_and_proofs(leaves, data):
    """What `pymerkle` computes over the same leaves is what we compute."""
    oracle = InmemoryTree(algorithm="sha256")
    for leaf in leaves:
        oracle.append_entry(leaf)
    size, hash_at = len(leaves), memory(leaves)
    old = data.draw(st.integers(1, size))
    index = data.draw(st.integers(0, size - 1))
    assert merkle.root_at(size, hash_at) == oracle.get_root(size)
    assert merkle.root_at(old, hash_at) == oracle.get_root(old)
    theirs = oracle.prove_inclusion(index + 1, size)
    ours = merkle.inclusion_proof(index, size, hash_at)
    assert ours == theirs.path[1:]  # theirs begins with the leaf itself
    assert merkle.verify_inclusion(merkle.leaf_hash(leaves[index]), index, size, ours, oracle.get_root(size))
    assert merkle.verify_consistency(
        old, size, merkle.consistency_proof(old, size, hash_at), oracle.get_root(old), oracle.get_root(size)
    )


@given(st.integers(1, 90), st.data())
@settings(max_examples=150, deadline=None)
def test_a_proof_proves_one_leaf_at_one_place_and_nothing_else(size, data):
    """Another leaf, place, size, root or proof is refused."""
    leaves = [b"%d" % number for number in range(size)]
    hash_at = memory(leaves)
    root, index = merkle.root_at(size, hash_at), data.draw(st.integers(0, size - 1))
    proof, leaf = merkle.inclusion_proof(index, size, hash_at), merkle.leaf_hash(leaves[index])
    assert merkle.verify_inclusion(leaf, index, size, proof, root)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"x"), index, size, proof, root)
    assert not merkle.verify_inclusion(leaf, index, size, proof, b"\0" * 32)
    assert not merkle.verify_inclusion(leaf, index, size, [*proof, b"\0" * 32], root)
    assert not any(merkle.verify_inclusion(leaf, other, size, proof, root) for other in range(-1, size + 2) if other != index)
    for at in range(len(proof)):
        assert not merkle.verify_inclusion(leaf, index, size, [*proof[:at], b"\0" * 32, *proof[at + 1 :]], root)
        assert not merkle.verify_inclusion(leaf, index, size, proof[:at], root)


@given(st.integers(1, 90), st.data())
@settings(max_examples=150, deadline=None)
def test_consistency_holds_for_what_only_grew(size, data):
    """A tree is consistent with each of its own beginnings, and with no tree in which an old leaf was different."""
    old = data.draw(st.integers(1, size))
    leaves = [b"%d" % number for number in range(size)]
    hash_at = memory(leaves)
    roots = merkle.root_at(old, hash_at), merkle.root_at(size, hash_at)
    proof = merkle.consistency_proof(old, size, hash_at)
    assert merkle.verify_consistency(old, size, proof, *roots)
    altered = data.draw(st.integers(0, old - 1))
    other = memory([*leaves[:altered], b"x", *leaves[altered + 1 :]])
    forged = merkle.consistency_proof(old, size, other)
    assert not merkle.verify_consistency(old, size, forged, roots[0], merkle.root_at(size, other))
    assert not merkle.verify_consistency(old, size, [*proof, b"\0" * 32], *roots)
    assert not (proof and merkle.verify_consistency(old, size, proof[:-1], *roots))
    assert merkle.verify_consistency(0, size, [], merkle.EMPTY_ROOT, roots[1])
    assert not merkle.verify_consistency(size + 1, size, proof, *roots)


def test_a_proof_that_is_too_long_is_refused_even_where_its_hashes_add_up():
    """Whoever makes a root to fit a longer proof proves nothing about a tree of that size."""
    leaf, extra = merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")
    assert not merkle.verify_inclusion(leaf, 0, 1, [extra], merkle.node_hash(extra, leaf))
    assert not merkle.verify_inclusion(leaf, 0, 1, [extra], merkle.node_hash(leaf, extra))
    node = merkle.node_hash
    old, new = node(extra, node(extra, leaf)), node(extra, node(extra, node(leaf, extra)))
    assert not merkle.verify_consistency(3, 4, [leaf, extra, extra, extra], old, new)


def test_what_cannot_be_proved_is_refused():
    """A leaf outside of the tree and a tree that shrank have no proofs."""
    with pytest.raises(ValueError, match="not in a tree"):
        merkle.inclusion_proof(8, 8, memory(LEAVES))
    with pytest.raises(ValueError, match="does not begin"):
        merkle.consistency_proof(8, 7, memory(LEAVES))
