"""Ids of decisions: well-formed, never the same twice, sorted by age."""

from __future__ import annotations

import re

from llmcp.wiring.clocks import DecisionIds


def test_ids_are_unique_and_well_formed_across_the_blocks_of_random_bytes() -> None:
    """However many are taken, each has all of its 80 random bits."""
    fresh = DecisionIds()
    ids = [fresh() for _ in range(1000)]
    assert len(set(ids)) == len(ids)
    assert len({name[-20:] for name in ids}) == len(ids)
    assert all(re.fullmatch(r"d_[0-9a-f]{32}", name) for name in ids)


def test_an_id_begins_with_its_time() -> None:
    """So that ids sort by age."""
    fresh = DecisionIds()
    times = [fresh()[2:14] for _ in range(50)]
    assert times == sorted(times)
