"""Globs against the standard library's regular expressions, and in bounded time."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from llmcp.core.globs import Glob, compile_globs, model_names

alphabet = st.text(alphabet="aAbB?*/.[", max_size=12)


def oracle(pattern: str, name: str) -> Any:
    """Match as rule 1 says, with a regular expression."""
    wanted = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern.casefold())
    return re.fullmatch(wanted, name.casefold(), re.DOTALL) is not None


@given(alphabet, alphabet)
@example("ab*ba", "aba")
@example("*?*", "")
@example("a*?b*", "axxb")
def test_a_glob_matches_what_its_regular_expression_matches(pattern: str, name: str) -> None:
    """`*` any run, `?` one character, everything else itself, case ignored."""
    assert Glob(pattern).matches(name.casefold()) is oracle(pattern, name)


def test_a_hostile_pattern_does_not_backtrack() -> None:
    """What takes a backtracking matcher for ever takes no noticeable work here: it ends at all."""
    glob = Glob("a*" * 100 + "b")

    assert not glob.matches("a" * 10_000)


def test_a_star_among_the_patterns_covers_everything_without_asking() -> None:
    """Also two stars; an empty list covers nothing."""
    assert compile_globs(["x", "*"]).everything
    assert compile_globs(["**"]).matches("anything")
    assert not compile_globs([]).matches("")
    assert compile_globs(["*"]).matches("")


def test_a_model_has_its_known_provider_removed_and_keeps_unknown_prefixes() -> None:
    """`meta-llama` is an author, not a provider."""
    providers = {"openai", "openrouter"}
    assert model_names("OpenAI/GPT-4o", "", "openrouter", providers).bare == ("gpt-4o",)
    assert model_names("meta-llama/llama", "", "openrouter", providers).bare == ("meta-llama/llama",)
    assert model_names("gpt-4o-latest", "openai/gpt-4o", "openai", providers).bare == ("gpt-4o-latest", "gpt-4o")


def test_a_pattern_without_a_slash_never_matches_by_the_providers_name() -> None:
    """`o*` is for o1 and o3, not for everything of OpenAI."""
    names = model_names("openai/gpt-4o", "", "openai", {"openai"})
    assert not compile_globs(["o*"]).matches_model(names)
    assert compile_globs(["openai/*"]).matches_model(names)
