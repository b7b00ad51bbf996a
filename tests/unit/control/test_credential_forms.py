"""What may be a key: its form, whose it looks like, what may be shown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.control.credential_forms import checked, clean, foreign_owner, hint
from llmcp.errors import UsageError
from llmcp.providers.catalog import ProviderEntry, load_catalog

CATALOG = load_catalog()
PAIR = "AKIA" + "ABCDEFGHIJKLMNOP" + ":" + "s3cr3t/" * 6


@settings(max_examples=200)
@given(st.text(max_size=60))
def test_what_is_taken_is_one_printable_ascii_word_and_errors_never_quote(text: str) -> None:
    """Either it can be a header's value, or it is refused without a word of it."""
    try:
        secret = clean(text)
    except UsageError as error:
        told = f"{error} {error.why} {error.fix}"
        assert len(text.strip()) < 8 or text.strip() not in told
        return
    assert secret == text.rstrip("\r\n")
    assert secret.isascii()
    assert secret.isprintable()
    assert " " not in secret


@pytest.mark.parametrize(
    "text", ["", "\n", "  ", "a b", " key", "key ", "k\u00e9y", "k\x00y", "k\ty", "key\nother", "\u4e1c" * 20]
)
def test_what_cannot_travel_in_a_header_is_refused(text: str) -> None:
    """Empty, white space, control characters, other alphabets."""
    with pytest.raises(UsageError):
        clean(text)


@pytest.mark.parametrize(
    ("provider", "key", "owner"),
    [
        ("anthropic", "sk-proj-" + "x" * 30, "openai"),
        ("anthropic", "sk-" + "x" * 30, "openai"),
        ("openai", "sk-ant-" + "x" * 30, "anthropic"),
        ("openai", "sk-" + "x" * 30, ""),
        ("openai", "whatever", ""),
        ("deepseek", "sk-" + "x" * 30, ""),
        ("deepseek", "sk-ant-" + "x" * 30, "anthropic"),
        ("deepseek", "sk-proj-" + "x" * 30, "openai"),
        ("gemini", "gsk_" + "x" * 30, "groq"),
        ("vertex", "AIza" + "x" * 30, ""),
        ("bedrock-mantle", "ABSK" + "x" * 30, ""),
        ("mistral", "x" * 32, ""),
    ],
)
def test_a_key_of_another_providers_form_is_told_from_one_of_nobodys(provider: str, key: str, owner: str) -> None:
    """`sk-` alone proves nothing where the provider has no form of its own."""
    assert foreign_owner(key, CATALOG.entries[provider], CATALOG) == owner


def test_a_foreign_key_is_taken_only_by_force() -> None:
    """It would go to the wrong company."""
    key = "sk-ant-" + "x" * 30
    with pytest.raises(UsageError, match="anthropic") as told:
        checked(key, CATALOG.entries["openai"], CATALOG, force=False)
    assert key not in f"{told.value}{told.value.why}{told.value.fix}"
    assert checked(key, CATALOG.entries["openai"], CATALOG, force=True) == key


def test_a_virtual_key_is_never_a_providers(tmp_path) -> None:
    """Not even by force: it would show our own key to a provider."""
    for key in ("llmcp_" + "x" * 30, "Bearer-LLMCP_" + "x" * 30):
        with pytest.raises(UsageError, match="virtual"):
            checked(key, ProviderEntry("own"), CATALOG, force=True)


def test_half_of_an_aws_key_pair_is_refused() -> None:
    """It could sign nothing."""
    bedrock = CATALOG.entries["bedrock"]
    with pytest.raises(UsageError, match="half"):
        checked("AKIA" + "ABCDEFGHIJKLMNOP", bedrock, CATALOG, force=False)
    assert checked(PAIR, bedrock, CATALOG, force=False) == PAIR
    assert checked(PAIR + ":session/token==", bedrock, CATALOG, force=False)


@settings(max_examples=100)
@given(st.text(alphabet="abcdefgh0123456789-_", min_size=1, max_size=60))
def test_the_hint_is_at_most_four_characters_of_a_long_key(key: str) -> None:
    """Of a short one nothing: four characters would be too much of it."""
    shown = hint(key)
    assert shown == (key[-4:] if len(key) >= 16 else "")


def test_the_hint_of_a_key_pair_is_of_its_public_half() -> None:
    """The last characters of the text would be the secret's."""
    assert hint(PAIR) == "MNOP"
