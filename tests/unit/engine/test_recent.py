"""The bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmcp.engine.recent import MAX_WEIGHT, Recent


@given(st.lists(st.integers(0, 40)))
def test_it_never_holds_more_than_two_generations_and_never_a_wrong_value(keys: list[int]) -> None:
    """Whatever is asked in whatever order."""
    memory = Recent(5)
    for key in keys:
        assert memory.get(key) in {None, key}
        memory.put(key, key)
        assert memory.get(key) == key
        assert len(memory) <= 10


def test_what_is_asked_for_stays() -> None:
    """A hit in the old generation is carried over."""
    memory = Recent(2)
    for other in range(20):
        memory.put("kept", 1)
        memory.put(other, other)
        assert memory.get("kept") == 1


def test_a_key_too_heavy_is_not_kept() -> None:
    """Hostile names do not fill the memory."""
    memory = Recent(2)
    memory.put(("a", ("x" * MAX_WEIGHT,)), 1)
    assert len(memory) == 0
