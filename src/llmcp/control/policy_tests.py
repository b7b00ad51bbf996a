"""Runs the inline tests of policies.

Rules:
1. A test asks its own policy alone, so that it says something about that policy whatever else is installed.
2. The verdict must be equal; the rules named must be among those that matched, whatever their mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmcp.control.policies import decide_input, describe
from llmcp.core.policy import Problem, Severity
from llmcp.engine.eval_input import read_input
from llmcp.engine.policy_program import CompiledProgram

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from llmcp.core.policy import Policy, PolicyTest
    from llmcp.ports import Vocabulary


@dataclass(frozen=True, slots=True)
class PolicyTestResult:
    """One test's result. `why` is empty where it passed; `answer` is what `policy eval` would print."""

    policy: str
    name: str
    why: str
    problem: Problem | None
    answer: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Tell whether the expectation was met."""
        return not self.why


def run_tests(policies: Iterable[Policy], vocabulary: Vocabulary, now: datetime) -> tuple[PolicyTestResult, ...]:
    """Run every test of every policy, in order."""
    return tuple(
        _run(CompiledProgram((policy,), vocabulary), policy, case, now)
        for policy in sorted(policies, key=lambda policy: policy.name)
        for case in policy.tests
    )


def _run(program: CompiledProgram, policy: Policy, case: PolicyTest, now: datetime) -> PolicyTestResult:
    answer = describe(decide_input(program, read_input(case.input, now)))
    why = _difference(case, answer)
    problem = None
    if why:
        place = case.position
        message = f"the test `{case.name}` failed: {why}"
        problem = Problem(
            policy.file, place.line, place.column, "P301", Severity.ERROR, message, "`llmcp policy eval` shows the decision"
        )
    return PolicyTestResult(policy.name, case.name, why, problem, answer)


def _difference(case: PolicyTest, answer: dict[str, Any]) -> str:
    if case.verdict is not None and answer["verdict"] != case.verdict:
        return f"expected verdict `{case.verdict}`, got `{answer['verdict']}`"
    matched = [hit["id"] for hit in answer["rules"]]
    missing = [rule for rule in case.rules or () if rule not in matched]
    if missing:
        return f"expected the rule `{missing[0]}` to match; matched were {', '.join(f'`{rule}`' for rule in matched) or 'none'}"
    return ""
