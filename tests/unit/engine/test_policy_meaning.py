"""What CONTRACT section 4 promises, sentence by sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from llmcp.control.policies import decide_input, describe, evaluate
from llmcp.core.decide import Verdict
from llmcp.engine.eval_input import read_input
from llmcp.engine.policy_program import CompiledProgram
from llmcp.policyfile.parse import parse_policy
from llmcp.vocabulary import build_vocabulary

NOW = datetime(2026, 6, 1, tzinfo=UTC)
VOCABULARY = build_vocabulary({"openai", "anthropic", "openrouter"}, lambda _provider, model: model.removesuffix("-latest"))


def program(*specs: Any, names: Any = ("p", "q", "r")) -> Any:
    """Compile policies from the text of their `spec`."""
    parsed = []
    for name, spec in zip(names, specs, strict=False):
        body = "\n".join(f"  {line}" for line in spec.strip("\n").splitlines())
        text = f"apiVersion: llmcp.dev/v1\nkind: Policy\nmetadata: {{name: {name}}}\nspec:\n{body}\n"
        parsed.append(parse_policy(text.encode(), f"{name}.yaml", VOCABULARY, NOW))
        assert parsed[-1].policy is not None, parsed[-1].problems
    return CompiledProgram([found.policy for found in parsed], VOCABULARY)


def ask(compiled: Any, request: Any = None, **more: Any) -> Any:
    """Evaluate an input document."""
    return evaluate(compiled, {"request": request or {"model": "gpt-4o", "provider": "openai"}, **more}, NOW)


def ids(answer: Any) -> Any:
    """Return the ids of the rules of an answer."""
    return [rule["id"] for rule in answer["rules"]]


def test_without_any_allow_everything_passes() -> None:
    """The default is allow, and no policies at all is the same."""
    assert ask(program())["verdict"] == "allow"
    assert ask(program("rules: [{id: x, record: {}}]"))["verdict"] == "allow"


def test_a_policy_with_allows_denies_what_none_of_its_own_matches() -> None:
    """It is reported as `default-deny` of that policy, with a message that names policy and model."""
    compiled = program('rules: [{id: ok, match: {models: ["claude-*"]}, allow: {}}]', "rules: [{id: all, allow: {}}]")
    answer = ask(compiled)
    assert answer["verdict"] == "deny"
    assert {"policy": "p", "id": "default-deny", "effect": "allow", "mode": "enforce"} in answer["rules"]
    assert "policy `p`" in answer["message"]
    assert "gpt-4o" in answer["message"]


def test_an_allow_with_a_condition_that_is_false_does_not_allow() -> None:
    """An allow has to match, not merely to exist."""
    assert ids(ask(program("rules: [{id: ok, when: request.stream, allow: {}}]"))) == ["default-deny"]


def test_policies_intersect() -> None:
    """What one allows, another may still not."""
    compiled = program(
        'rules: [{id: a, match: {models: ["gpt-*"]}, allow: {}}]', 'rules: [{id: b, match: {models: ["gpt-4*"]}, allow: {}}]'
    )
    assert ask(compiled)["verdict"] == "allow"
    assert ask(compiled, {"model": "gpt-3.5"})["verdict"] == "deny"


def test_allow_rules_bind_the_operations_they_are_for() -> None:
    """An allow for chat says nothing of embeddings."""
    compiled = program('rules: [{id: a, match: {operations: [chat], models: ["gpt-*"]}, allow: {}}]')
    assert ask(compiled, {"model": "x", "operation": "embeddings"})["verdict"] == "allow"
    assert ask(compiled, {"model": "x", "operation": "chat"})["verdict"] == "deny"


@pytest.mark.parametrize("operation", ["models", "files", "batches", "other"])
def test_a_list_of_models_does_not_bind_operations_that_name_no_model(operation: str) -> None:
    """Listing models or files passes under a list of approved models."""
    compiled = program('rules: [{id: a, match: {models: ["gpt-*"]}, allow: {}}]')
    assert ask(compiled, {"operation": operation})["verdict"] == "allow"


def test_a_list_of_models_binds_an_unknown_operation_that_names_one() -> None:
    """`other` and `batches` with a model are held against the list."""
    compiled = program('rules: [{id: a, match: {models: ["gpt-*"]}, allow: {}}]')
    assert ask(compiled, {"operation": "other", "model": "claude"})["verdict"] == "deny"


def test_a_missing_model_where_one_is_wanted_is_not_approved() -> None:
    """A chat request without a model matches no list but `*`."""
    compiled = program('rules: [{id: a, match: {models: ["gpt-*"]}, allow: {}}]')
    assert ask(compiled, {"operation": "chat"})["verdict"] == "deny"


def test_all_matching_rules_are_reported_in_policy_name_and_file_order() -> None:
    """Also where the first already denies."""
    compiled = program(
        "rules: [{id: b1, deny: {message: second}}, {id: b2, set: {max_tokens: 5}}]",
        "rules: [{id: a1, deny: {message: first}}]",
        names=("b", "a"),
    )
    answer = ask(compiled)
    assert ids(answer) == ["a1", "b1", "b2"]
    assert answer["message"] == "first"
    assert answer["obligations"] == []


def test_the_first_set_of_a_field_wins() -> None:
    """Policies by name, rules in file order."""
    compiled = program(
        "rules: [{id: x, set: {max_tokens: 2, temperature: 0}}]",
        "rules: [{id: y, set: {max_tokens: 1}}, {id: z, set: {max_tokens: 3}}]",
        names=("b", "a"),
    )
    assert ask(compiled)["obligations"] == [
        {"type": "set", "field": "max_tokens", "value": 1},
        {"type": "set", "field": "temperature", "value": 0.0},
    ]


def test_sampling_fields_are_not_set_where_they_mean_nothing() -> None:
    """An embeddings request gets no `max_tokens`, though its neutral value is above any ceiling."""
    compiled = program("rules: [{id: cap, when: request.max_tokens > 100, set: {max_tokens: 100}}]")
    assert ask(compiled, {"model": "e", "operation": "embeddings"})["obligations"] == []


def test_a_set_model_must_pass_the_rules_too() -> None:
    """A substitution does not get round another policy's list."""
    compiled = program("rules: [{id: swap, set: {model: gpt-5}}]", 'rules: [{id: ok, match: {models: ["gpt-4o"]}, allow: {}}]')
    answer = ask(compiled)
    assert answer["verdict"] == "deny"
    assert "sets the model `gpt-5`" in answer["message"]


