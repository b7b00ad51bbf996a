"""Rules of `llmcp.core.virtual_keys`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.core import virtual_keys
from llmcp.core.identity import DirectoryData, Token

RANDOM = st.binary(min_size=virtual_keys.RANDOM_BYTES, max_size=virtual_keys.RANDOM_BYTES)
PEPPER = b"p" * virtual_keys.PEPPER_BYTES


@given(RANDOM)
def test_a_key_that_was_made_is_parsed_to_its_own_id(random_bytes: bytes) -> None:
    """From text and from bytes; the form is fixed."""
    token_id, prefix, text = virtual_keys.make(random_bytes)
    assert virtual_keys.parse(text) == virtual_keys.parse(text.encode()) == token_id
    assert len(text) == virtual_keys.LENGTH == 59
    assert text.startswith(prefix + "_")
    assert token_id.removeprefix("tok_") == prefix.removeprefix("llmcp_")


@given(RANDOM, RANDOM)
def test_other_random_bytes_are_another_key_and_another_digest(one: bytes, two: bytes) -> None:
    """Every random bit reaches the key: 208 of them the secret."""
    (one_id, _, one_text), (two_id, _, two_text) = virtual_keys.make(one), virtual_keys.make(two)
    assert (one_text == two_text) == (one == two)
    assert (one_id == two_id) == (one[:8] == two[:8])
    assert (virtual_keys.digest(PEPPER, one_text) == virtual_keys.digest(PEPPER, two_text)) == (one == two)


@given(RANDOM, st.data())
def test_a_key_with_one_character_changed_is_no_key(random_bytes: bytes, data: st.DataObject) -> None:
    """Rule 2: also where only the case of it changed."""
    _, _, text = virtual_keys.make(random_bytes)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(max_codepoint=0x2FF) | st.just(text[at].swapcase()))
    changed = text[:at] + other + text[at + 1 :]
    assert (virtual_keys.parse(changed) is None) == (changed != text)


@given(RANDOM, st.integers(0, 58))
def test_a_truncated_or_lengthened_key_is_no_key(random_bytes: bytes, size: int) -> None:
    """Rule 2."""
    _, _, text = virtual_keys.make(random_bytes)
    assert virtual_keys.parse(text[:size]) is None
    assert virtual_keys.parse(text + "0") is None
    assert virtual_keys.parse(text + "\n") is None
    assert virtual_keys.parse(text.lower()) is None or text == text.lower()


@given(st.text() | st.binary())
def test_anything_at_all_can_be_parsed(text: str | bytes) -> None:
    """Whatever a client sends, the answer is a value."""
    assert virtual_keys.parse(text) is None


@given(RANDOM)
def test_what_may_be_shown_has_no_character_of_the_secret(random_bytes: bytes) -> None:
    """Rule 1: the prefix hangs on the id's bytes alone."""
    other = random_bytes[:8] + bytes(byte ^ 0xFF for byte in random_bytes[8:])
    assert virtual_keys.make(random_bytes)[:2] == virtual_keys.make(other)[:2]


@settings(max_examples=25)
@given(RANDOM)
def test_a_person_may_name_a_token_by_id_prefix_or_key(random_bytes: bytes) -> None:
    """A leaked key can be revoked by pasting it."""
    token_id, prefix, text = virtual_keys.make(random_bytes)
    assert {virtual_keys.named(spelt) for spelt in (token_id, prefix, text)} == {token_id}
    assert {virtual_keys.named(spelt) for spelt in ("", "tok_", prefix + "_", text[:-1], token_id + "x", "sk-1")} == {None}


def test_the_digest_is_keyed_and_over_exact_characters() -> None:
    """Rule 3."""
    _, _, text = virtual_keys.make(bytes(34))
    assert virtual_keys.digest(PEPPER, text) == virtual_keys.digest(PEPPER, text.encode())
    assert virtual_keys.digest(PEPPER, text) != virtual_keys.digest(b"q" * 32, text)
    assert len(virtual_keys.digest(PEPPER, text)) == 32


def test_too_little_randomness_is_refused() -> None:
    """A caller's slip must not make a weak key."""
    with pytest.raises(ValueError, match="34 random bytes"):
        virtual_keys.make(b"short")


def test_no_repr_shows_a_digest_or_the_pepper() -> None:
    """They end in tracebacks otherwise."""
    directory = DirectoryData(tokens=(Token(id="tok_1", prefix="llmcp_1", digest=b"DIGEST"),), pepper=b"PEPPER")
    assert "PEPPER" not in repr(directory)
    assert "DIGEST" not in repr(directory.tokens)
