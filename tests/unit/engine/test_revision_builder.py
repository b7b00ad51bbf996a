"""The revision is its content."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings

from llmcp.core.policy import Position
from llmcp.engine.revision_builder import build_revision, content_digest
from llmcp.vocabulary import build_vocabulary
from naive_policies import CachingCompiler
from policy_strategies import PROVIDERS, policy_sets

VOCABULARY = replace(build_vocabulary(PROVIDERS), compiler=CachingCompiler())


@settings(max_examples=50, deadline=None)
@given(policy_sets)
def test_the_id_depends_on_content_not_on_order_files_or_places(drawn: Any) -> None:
    """The same policies in another order, from another file, give the same revision."""
    moved = [replace(policy, file="elsewhere.yaml", position=Position(9, 9)) for policy in reversed(drawn)]
    revision = build_revision(drawn, "s", VOCABULARY)
    again = build_revision(moved, "s", VOCABULARY, number=7)
    assert revision.id == again.id
    assert revision.id == f"sha256:{revision.digest[:16]}"
    assert again.number == 7


@settings(max_examples=50, deadline=None)
@given(policy_sets, policy_sets)
def test_two_revisions_have_one_id_only_where_their_content_is_one(first: Any, second: Any) -> None:
    """Every field that bears on decisions enters the hash; so do the settings."""
    assert (content_digest(first, "") == content_digest(second, "")) is (first == second)
    assert content_digest(first, "a") != content_digest(first, "b")
