"""Leaves in tiles: however they come, the tree is the one over all of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from llmcp.core import merkle
from llmcp.core.ledger import BrokenTreeError
from llmcp.stores.sqlite.schema import TABLES_OF_2
from llmcp.stores.sqlite.tree import TileReader, append_leaves, damage_of, tree_size


def fresh() -> sqlite3.Connection:
    """Return an empty store in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in TABLES_OF_2:
        connection.execute(statement)
    return connection


def leaves_of(count: int) -> list[bytes]:
    """Return so many records."""
    return [b"record %d" % number for number in range(count)]


def plain_root(leaves: list[bytes]) -> bytes:
    """Return the root by the definition: split at the largest power of two below."""
    if len(leaves) < 2:
        return merkle.leaf_hash(leaves[0]) if leaves else merkle.EMPTY_ROOT
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return merkle.node_hash(plain_root(leaves[:half]), plain_root(leaves[half:]))


def tiles(connection: sqlite3.Connection) -> list[tuple]:
    """Return all tiles."""
    return connection.execute("SELECT stream, level, number, hashes FROM tiles ORDER BY 1, 2, 3").fetchall()


@given(st.lists(st.integers(1, 600), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_any_cut_into_batches_gives_the_same_tiles(cuts):
    """Batches of any length leave what one batch of all leaves would."""
    leaves = leaves_of(sum(cuts))
    with closing(fresh()) as by_parts, closing(fresh()) as at_once:
        first = 1
        for count in cuts:
            assert append_leaves(by_parts, "decision", first, leaves[first - 1 : first - 1 + count])
            first += count
        append_leaves(at_once, "decision", 1, leaves)
        assert tiles(by_parts) == tiles(at_once)
        assert tree_size(by_parts, "decision") == len(leaves)
        assert merkle.root_at(len(leaves), TileReader(by_parts, "decision")) == plain_root(leaves)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 512, 513, 1000])
def test_proofs_come_from_tiles_at_every_edge(size):
    """Around the widths of tiles, proofs for the first, the last and a middle leaf verify, and so does growth."""
    leaves = leaves_of(size)
    with closing(fresh()) as connection:
        append_leaves(connection, "decision", 1, leaves)
        reader = TileReader(connection, "decision")
        root = merkle.root_at(size, reader)
        for index in {0, size // 2, size - 1}:
            proof = merkle.inclusion_proof(index, size, reader)
            assert merkle.verify_inclusion(merkle.leaf_hash(leaves[index]), index, size, proof, root)
        for old in {1, size // 2 or 1, size - 1 or 1}:
            proof = merkle.consistency_proof(old, size, reader)
            assert merkle.verify_consistency(old, size, proof, plain_root(leaves[:old]), root)


def test_a_third_level_of_tiles_begins_when_the_second_is_full():
    """After 65,536 leaves level 1 has a full tile whose root stands in level 2."""
    leaves = leaves_of(65536 + 300)
    with closing(fresh()) as connection:
        append_leaves(connection, "decision", 1, leaves[:65000])
        append_leaves(connection, "decision", 65001, leaves[65000:])
        reader = TileReader(connection, "decision")
        assert [len(reader.tile(level, 0)) // 32 for level in (0, 1, 2, 3)] == [256, 256, 1, 0]
        assert merkle.root_at(len(leaves), reader) == plain_root(leaves)


def test_streams_have_trees_of_their_own():
    """A leaf of one stream is none of another's."""
    with closing(fresh()) as connection:
        append_leaves(connection, "decision", 1, leaves_of(3))
        append_leaves(connection, "control", 1, leaves_of(2))
        assert (tree_size(connection, "decision"), tree_size(connection, "control")) == (3, 2)
        assert tree_size(connection, "other") == 0


@pytest.mark.parametrize("first", [1, 3, 5, 99])
def test_records_that_do_not_follow_the_last_leaf_mark_the_stream(first):
    """They get no leaves, and the reason is kept: the first one."""
    with closing(fresh()) as connection:
        append_leaves(connection, "decision", 1, leaves_of(3))
        before = tiles(connection)
        assert not append_leaves(connection, "decision", first, [b"x"])
        assert not append_leaves(connection, "decision", 77, [b"x"])
        assert tiles(connection) == before
        assert damage_of(connection, "decision") == f"record {first} came, but the tree has 3 leaves"
        assert damage_of(connection, "control") == ""


def test_a_rolled_back_batch_leaves_no_leaf():
    """Leaves are the transaction's: another batch in their place is accepted."""
    with closing(fresh()) as connection:
        connection.execute("BEGIN")
        append_leaves(connection, "decision", 1, leaves_of(300))
        connection.execute("ROLLBACK")
        assert append_leaves(connection, "decision", 1, leaves_of(2))
        assert tree_size(connection, "decision") == 2


def test_a_hole_in_the_tiles_is_named():
    """A proof over a tile that is not there says which one."""
    with closing(fresh()) as connection:
        append_leaves(connection, "decision", 1, leaves_of(600))
        connection.execute("DELETE FROM tiles WHERE level = 0 AND number = 1")
        with pytest.raises(BrokenTreeError) as caught:
            merkle.inclusion_proof(300, 600, TileReader(connection, "decision"))
        assert caught.value.why == "tile 1 of level 0 is not there or too short"