def test_the_response_rules_of_a_set_model_are_asked_too() -> None:
    """A rule that is scoped to the substituted model guards its answer."""
    compiled = program(
        "rules: [{id: swap, set: {model: gpt-5}}]",
        'rules: [{id: no-shell, match: {models: ["gpt-5"]}, phase: response, tools: {deny: [shell]}}]',
    )
    answer = ask(compiled, response={"tools": ["shell"]})
    assert answer["verdict"] == "deny"
    assert "no-shell" in ids(answer)


def test_neutral_values_stand_for_what_a_request_does_not_say() -> None:
    """max_tokens 2^63-1, temperature 1.0, everything else empty."""
    compiled = program(
        "rules:\n"
        "- {id: max, when: request.max_tokens == 9223372036854775807 && !request.has_max_tokens, record: {}}\n"
        "- {id: temp, when: request.temperature == 1.0, record: {}}\n"
        '- {id: strings, when: \'subject.user == "" && client.ip == "" && request.text == ""\', record: {}}\n'
        "- {id: lists, when: request.tools.size() == 0 && request.labels.size() == 0, record: {}}\n"
    )
    assert ids(ask(compiled)) == ["max", "temp", "strings", "lists"]


def test_an_absent_label_is_asked_for_with_an_optional() -> None:
    """`labels[?"team"].orValue("")` is the empty string; a bare look-up fails to run."""
    compiled = program(
        'rules:\n- {id: soft, when: \'request.labels[?"team"].orValue("") == ""\', record: {}}\n'
        '- {id: hard, when: \'request.labels["team"] == "x"\', record: {}}\n'
    )
    answer = ask(compiled)
    assert ids(answer) == ["soft"]
    assert answer["faults"] == [{"policy": "p", "id": "hard", "why": "a map has no such key", "acted": False}]


@pytest.mark.parametrize(
    ("effect", "on_error", "verdict"),
    [
        ("deny: {}", "deny", "deny"),
        ("deny: {}", "ignore", "allow"),
        ('tools: {deny: ["shell"]}', "deny", "deny"),
        ('tools: {deny: ["shell"]}', "ignore", "allow"),
        ("set: {max_tokens: 1}", "deny", "deny"),
        ("set: {max_tokens: 1}", "ignore", "allow"),
        ("record: {}", "deny", "allow"),
        ("allow: {}", "ignore", "deny"),
    ],
)
def test_a_condition_that_fails_to_run_obeys_on_error(effect: str, on_error: str, verdict: Any) -> None:
    """Guards refuse or pass, an `allow` does not match; either way the fault is recorded."""
    compiled = program(f"onError: {on_error}\nrules: [{{id: x, when: 1 / request.turns > 0, {effect}}}]")
    answer = ask(compiled, {"model": "m", "tools": ["shell"]})
    assert answer["verdict"] == verdict
    assert answer["faults"][0]["why"] == "division by zero"


