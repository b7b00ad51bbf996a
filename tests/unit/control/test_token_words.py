"""Rules of `llmcp.control.token_words`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcp.control import token_words
from llmcp.core.records import timestamp
from llmcp.errors import UsageError

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PROVIDERS = ("openai", "anthropic", "azure")


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("30d", NOW + timedelta(days=30)),
        ("12h", NOW + timedelta(hours=12)),
        (" 90s ", NOW + timedelta(seconds=90)),
        ("2w", NOW + timedelta(weeks=2)),
        ("2026-06-01", datetime(2026, 6, 2, tzinfo=UTC)),
        ("2026-07-01T12:00:00Z", datetime(2026, 7, 1, 12, tzinfo=UTC)),
        ("2026-07-01T12:00:00+02:00", datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("2026-07-01T12:00", datetime(2026, 7, 1, 12, tzinfo=UTC)),
    ],
)
def test_an_end_is_a_span_or_a_moment(text: str, end: datetime) -> None:
    """Rule 1; a day alone lasts to its end."""
    assert token_words.parse_end(text, NOW) == timestamp(end)


def test_never_is_never() -> None:
    """The only way to make a token without an end."""
    assert token_words.parse_end("never", NOW) == ""


@pytest.mark.parametrize(
    "text", ["", "0", "0d", "30", "d", "-1d", "1y", "2026-05-31", "soon", "9999-12-31", "999999999w", "0001-01-01", "٣d"]
)
def test_an_end_that_is_none_or_past_is_refused(text: str) -> None:
    """Rule 1: a token is not made by mistake without an end, or dead."""
    with pytest.raises(UsageError):
        token_words.parse_end(text, NOW)


def test_a_grace_is_a_span_from_now() -> None:
    """Or nothing at all."""
    assert token_words.parse_grace("0", NOW) == token_words.parse_grace("0s", NOW) == timestamp(NOW)
    assert token_words.parse_grace("1h", NOW) == timestamp(NOW + timedelta(hours=1))
    for text in ("", "never", "2026-07-01", "h"):
        with pytest.raises(UsageError):
            token_words.parse_grace(text, NOW)


NAMES = st.from_regex(r"[a-z0-9_.-]{1,64}", fullmatch=True)


@given(st.dictionaries(NAMES, NAMES, max_size=16), st.booleans())
def test_labels_that_were_written_are_read(labels: dict[str, str], together: bool) -> None:
    """With commas or with one option each."""
    pairs = [f"{key}={value}" for key, value in labels.items()]
    assert token_words.parse_labels([",".join(pairs)] if together else pairs) == labels


@pytest.mark.parametrize(
    "pairs",
    [["a"], ["=b"], ["a="], ["A=b"], ["a=b c"], ["a=b,"], ["a=b", "a=c"], [f"k{n}=v" for n in range(17)], ["a=" + "v" * 65]],
)
def test_labels_that_are_none_are_refused(pairs: list[str]) -> None:
    """Rule 2."""
    with pytest.raises(UsageError):
        token_words.parse_labels(pairs)


def test_a_scope_is_globs_that_cover_something() -> None:
    """Rule 3; a provider that is misspelt would make a token that is good for nothing."""
    assert token_words.parse_providers(["OpenAI,a*"], PROVIDERS) == ("openai", "a*")
    assert token_words.parse_models(["gpt-4o*, claude-*", "gpt-4o*"]) == ("gpt-4o*", "claude-*")
    with pytest.raises(UsageError) as raised:
        token_words.parse_providers(["opnai"], PROVIDERS)
    assert raised.value.fix == "did you mean `openai`?"


@pytest.mark.parametrize(
    ("read", "texts"),
    [
        (token_words.parse_models, ["a,,b"]),
        (token_words.parse_models, ["a b"]),
        (token_words.parse_models, ["a\x1b[31m"]),
        (token_words.parse_models, ["x" * 129]),
        (token_words.parse_groups, ["a,"]),
        (token_words.parse_groups, [",".join(map(str, range(65)))]),
        (lambda texts: token_words.parse_providers(texts, PROVIDERS), ["z*"]),
        (lambda texts: token_words.checked_user(texts[0]), [" u"]),
        (lambda texts: token_words.checked_user(texts[0]), ["u\n"]),
    ],
)
def test_lists_with_empty_long_or_unprintable_parts_are_refused(read: Any, texts: list[str]) -> None:
    """They stand in records and on terminals."""
    with pytest.raises(UsageError):
        read(texts)
