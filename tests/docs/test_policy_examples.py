"""Every policy in the docs is read as the daemon reads it, and its tests are run."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from docs.support import PAGES, ROOT, fenced
from llmcp.control.policy_tests import run_tests
from llmcp.core.policy import Severity
from llmcp.policyfile.parse import parse_policy
from llmcp.providers.catalog import load_catalog
from llmcp.vocabulary import build_vocabulary

_NOW = datetime(2026, 11, 21, tzinfo=UTC)
_VOCABULARY = build_vocabulary(load_catalog().entries, allow_full=True)
_EXAMPLES = [
    pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, text in enumerate(fenced(page, "yaml"), 1)
    if "apiVersion" in text
]


@pytest.mark.parametrize("text", _EXAMPLES)
def test_an_example_policy_loads_and_its_tests_pass(text: str) -> None:
    """No error in any example; what its tests expect is what the program decides."""
    parsed = parse_policy(text.encode(), "example.yaml", _VOCABULARY, _NOW)
    assert [problem for problem in parsed.problems if problem.severity is Severity.ERROR] == []
    assert parsed.policy is not None
    assert [(result.name, result.why) for result in run_tests((parsed.policy,), _VOCABULARY, _NOW) if not result.passed] == []


def test_there_are_examples() -> None:
    """The search for examples finds them: README and the policies' page."""
    assert len(_EXAMPLES) >= 7


def test_the_two_policies_that_intersect_decide_as_the_page_says() -> None:
    """The worked example of `Allow and deny`: both policies are asked, and a request must pass both."""
    from llmcp.control.policies import evaluate
    from llmcp.engine.policy_program import CompiledProgram

    texts = [t for t in fenced(ROOT / "docs" / "policies.md", "yaml") if "approved-models}" in t or "own-keys-stay-here" in t]
    policies = [parse_policy(text.encode(), f"{n}.yaml", _VOCABULARY, _NOW).policy for n, text in enumerate(texts)]
    program = CompiledProgram([policy for policy in policies if policy is not None], _VOCABULARY)

    def verdict(model: str, provider: str) -> tuple[str, list[str]]:
        answer = evaluate(program, {"request": {"model": model, "provider": provider}}, _NOW)
        return answer["verdict"], [rule["id"] for rule in answer["rules"]]

    assert verdict("gpt-4o-mini", "openrouter") == ("deny", ["small", "no-aggregators"])
    assert verdict("o1-pro", "openai") == ("deny", ["default-deny"])
    assert verdict("gpt-4o-mini", "openai") == ("allow", ["small"])
