"""Rules of `llmcp.config.document`: strict YAML with positions."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcp.config.document import Position, SettingsError, parse


def test_values_are_those_of_the_core_schema() -> None:
    """Rule 3: no dates, no `yes`, no underscores in numbers."""
    text = "a: 12\nb: 1.5\nc: true\nd: yes\ne: 1_000\nf: 2024-01-01\ng: null\nh: '12'\ni: 0x1f\nj: 12:30\nk: ~\nl: -3\n"
    assert parse(text, "f").values == {
        "a": 12, "b": 1.5, "c": True, "d": "yes", "e": "1_000", "f": "2024-01-01", "g": None, "h": "12", "i": 31, "j": "12:30",
        "k": None, "l": -3,
    }  # fmt: skip


def test_every_key_and_item_has_its_position() -> None:
    """Errors name line and column, counted from 1."""
    positions = parse("listen:\n  port: 1\n  allowed_hosts: [a, b]\n", "f").positions
    assert positions["listen",] == Position(1, 1)
    assert positions["listen", "port"] == Position(2, 3)
    assert positions["listen", "allowed_hosts", 1] == Position(3, 22)


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "\n\n"])
def test_an_empty_file_says_nothing(text: str) -> None:
    """A home with an empty settings file is a home with defaults."""
    assert parse(text, "f").values == {}


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("a: 1\nb: &x 2\n", 2, "anchor"),
        ("a: [*]\n", 1, "alias|YAML"),
        ("a: 1\nb: *x\n", 2, "alias"),
        ("a: !secret x\n", 1, "tag"),
        ("a: 1\na: 2\n", 2, "twice"),
        ("a: {b: 1, b: 2}\n", 1, "twice"),
        ("- 1\n", 1, "mapping"),
        ("just text\n", 1, "mapping"),
        ("%YAML 1.1\n---\na: 1\n", 0, "directive"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("<<: {a: 1}\n", 1, "merge"),
        ("a: [1\n", 0, "YAML"),
        ("? [a]\n: 1\n", 1, "key"),
        ("a: 'x\n", 0, "YAML"),
    ],
)
def test_what_is_not_strict_is_refused_at_its_line(text: str, line: int, word: str) -> None:
    """Rules 1 and 2."""
    with pytest.raises(SettingsError, match=f"f.*({word})") as caught:
        parse(text, "f")
    if line:
        assert caught.value.line == line


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but `SettingsError` comes out, whatever stands in the file."""
    with contextlib.suppress(SettingsError):
        assert isinstance(parse(text, "f").values, dict)
