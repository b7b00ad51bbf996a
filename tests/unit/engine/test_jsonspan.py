"""JSON splicing: outside the edits bytes are equal, and the result is the document that was meant."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llmcp.engine.jsonspan import (
    Edit,
    apply,
    doubtful_keys,
    elements,
    find,
    members,
    remove_elements,
    remove_members,
    set_members,
)

_text = st.text(alphabet='ab{}[],:"\\/é\u2028\n ', max_size=6)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.floats(allow_nan=False, allow_infinity=False) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=10,
)
_objects = st.dictionaries(_text, _values, max_size=5)
_style = st.sampled_from([{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])


def render(value: Any, style: dict[str, Any]) -> bytes:
    """Render `value` in one of the styles that clients use."""
    return json.dumps(value, **style).encode()


def kept(text: bytes, edits: list[Edit]) -> bool:
    """Whether the bytes between the edits are in the result, in place."""
    result, shift = apply(text, edits), 0
    position = 0
    for edit in sorted(edits):
        if text[position : edit.start] != result[position + shift : edit.start + shift]:
            return False
        shift += len(edit.data) - (edit.end - edit.start)
        position = edit.end
    return text[position:] == result[position + shift :]


@given(value=_objects, style=_style, pad=st.sampled_from([b"", b" ", b"\r\n\t"]))
@settings(max_examples=150)
def test_spans_of_members_hold_their_values(value: dict[str, Any], style: dict[str, Any], pad: bytes) -> None:
    """Every member's span parses to its value, in order."""
    text = pad + render(value, style) + pad
    found = members(text)
    assert [(m.key, json.loads(text[m.value : m.end])) for m in found] == list(value.items())


@given(value=st.lists(_values, max_size=6), style=_style)
@settings(max_examples=100)
def test_spans_of_elements_hold_their_values(value: list[Any], style: dict[str, Any]) -> None:
    """Every element's span parses to it."""
    text = render(value, style)
    assert [json.loads(text[s.start : s.end]) for s in elements(text, 0)] == value


@given(value=_objects, changes=st.dictionaries(_text, _values, max_size=3), style=_style)
@settings(max_examples=150)
def test_setting_members_gives_the_intended_document(
    value: dict[str, Any], changes: dict[str, Any], style: dict[str, Any]
) -> None:
    """Replacing and inserting equals the dictionary update, and all other bytes stay."""
    text = render(value, style)
    edits = set_members(text, changes)
    assert json.loads(apply(text, edits)) == value | changes
    assert kept(text, edits)


@given(value=_objects, style=_style, data=st.data())
@settings(max_examples=150)
def test_removing_members_leaves_the_others(value: dict[str, Any], style: dict[str, Any], data: st.DataObject) -> None:
    """Any set of members can be taken out, first, last, adjacent or all."""
    gone = data.draw(st.sets(st.sampled_from(sorted(value)))) if value else set()
    text = render(value, style)
    edits = remove_members(text, gone)
    assert json.loads(apply(text, edits)) == {k: v for k, v in value.items() if k not in gone}
    assert kept(text, edits)


@given(value=st.lists(_values, max_size=6), style=_style, gone=st.sets(st.integers(0, 6)))
@settings(max_examples=150)
def test_removing_elements_leaves_the_others(value: list[Any], style: dict[str, Any], gone: set[int]) -> None:
    """Any set of elements can be taken out."""
    text = render(value, style)
    edits = remove_elements(text, 0, gone)
    assert json.loads(apply(text, edits)) == [v for i, v in enumerate(value) if i not in gone]
    assert kept(text, edits)


@given(value=_objects, style=_style, key=_text, index=st.integers(0, 3))
@settings(max_examples=100)
def test_a_path_leads_where_indexing_leads(value: dict[str, Any], style: dict[str, Any], key: str, index: int) -> None:
    """`find` agrees with plain indexing, and says None where that fails."""
    text = render({"outer": [value, 1]}, style)
    assert find(text, ("outer", 5)) is None
    span = find(text, ("outer", 0, key))
    if key in value:
        assert span is not None
        assert json.loads(text[span.start : span.end]) == value[key]
    else:
        assert span is None


