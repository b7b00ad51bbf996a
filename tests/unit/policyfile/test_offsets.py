"""A condition's place in the file, whatever the scalar's style."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.policyfile.document import Source, read_document
from llmcp.policyfile.nodes import Mapping, Scalar
from llmcp.policyfile.offsets import locate

WORDS = st.lists(st.sampled_from(["request.model", "==", '"a"', "'b'", "&&", "\\", "\u00e9\U0001f600"]), min_size=1, max_size=6)


def scalar_of(text: str) -> Any:
    """Return the value under the only key."""
    source = Source("f")
    root = read_document(text.encode(), source)
    assert isinstance(root, Mapping), source.problems
    node = root.entries["k"].value
    assert isinstance(node, Scalar)
    return node


def char_at(text: str, position: Any) -> Any:
    """Return the character at a position."""
    return text.split("\n")[position.line - 1][position.column - 1]


STYLES = {
    "single": lambda words: "k: '" + " ".join(words).replace("'", "''") + "'\n",
    "double": lambda words: 'k: "' + " ".join(words).replace("\\", "\\\\").replace('"', '\\"') + '"\n',
    "literal": lambda words: "k: |\n" + "".join(f"    {word}\n" for word in words),
    "folded": lambda words: "k: >-\n" + "".join(f"  {word}\n" for word in words),
    "single over lines": lambda words: "k: '" + "\n   ".join(word.replace("'", "''") for word in words) + "'\n",
}


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=40, deadline=None)
@given(words=WORDS)
def test_each_character_of_a_value_is_found_where_it_stands(style: str, words: list[str]) -> None:
    """But for blanks and line ends, the file has the same character at the place."""
    text = STYLES[style](words)
    node = scalar_of(text)
    for offset, char in enumerate(node.text):
        if not char.isspace():
            assert char_at(text, locate(text, node, offset)) == ("\\" if style == "double" and char in '"\\' else char)


def test_words_are_found_at_their_own_start() -> None:
    """The second of two equal words is not taken for the first."""
    text = "k: >-\n  a.b ==\n  a.b\n"
    node = scalar_of(text)
    place = locate(text, node, node.text.rindex("a.b"))
    assert (place.line, place.column) == (3, 3)


def test_a_place_past_the_end_is_at_the_end_or_the_scalars_own() -> None:
    """A condition that breaks off."""
    text = "k: 'a &&'\n"
    place = locate(text, scalar_of(text), 4)
    assert (place.line, place.column) == (1, 9)
