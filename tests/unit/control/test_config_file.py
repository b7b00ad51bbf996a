"""One key changed in a settings file: everything else stays as it was."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.config.document import parse
from llmcp.control.config_file import scalar, set_key, unset_key

COMMENTED = """\
# Settings of llmcp.

# listen:
#   port: 8900
"""

FILE = """\
# the top
listen:   # where
  port: 8900     # the gateway
  # about hosts
  allowed_hosts:
    - a.test   # one
    - b.test
  # before the next
providers:
  openai: {base_url: "https://a.test", idle_s: 3}   # flow
  lm-studio:
    base_url: http://127.0.0.1:1

# about the log
log:
  level: debug
# the end
"""


def values(text: str) -> dict[str, Any]:
    """Return what a text says."""
    return parse(text, "f").values


def put(document: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    """Return `document` with one value changed."""
    changed = copy.deepcopy(document)
    here = changed
    for part in path[:-1]:
        here = here.setdefault(part, {})
    here[path[-1]] = value
    return changed


def drop(document: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Return `document` without one value and without what is empty then."""
    changed = copy.deepcopy(document)
    holders = [changed]
    for part in path[:-1]:
        holders.append(holders[-1][part])
    for holder, part in zip(reversed(holders), reversed(path), strict=True):
        if (part == path[-1] and holder is holders[-1]) or not holder[part]:
            del holder[part]
    return changed


def comments(text: str) -> list[str]:
    """Return the lines that are nothing but a comment."""
    return [line for line in text.splitlines() if line.lstrip().startswith("#")]


def test_a_value_is_changed_in_its_place() -> None:
    """With the comment behind it."""
    assert set_key(FILE, ("listen", "port"), 1) == FILE.replace("port: 8900", "port: 1")


def test_a_new_key_goes_to_the_end_of_its_section() -> None:
    """In the section's own indentation, before the comment that leads to the next."""
    changed = set_key(FILE, ("listen", "admin_port"), 2)
    assert changed == FILE.replace("    - b.test\n", "    - b.test\n  admin_port: 2\n")


def test_a_new_section_goes_to_the_end_of_the_file() -> None:
    """After everything else, also after comments."""
    assert set_key(FILE, ("auth", "require_virtual_key"), True) == FILE + "auth:\n  require_virtual_key: true\n"


def test_the_file_that_init_writes_takes_its_first_key() -> None:
    """It is nothing but comments."""
    assert set_key(COMMENTED, ("listen", "port"), 0) == COMMENTED + "listen:\n  port: 0\n"
    assert set_key("", ("store",), "sqlite:///x.db") == "store: sqlite:///x.db\n"


def test_a_block_list_becomes_the_new_list() -> None:
    """On the key's own line."""
    changed = set_key(FILE, ("listen", "allowed_hosts"), ["c.test", "*"])
    assert '  allowed_hosts: [c.test, "*"]\n  # before the next\n' in changed


def test_flow_mappings_are_edited_in_their_braces() -> None:
    """Added, changed, removed."""
    assert '{base_url: "https://a.test", idle_s: 3, total_s: 9}   # flow' in set_key(FILE, ("providers", "openai", "total_s"), 9)
    assert '{base_url: "https://a.test", idle_s: 4}   # flow' in set_key(FILE, ("providers", "openai", "idle_s"), 4)
    assert "{idle_s: 3}   # flow" in unset_key(FILE, ("providers", "openai", "base_url"))
    assert '{base_url: "https://a.test"}   # flow' in unset_key(FILE, ("providers", "openai", "idle_s"))
    assert values(set_key("listen: {}\n", ("listen", "port"), 1)) == {"listen": {"port": 1}}


def test_taking_a_key_out_leaves_the_comments_of_the_others() -> None:
    """The one on its own line goes with it."""
    changed = unset_key(FILE, ("listen", "port"))
    assert changed == FILE.replace("  port: 8900     # the gateway\n", "")


def test_a_section_without_keys_goes_too() -> None:
    """`log:` alone would be null, which is no section."""
    assert unset_key(FILE, ("log", "level")) == FILE.replace("log:\n  level: debug\n", "")
    assert values(unset_key("a:\n  b:\n    c: 1\nd: 2\n", ("a", "b", "c"))) == {"d": 2}
    assert values(unset_key("a: {b: {c: 1}}\nd: 2\n", ("a", "b", "c"))) == {"d": 2}


def test_an_empty_section_takes_a_key() -> None:
    """A name with nothing behind it."""
    assert values(set_key("log:   # nothing yet\nstore: x\n", ("log", "level"), "info")) == {
        "log": {"level": "info"},
        "store": "x",
    }


def test_windows_lines_stay_windows_lines() -> None:
    """And the new one is one."""
    text = FILE.replace("\n", "\r\n")
    for changed in (
        set_key(text, ("listen", "admin_port"), 2),
        set_key(text, ("auth", "require_virtual_key"), True),
        unset_key(text, ("listen", "port")),
    ):
        assert changed.count("\n") == changed.count("\r\n")


PATHS = st.sampled_from(
    [
        ("listen", "port"), ("listen", "admin_port"), ("listen", "allowed_hosts"), ("providers", "openai", "idle_s"),
        ("providers", "openai", "total_s"), ("providers", "lm-studio", "base_url"), ("providers", "x.y", "base_url"),
        ("log", "level"), ("log", "format"), ("auth", "jwt", "claims", "org"), ("auth", "require_virtual_key"), ("store",),
    ]
)  # fmt: skip
WORDS = st.sampled_from(
    [
        "",
        "a",
        "true",
        "1",
        "1_000",
        "0x1f",
        "a: b",
        "#x",
        "*",
        "&a",
        "!t",
        "- a",
        "ü",
        '"',
        "'",
        "a\nb",
        "\t",
        "~",
        "[",
        "http://h:1/p",
        "a:",
        "null ",
    ]
) | st.text(
    st.characters(codec="utf-8", exclude_characters="\x7f\x85\ufeff", exclude_categories=("Cc", "Cs", "Co", "Cn")), max_size=12
)
VALUES = st.integers(-5, 10**6) | st.booleans() | WORDS | st.lists(WORDS, max_size=3)


@settings(max_examples=200, deadline=None)
@given(
    edits=st.lists(st.tuples(PATHS, st.none() | VALUES), max_size=8),
    start=st.sampled_from(["", COMMENTED, FILE, FILE.rstrip("\n"), FILE.replace("\n", "\r\n")]),
)
def test_any_edits_change_exactly_what_they_name(edits: list[tuple[tuple[str, ...], Any]], start: str) -> None:
    """After each edit the file says what it said, but for the one key; no comment line is lost."""
    text, expected = start, values(start)
    for path, value in edits:
        if value is None:
            try:
                wanted = drop(expected, path)
            except (KeyError, TypeError):
                continue
            text, expected = unset_key(text, path), wanted
        else:
            text, expected = set_key(text, path, value), put(expected, path, value)
        assert values(text) == expected
        assert comments(text) == comments(start)


@pytest.mark.parametrize("value", ["https://a.test/v1", "sqlite:///llmcp.db", "gpt-4o", "/etc/x"])
def test_ordinary_words_need_no_quotes(value: str) -> None:
    """As a person would write them."""
    assert scalar(value) == value