@given(
    text=st.binary(max_size=40)
    | st.lists(st.sampled_from([b"{", b"}", b"[", b'"', b":", b",", b"1", b"\\"]), max_size=20).map(b"".join)
)
@settings(max_examples=150)
def test_text_that_is_not_json_raises_value_error_or_nothing(text: bytes) -> None:
    """Rule 2: no loop and no other exception on hostile text."""
    for call in (members, lambda t: elements(t, 0)):
        try:
            call(text)
        except ValueError:
            continue


def test_edits_that_overlap_are_refused() -> None:
    """Overlap is the caller's bug."""
    with pytest.raises(ValueError, match="overlap"):
        apply(b"0123456789", [Edit(0, 5, b""), Edit(3, 6, b"")])


def test_duplicate_keys_are_all_edited() -> None:
    """Rule 3: whichever a reader takes, it reads the new value."""
    text = b'{"a": 1, "a": 2}'
    assert apply(text, set_members(text, {"a": 9})) == b'{"a": 9, "a": 9}'


@pytest.mark.parametrize(
    "text",
    [
        '{"model":"a","model":"b"}',
        '{"model":"a","mod\\u0065l":"b"}',
        '{"model":"a","\\u006Dodel":"b"}',
        '{"model":"a","Model":"b"}',
        '{"MODEL":"b"}',
        '{"model":12,"model":1}',
        '{"model":12,"model":1,"b":1,"c":1,"d":1,"e":1,"f":1}',
        '{"x":{"model":1},"model":"a","x2":{"a":[1,"}"]},"mOdel":"b"}',
    ],
)
def test_a_key_that_readers_may_read_differently_is_found(text: str) -> None:
    """Twice, escaped, or in another letter case."""
    assert doubtful_keys(text.encode(), frozenset({"model", "stream"})) == ("model",)


@pytest.mark.parametrize("key", ["\u017ftream", "\\u017Ftream", "to\u212aen"])
def test_letters_that_fold_into_ascii_are_found(key: str) -> None:
    """Go's case folding takes the long s and the Kelvin sign for letters of a key."""
    text = f'{{"{key}":true}}'.encode()
    assert doubtful_keys(text, frozenset({"stream", "token"})) in {("stream",), ("token",)}


@pytest.mark.parametrize(
    "text",
    [
        '{"model":"a"}',
        '{"model":"model","x":"\\"model\\""}',
        '{"messages":[{"model":"b","Model":1}],"model":"a"}',
        '{"model":"\\u003cscript\\u003e","tools":[{"model":1}]}',
        "{}",
    ],
)
def test_an_innocent_body_has_no_doubtful_keys(text: str) -> None:
    """Nested members and values of the same name are nobody's model."""
    assert doubtful_keys(text.encode(), frozenset({"model", "stream"})) == ()


@given(keys=st.lists(st.sampled_from(["model", "Model", "stream", "x", "modex"]), max_size=4), escape=st.booleans())
@settings(max_examples=100)
def test_doubt_is_exactly_a_second_or_misspelt_governed_key(keys: list[str], escape: bool) -> None:
    """Against a reader that keeps all pairs."""
    assume(len(keys) < 5)
    spell = (lambda k: k.replace("o", "\\u006f")) if escape else (lambda k: k)
    text = "{" + ",".join(f'"{spell(k)}":{i}' for i, k in enumerate(keys)) + "}"
    pairs = [k for k, _ in json.loads(text, object_pairs_hook=list)]
    expected = {n for n in ("model", "stream") if (c := [k.lower() for k in pairs].count(n)) > 1 or (c == 1 and n not in pairs)}
    assert set(doubtful_keys(text.encode(), frozenset({"model", "stream"}))) == expected