def test_a_guard_that_has_nothing_to_do_is_not_held_to_its_condition() -> None:
    """No denied tool is offered: whether the condition would run does not matter."""
    compiled = program('rules: [{id: x, when: 1 / request.turns > 0, tools: {deny: ["shell"]}}]')
    assert ask(compiled, {"model": "m", "tools": ["read"]}) == {"verdict": "allow", "rules": [], "message": "", "obligations": []}


def test_an_exception_switches_off_rules_of_its_own_policy_where_it_holds() -> None:
    """Another policy's rule of the same id stays."""
    spec = "rules: [{id: no, deny: {}}]\n"
    exception = "exceptions: [{id: EX, rules: [no], when: 'subject.org == \"red\"', expires: 2026-12-31}]"
    assert ask(program(spec + exception), subject={"org": "red"})["verdict"] == "allow"
    assert ask(program(spec + exception))["verdict"] == "deny"
    assert ask(program(spec + exception, spec), subject={"org": "red"})["rules"][0]["policy"] == "q"


def test_an_exception_ends_with_its_day() -> None:
    """It applies until the last instant of that day in UTC, also in a program that answered before."""
    compiled = program("rules: [{id: no, deny: {}}]\nexceptions: [{id: EX, rules: [no], expires: 2026-12-31}]")
    assert ask(compiled, now="2026-12-31T23:59:59Z")["verdict"] == "allow"
    assert ask(compiled, now="2027-01-01T00:00:00Z")["verdict"] == "deny"
    assert ask(compiled, now="2026-12-31T23:59:59-01:00")["verdict"] == "deny"


def test_an_exception_whose_condition_fails_does_not_apply() -> None:
    """And the failure is recorded under the exception's id."""
    compiled = program("rules: [{id: no, deny: {}}]\nexceptions: [{id: EX, rules: [no], when: 1 / request.turns > 0}]")
    answer = ask(compiled)
    assert answer["verdict"] == "deny"
    assert answer["faults"][0]["id"] == "EX"


def test_an_exception_lifts_the_default_denial_only_by_name() -> None:
    """`default-deny` may be named like a rule."""
    rules = "rules: [{id: ok, match: {models: [x]}, allow: {}}, {id: no, when: request.stream, deny: {}}]\n"
    assert ask(program(rules + "exceptions: [{id: EX, rules: [no]}]"))["verdict"] == "deny"
    assert ask(program(rules + "exceptions: [{id: EX, rules: [default-deny]}]"))["verdict"] == "allow"


def test_mode_warn_tells_and_mode_audit_only_records() -> None:
    """Both stand beside the decision as what would have been decided."""
    for mode, warned in (("warn", ["no"]), ("audit", [])):
        decision = program(f"mode: {mode}\nrules: [{{id: no, deny: {{}}}}, {{id: cap, set: {{max_tokens: 1}}}}]").decide_request(
            read_input({"request": {"model": "m", "operation": "embeddings"}}).view
        )
        assert decision.verdict is Verdict.ALLOW
        assert decision.rules == ()
        assert not decision.edits
        assert [hit.id for hit in decision.warnings] == warned
        assert decision.would_be is not None
        assert decision.would_be.verdict is Verdict.DENY
        assert [hit.mode for hit in decision.would_be.rules] == [mode]


def test_an_allow_that_matches_in_warn_mode_is_no_warning() -> None:
    """Only what would have changed something warns; a default denial does."""
    spec = 'mode: warn\nrules: [{id: ok, match: {models: ["gpt-*"]}, allow: {}}]'
    compiled = program(spec)
    assert compiled.decide_request(read_input({"request": {"model": "gpt-4o"}}).view).warnings == ()
    assert [hit.id for hit in compiled.decide_request(read_input({"request": {"model": "x"}}).view).warnings] == ["default-deny"]


def test_tools_compares_offers_in_requests_and_calls_in_responses() -> None:
    """The same rule guards both phases; strip takes the offer out but still refuses the call."""
    compiled = program('rules: [{id: t, tools: {deny: ["write_*"], strip: true}}]')
    answer = ask(compiled, {"model": "m", "tools": ["read", "Write_File"]})
    assert answer["verdict"] == "allow"
    assert answer["obligations"] == [{"type": "strip_tools", "tools": ["Write_File"]}]
    assert ask(compiled, {"model": "m"}, response={"tools": ["write_x"]})["verdict"] == "deny"


def test_a_tool_call_is_refused_by_name_before_the_response_is_whole() -> None:
    """`check_tool` names the rule; other names pass."""
    rules = program('rules: [{id: t, tools: {deny: ["shell"]}}]').decide_request(read_input({}).view).response
    assert rules.gates_tools
    assert not rules.holds
    assert rules.check_tool("read") is None
    assert "rule `t` of policy `p`" in rules.check_tool("SHELL").message


