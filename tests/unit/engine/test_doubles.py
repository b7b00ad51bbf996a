"""Rules of `llmcp.engine.doubles`."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcp.engine.doubles import double_inside

NAMES = st.sampled_from(["content", "name", "other", "text"])
VALUES = st.recursive(
    st.text(max_size=12) | st.none(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner), max_leaves=8
)


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":[{"content":"a","content":"b"}]}',
        b'{"messages":[{"content":"a","Content":"b"}]}',
        b'{"messages":[{"content":"a","\\u0063ontent":"b"}]}',
        b'{"tools":[{"function":{"name":"a"},"function":{"name":"b"}}]}',
        b'{"tools":[{"function":{"name":"a" , "NAME":"b"}}]}',
        b'{"a":"\\ud800","messages":[{"content":[{"text":"a","text":"b"}]}]}',
    ],
)
def test_a_key_that_stands_twice_is_found(body: bytes) -> None:
    """In one spelling, in two letter cases, behind an escape; also in text that only lenient readers take."""
    assert double_inside(body)


@given(VALUES, st.booleans())
def test_what_a_writer_writes_has_no_doubles(value: object, ascii_only: bool) -> None:
    """Whatever the texts say, quoted keys included."""
    assert not double_inside(json.dumps({"messages": [value, '"content":"content"']}, ensure_ascii=ascii_only).encode())


def test_other_keys_may_stand_as_they_like() -> None:
    """A tool's own arguments are nobody's business."""
    assert not double_inside(b'{"a":1,"A":2,"a":3,"properties":{"Content":{},"x":{}}}')


def test_what_is_no_json_has_no_doubles() -> None:
    """The dialect says what is wrong with it."""
    assert not double_inside(b'{"content":')
    assert not double_inside(b"[" * 100_000)


KEYS = st.sampled_from(["role", "content", "Content", "text", "name", "x"])
OBJECTS = st.lists(st.lists(st.tuples(KEYS, st.sampled_from(["content", "a", '"', "{}"])), max_size=4), max_size=4)


@given(OBJECTS)
def test_counting_contents_misses_no_double(objects):
    """What a dialect read accounts for as many keys as there are objects that have one: a second key is one too many."""
    wire = ["{" + ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in pairs) + "}" for pairs in objects]
    body = ('{"messages":[' + ",".join(wire) + "]}").encode()
    read = sum(any(key == "content" for key, _ in pairs) for pairs in objects)
    governed = ("content", "text", "name")
    doubled = any(sum(key.lower() == name for key, _ in pairs) > 1 for pairs in objects for name in governed)
    assert bool(double_inside(body, read)) == doubled
