"""The policies that llmcp ships hold what their tests say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from llmcp.control.policies import load
from llmcp.control.policy_tests import run_tests
from llmcp.vocabulary import build_vocabulary

POLICIES = Path(__file__).parents[3] / "policies"
VOCABULARY = build_vocabulary({"openai", "anthropic", "gemini", "ollama", "deepseek"})
NOW = datetime(2026, 6, 1, tzinfo=UTC)
LOADED = load([POLICIES], VOCABULARY, NOW)


def test_the_shipped_policies_load_without_errors_and_have_tests() -> None:
    """Warnings are allowed: one of them looks at responses."""
    assert LOADED.ok
    assert len(LOADED.policies) >= 5
    assert all(policy.tests and policy.title and policy.owners for policy in LOADED.policies)


@pytest.mark.parametrize(
    "result", run_tests(LOADED.policies, VOCABULARY, NOW), ids=lambda result: f"{result.policy}: {result.name}"
)
def test_the_shipped_policies_pass_their_own_tests(result: Any) -> None:
    """Each inline test."""
    assert result.passed, result.why