def test_rules_that_only_warn_do_not_hold_the_stream_nor_gate_tools() -> None:
    """They still say what they need to read."""
    rules = program('mode: warn\nrules: [{id: t, when: response.text != "", deny: {}}, {id: u, tools: {deny: [x]}}]')
    bound = rules.decide_request(read_input({}).view).response
    assert bound.reads == {"text"}
    assert not bound.holds
    assert not bound.gates_tools


def test_a_response_rule_sees_request_and_response() -> None:
    """And is silent where its request condition is false."""
    compiled = program(
        "rules: [{id: r, phase: response, when: 'request.stream && response.text.contains(\"x\")', deny: {message: no}}]"
    )
    asked = read_input({"request": {"stream": True}, "response": {"text": "x"}})
    assert describe(decide_input(compiled, asked))["message"] == "no"
    assert ask(compiled, {"stream": False}, response={"text": "x"})["verdict"] == "allow"


@pytest.mark.parametrize(("on_error", "verdict"), [("deny", Verdict.DENY), ("ignore", Verdict.ALLOW)])
def test_a_response_that_cannot_be_read_obeys_on_error(on_error: str, verdict: Any) -> None:
    """Each rule's `onError` speaks, and the guard that did not run is recorded."""
    bound = program(f'onError: {on_error}\nrules: [{{id: r, when: response.text != "", deny: {{}}}}]')
    rules = bound.decide_request(read_input({}).view).response
    assert rules.on_error_deny is (on_error == "deny")
    decision = rules.unreadable("too large")
    assert decision.verdict is verdict
    assert [(fault.id, fault.why, fault.acted) for fault in decision.faults] == [("r", "too large", on_error == "deny")]


def test_only_the_tokens_own_labels_count_where_a_verdict_hangs_on_them() -> None:
    """The client's labels are attribution: `record` sees them, `deny` and exceptions do not."""
    spec = (
        'rules:\n- {id: no, when: \'request.labels[?"team"].orValue("") != "red"\', deny: {}}\n'
        '- {id: seen, when: \'request.labels[?"team"].orValue("") == "red"\', record: {}}\n'
        'exceptions: [{id: EX, rules: [no], when: \'request.labels[?"team"].orValue("") == "red"\'}]\n'
    )
    view = read_input({"request": {"model": "m"}}).view
    view.labels = {"team": "red"}
    assert [hit.id for hit in program(spec).decide_request(view).rules] == ["no", "seen"]


@pytest.mark.parametrize(
    ("pattern", "model", "provider", "matches"),
    [
        ("GPT-4O*", "gpt-4o-mini", "openai", True),
        ("gpt-4o", "openai/gpt-4o", "openai", True),
        ("gpt-4o", "openai/gpt-4o", "openrouter", True),
        ("openai/gpt-4o", "openai/gpt-4o", "openrouter", True),
        ("openai/*", "gpt-4o", "openai", True),
        ("openai/*", "claude-3", "anthropic", False),
        ("o*", "openai/gpt-4o", "openai", False),
        ("meta-llama/*", "meta-llama/llama-3", "openrouter", True),
        ("claude-3-5-haiku", "claude-3-5-haiku-latest", "anthropic", True),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku-latest", "anthropic", True),
    ],
)
def test_globs_match_the_model_as_sent_or_canonical_without_its_provider(
    pattern: str, model: str, provider: str, matches: bool
) -> None:
    """Ignoring case; a pattern with a slash is held against the full name."""
    compiled = program(f'rules: [{{id: ok, match: {{models: ["{pattern}"]}}, allow: {{}}}}]')
    view = read_input({"request": {"model": model, "provider": provider}}).view
    view.canonical_model = VOCABULARY.canonical_model(provider, model)
    assert (compiled.decide_request(view).verdict is Verdict.ALLOW) is matches


def test_estimates_are_wanted_only_where_a_rule_in_scope_reads_them() -> None:
    """Estimating tokens costs time."""
    compiled = program('scope: {models: ["gpt-*"]}\nrules: [{id: x, when: request.estimated_usd > 5.0, deny: {}}]')
    assert compiled.needs_estimate(read_input({"request": {"model": "gpt-4o"}}).view)
    assert not compiled.needs_estimate(read_input({"request": {"model": "claude"}}).view)
    assert ask(compiled, {"model": "gpt-4o", "estimated_usd": 5.01})["verdict"] == "deny"


def test_hostile_strings_neither_raise_nor_pass_a_guard() -> None:
    """Lone surrogates, nulls and very long names are values like any other."""
    compiled = program("rules: [{id: x, when: 'request.model.contains(\"bad\")', deny: {}}]")
    for model in ("\ud800bad", "\x00bad", "bad" * 100_000):
        assert ask(compiled, {"model": model})["verdict"] == "deny"
    assert ask(compiled, {"model": "\udfff"})["verdict"] == "allow"
