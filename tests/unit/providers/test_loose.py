"""Reading JSON of any shape."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.core.messages import RequestEdits
from llmcp.errors import MalformedRequestError, NotEditableError
from llmcp.providers import loose, splice
from llmcp.providers.members import Members

_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=10,
)
_OBJECTS = st.dictionaries(st.text(max_size=6), _VALUES, max_size=5)
_SPACING = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")])


@given(_OBJECTS, _SPACING, st.booleans())
@settings(max_examples=150)
def test_members_are_those_of_any_reader(value: dict[str, Any], spacing: tuple[str, str], ascii_only: bool) -> None:
    """Whatever the spacing and the escapes."""
    members = Members(json.dumps(value, separators=spacing, ensure_ascii=ascii_only).encode())
    assert {name: members.value(name) for name in members.names()} == value


@given(_OBJECTS, _SPACING, st.booleans(), _VALUES)
@settings(max_examples=150)
def test_a_member_that_stands_twice_is_always_found(
    value: dict[str, Any], spacing: tuple[str, str], ascii_only: bool, again: Any
) -> None:
    """In any spacing, wherever it stands; and one that stands once never is."""
    value = value | {"model": "m"}
    text = json.dumps(value, separators=spacing, ensure_ascii=ascii_only)
    Members(text.encode()).once(frozenset({"model"}))
    for key in ('"model"', '"mod\\u0065l"'):
        twice = f"{{{key}{spacing[1]}{json.dumps(again)}{spacing[0]}{text[1:]}"
        with pytest.raises(MalformedRequestError):
            Members(twice.encode()).once(frozenset({"model"}))
        with pytest.raises(MalformedRequestError):
            Members(twice.encode()).once_in_any_case(frozenset({"model"}))


@given(_OBJECTS, _SPACING, st.integers(0, 9), st.sampled_from([(("max_tokens",),), (("a", "b"), ("c", "d"))]))
@settings(max_examples=150)
def test_setting_a_field_sets_it_and_nothing_else(
    value: dict[str, Any], spacing: tuple[str, str], number: int, place: splice.Place
) -> None:
    """For any object and any place of one or two steps."""
    body = json.dumps(value, separators=spacing).encode()
    edited = json.loads(splice.set_fields(body, RequestEdits((("x", number),)), {"x": place}))
    name = next((n for n in place[0] if n in value), place[0][0])
    if len(place) == 1:
        assert edited == value | {name: number}
    else:
        inner = value.get(name) if isinstance(value.get(name), dict) else {}
        step = next((n for n in place[1] if n in inner), place[1][0])
        assert edited == value | {name: inner | {step: number}}


def test_numbers_are_read_in_strings_and_other_types_refused() -> None:
    """A limit that a provider may read is never taken for an absent one."""
    members = Members(b'{"a":"5","b":5.0,"c":null,"d":true,"e":"x","f":[],"g":1e300,"h":"nan"}')
    assert (members.whole("a"), members.whole("b"), members.whole("c"), members.whole("z")) == (5, 5, None, None)
    for name in "defgh":
        with pytest.raises(MalformedRequestError):
            members.whole(name)


def test_counts_are_whole_and_in_range() -> None:
    """A token count that no counter holds is none."""
    assert [loose.count(v) for v in (5, 5.9, 0, -1, True, "5", 1e300, float("nan"), 2**63)] == [5, 5, 0, *[None] * 6]


def test_strings_leaves_out_what_is_opaque() -> None:
    """Signatures, encrypted and binary parts are never scanned; order is kept."""
    value = {"a": ["x", {"signature": "S", "text": "y"}], "data": "D", "b": "z"}
    assert loose.strings(value) == ["x", "y", "z"]


def test_error_bodies_of_every_form_are_read() -> None:
    """An object, an array of one, a string, none at all."""
    for body, expected in (
        (b'{"error":{"type":"t","code":5,"message":"m"}}', ("t", "5", "m")),
        (b'[{"error":{"status":"S","message":"m"}}]', ("S", "", "m")),
        (b'{"error":"m","code":"c"}', ("", "c", "m")),
        (b'{"__type":"T","message":"m"}', ("T", "", "m")),
        (b'{"detail":["m"]}', ("", "", '["m"]')),
        (b"<html>", ("", "", "<html>")),
        (b"5", ("", "", "")),
    ):
        error = loose.provider_error(body)
        assert (error.type, error.code, error.message) == expected


@pytest.mark.parametrize(
    ("target", "old", "expected"),
    [
        ("/v1/models/a:generate?x=/models/a", "a", "/v1/models/n%2Fm:generate?x=/models/a"),
        ("/v1/models/a%3A1/x", "a:1", "/v1/models/n%2Fm/x"),
    ],
)
def test_the_model_is_replaced_in_the_path_only(target: str, old: str, expected: str) -> None:
    """However the client spelled it; what would break the path is escaped."""
    assert splice.replace_model(target, old, "n/m") == expected


def test_a_model_that_the_path_does_not_name_is_not_editable() -> None:
    """A prefix of the name is not the name."""
    with pytest.raises(NotEditableError):
        splice.replace_model("/v1/models/abc:generate", "ab", "n")
