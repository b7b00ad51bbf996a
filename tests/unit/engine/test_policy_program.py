"""Rule combination: properties first, then the examples that the contract's words call for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from llmcp.core.decide import Verdict
from llmcp.engine.policy_program import CompiledProgram
from llmcp.vocabulary import build_vocabulary
from naive_policies import CachingCompiler, Naive
from policy_strategies import PROVIDERS, policies, policy_sets, responses, rules, views

VOCABULARY = replace(build_vocabulary(PROVIDERS), compiler=CachingCompiler())
MODEST = settings(max_examples=150, deadline=None)


def names(hits: Any) -> Any:
    """Return policy and rule names of hits."""
    return [(hit.policy, hit.id) for hit in hits]


@MODEST
@given(policy_sets, st.lists(views, min_size=1, max_size=6))
def test_gate_index_and_memory_decide_as_asking_each_rule_by_itself_does(drawn: Any, asked: Any) -> None:
    """The program agrees with the naive evaluator, also when it is asked again."""
    program, naive = CompiledProgram(drawn, VOCABULARY), Naive(drawn, VOCABULARY.compiler)
    for view in [*asked, *asked]:
        decision = program.decide_request(view)
        verdict, matched, fields, stripped = naive.request(view)
        if any("another rule sets the model" in text for text in (decision.message,)):
            assert decision.verdict is Verdict.DENY
            assert verdict is Verdict.ALLOW
            continue
        assert (decision.verdict, names(decision.rules)) == (verdict, matched)
        assert (dict(decision.edits.fields), decision.edits.strip_tools) == (fields, stripped)


@MODEST
@given(policy_sets, views, responses)
def test_the_response_phase_decides_as_asking_each_rule_by_itself_does(drawn: Any, view: Any, response: Any) -> None:
    """The response rules agree with the naive evaluator, and a tool call that is refused alone is refused in the whole."""
    decision = CompiledProgram(drawn, VOCABULARY).decide_request(view)
    if decision.verdict is Verdict.DENY:
        return
    expected = Naive(drawn, VOCABULARY.compiler).response(view, response)
    if decision.response is None:
        assert expected == (Verdict.ALLOW, [])
        return
    answer = decision.response.decide(response)
    assert (answer.verdict, names(answer.rules)) == expected
    if any(decision.response.check_tool(name) for name in response.tools):
        assert answer.verdict is Verdict.DENY


many_views = st.lists(views, min_size=4, max_size=8)


def refused(drawn: Any, asked: Any) -> Any:
    """Return the views that the policies refuse."""
    program = CompiledProgram(drawn, VOCABULARY)
    return [view for view in asked if program.decide_request(view).verdict is Verdict.DENY]


@MODEST
@given(policy_sets, policies("added"), many_views)
def test_adding_a_policy_never_lifts_a_denial(drawn: Any, added: Any, asked: Any) -> None:
    """Whatever the new policy holds, `allow` rules and exceptions included, it speaks for itself only."""
    denied = refused(drawn, asked)
    for name in ("a-first", "z-last"):
        more = (*drawn, replace(added, name=name))
        assert refused(more, denied) == denied


@MODEST
@given(policy_sets, rules(effects=("deny", "set", "tools", "record"), id_="added"), many_views, st.data())
def test_adding_any_rule_but_an_allow_never_lifts_a_denial(drawn: Any, rule: Any, asked: Any, data: Any) -> None:
    """Wherever in the file it is put."""
    denied = refused(drawn, asked)
    index = data.draw(st.integers(0, len(drawn) - 1))
    at = data.draw(st.integers(0, len(drawn[index].rules)))
    old = drawn[index].rules
    changed = replace(drawn[index], rules=(*old[:at], rule, *old[at:]))
    more = (*drawn[:index], changed, *drawn[index + 1 :])
    assert refused(more, denied) == denied


@MODEST
@given(policy_sets, views, st.randoms(use_true_random=False))
def test_the_order_of_policies_and_of_rules_does_not_change_the_verdict(drawn: Any, view: Any, random: Any) -> None:
    """Policies are sorted by name; rules in another order deny or allow the same."""
    base = CompiledProgram(drawn, VOCABULARY).decide_request(view)
    shuffled = list(drawn)
    random.shuffle(shuffled)
    again = CompiledProgram(shuffled, VOCABULARY).decide_request(view)
    assert structs.replace(again, response=None) == structs.replace(base, response=None)
    reordered = [replace(policy, rules=tuple(random.sample(policy.rules, len(policy.rules)))) for policy in drawn]
    assert CompiledProgram(reordered, VOCABULARY).decide_request(view).verdict is base.verdict


@MODEST
@given(policy_sets, views)
def test_a_denial_always_names_a_rule_and_has_a_message_and_no_edits(drawn: Any, view: Any) -> None:
    """Nobody is refused without being told why, and nothing refused is edited."""
    decision = CompiledProgram(drawn, VOCABULARY).decide_request(view)
    if decision.verdict is Verdict.DENY:
        assert decision.rules
        assert decision.message
        assert not decision.edits


@MODEST
@given(policy_sets, views)
def test_rules_that_warn_or_audit_never_change_the_decision(drawn: Any, view: Any) -> None:
    """Taking them out leaves verdict, rules and edits as they were."""
    decision = CompiledProgram(drawn, VOCABULARY).decide_request(view)
    enforced = [policy for policy in drawn if policy.mode.value == "enforce"]
    alone = CompiledProgram(enforced, VOCABULARY).decide_request(view)
    assert (decision.verdict, decision.rules, decision.edits, decision.message) == (
        alone.verdict,
        alone.rules,
        alone.edits,
        alone.message,
    )
