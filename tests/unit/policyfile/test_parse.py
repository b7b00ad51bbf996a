"""The policy's shape: what is refused, with which code, where, and with which hint."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from llmcp.core.policy import Phase, Severity
from llmcp.policyfile.parse import parse_policy
from llmcp.vocabulary import build_vocabulary

VOCABULARY = build_vocabulary({"openai"})
NOW = datetime(2026, 6, 1, tzinfo=UTC)
HEAD = "apiVersion: llmcp.dev/v1\nkind: Policy\nmetadata: {name: x}\nspec:\n"


def parse(text: str) -> Any:
    """Parse a file."""
    return parse_policy(text.encode(), "f.yaml", VOCABULARY, NOW)


def problems(spec: str) -> Any:
    """Return the problems of a policy with this `spec`."""
    return parse(HEAD + "".join(f"  {line}\n" for line in spec.splitlines())).problems


def rule(text: str) -> Any:
    """Return the problems of a policy with one rule."""
    return problems(f"rules:\n  - {{id: a, {text}}}")


SHAPES = [
    ("kind: Policy\nmetadata: {name: x}\nspec: {rules: []}\n", "P102", "apiVersion"),
    ("apiVersion: v2\nkind: Policy\nmetadata: {name: x}\nspec: {rules: []}\n", "P106", "llmcp.dev/v1"),
    ("apiVersion: llmcp.dev/v1\nkind: Polcy\nmetadata: {name: x}\nspec: {rules: []}\n", "P106", "Policy"),
    ("apiVersion: llmcp.dev/v1\nkind: Policy\nspec: {rules: []}\n", "P102", "metadata"),
    ("apiVersion: llmcp.dev/v1\nkind: Policy\nmetadata: {}\nspec: {rules: []}\n", "P102", "name"),
    ("apiVersion: llmcp.dev/v1\nkind: Policy\nmetadata: {name: A b}\nspec: {rules: []}\n", "P108", "A b"),
    ("apiVersion: llmcp.dev/v1\nkind: Policy\nmetadata: {name: x}\n", "P102", "spec"),
    ("apiVersion: llmcp.dev/v1\nkind: Policy\nmetadata: {name: x}\nspec: []\n", "P103", "mapping"),
    ("- a\n", "P103", "mapping"),
    ("just text\n", "P103", "mapping"),
    ("apiVersion: llmcp.dev/v1\nkind: Policy\nmetadata: {name: x}\nspec: {rules: []}\nstatus: {}\n", "P101", "status"),
]


@pytest.mark.parametrize(("text", "code", "word"), SHAPES)
def test_the_outer_shape_is_checked(text: str, code: str, word: str) -> None:
    """Version, kind, name and spec must be there and right."""
    found = parse(text).problems
    assert code in [problem.code for problem in found]
    assert any(word in problem.message + problem.hint for problem in found)


RULES = [
    ("deny: {}, allow: {}", "P105", "several"),
    ("when: 'true'", "P105", "no effect"),
    ("redcat: {}", "P104", "redact"),
    ("dney: {}", "P104", "deny"),
    ("wehn: 'true', deny: {}", "P104", "when"),
    ("redact: {kinds: [x]}", "P109", "redact"),
    ("limit: {requests: 1}", "P109", "limit"),
    ("route: {to: [x]}", "P109", "route"),
    ("cache: {ttl: 1h}", "P109", "cache"),
    ("hold: {reason: x}", "P109", "hold"),
    ("record: {bodies: redacted}", "P109", "redacted"),
    ("record: {bodies: full}", "P122", "full"),
    ("record: {bodies: some}", "P107", "bodies"),
    ("deny: {mesage: x}", "P101", "message"),
    ("deny: {message: yes please}, phase: never", "P107", "phase"),
    ("deny: []", "P103", "mapping"),
    ("allow: {models: [x]}", "P101", "allow"),
    ("set: {}", "P107", "settable"),
    ("set: {max_tokens: 0}", "P107", "max_tokens"),
    ("set: {max_tokens: '8'}", "P103", "integer"),
    ("set: {max_tokens: 8.0}", "P103", "integer"),
    ("set: {max_tokens: true}", "P103", "integer"),
    ("set: {temperature: 2.5}", "P107", "temperature"),
    ("set: {model: ''}", "P107", "model"),
    ("set: {stream_options: {include_usage: yes}}", "P103", "YAML 1.2"),
    ("set: {system: x}", "P101", "set"),
    ("tools: {}", "P102", "deny"),
    ("tools: {deny: []}", "P107", "nothing"),
    ("tools: {deny: shell}", "P103", "list"),
    ("tools: {deny: [shell], strip: 1}", "P103", "strip"),
    ("tools: {allow: [read]}", "P101", "tools"),
    ("match: {models: ['!gpt-*']}, deny: {}", "P112", "negation"),
    ("match: {models: ['{a,b}']}, deny: {}", "P112", "alternatives"),
    ("match: {models: ['']}, deny: {}", "P112", "characters"),
    ("match: {models: [1]}, deny: {}", "P103", "strings"),
    ("match: {model: [x]}, deny: {}", "P101", "models"),
    ("match: {operations: [chats]}, deny: {}", "P113", "chat"),
    ("phase: response, allow: {}", "P114", "requests only"),
    ("phase: both, set: {max_tokens: 1}", "P114", "requests only"),
    ("phase: request, when: 'response.text == \"\"', deny: {}", "P114", "response.text"),
    ("phase: both, when: 'response.text == \"\"', deny: {}", "P114", "response.text"),
    ("when: 'response.text == \"\"', allow: {}", "P114", "requests only"),
    ("when: true, deny: {}", "P103", "quotes"),
    ("when: 'reqest.stream', deny: {}", "P202", "request.stream"),
    ("when: 'finding.count > 0', deny: {}", "P204", "finding"),
    ("when: 'flags[\"x\"]', deny: {}", "P204", "flags"),
]


@pytest.mark.parametrize(("text", "code", "word"), RULES)
def test_a_rule_that_cannot_mean_anything_is_refused(text: str, code: str, word: str) -> None:
    """With a code of its own, and a message or hint that names the thing."""
    found = rule(text)
    named = next(problem for problem in found if problem.code == code)
    assert named.severity is Severity.ERROR
    assert word in named.message + named.hint


SPECS = [
    ("rules: []\nrollout: {flag: x}", "P109", 6, 3),
    ("rules: []\ndetectors: []", "P109", 6, 3),
    ("rules: []\nmode: observe", "P107", 6, 9),
    ("rules: []\nonError: no", "P107", 6, 12),
    ("rules: {}", "P103", 5, 10),
    ("rules: [x]", "P103", 5, 11),
    ("rules:\n- {deny: {}}", "P102", 6, 5),
    ("rules:\n- {id: default-deny, deny: {}}", "P108", 6, 10),
    ("rules:\n- {id: a b, deny: {}}", "P108", 6, 10),
    ("rules:\n- {id: a, deny: {}}\n- {id: a, deny: {}}", "P110", 7, 10),
    ("params: {Big: 1}\nrules: []", "P108", 5, 12),
    ("params: {a: {}}\nrules: []", "P118", 5, 15),
    ("params: {a: [1, x]}\nrules: []", "P118", 5, 15),
    ("params: {a: 99999999999999999999}\nrules: []", "P118", 5, 15),
    ("rules: []\nexceptions: [{id: e, rules: [x]}]", "P115", 6, 32),
    ("rules: [{id: a, allow: {}}]\nexceptions: [{id: e, rules: [a]}]", "P115", 6, 32),
    ("rules: []\nexceptions: [{id: e, rules: []}]", "P107", 6, 31),
    ("rules: []\nexceptions: [{id: e}]", "P102", 6, 16),
    ("rules: []\nexceptions: [{id: e, rules: [default-deny], expires: 2026-02-30}]", "P116", 6, 56),
    ("rules: []\nexceptions: [{id: e, rules: [default-deny], expires: 31.12.2026}]", "P116", 6, 56),
    ("rules: []\nexceptions: [{id: e, rules: [default-deny], when: 'response.text == \"\"'}]", "P114", 6, 53),
    ("rules: []\ntests: [{name: t}]", "P119", 6, 11),
    ("rules: []\ntests: [{name: t, input: {reqest: {}}, expect: {verdict: deny}}]", "P119", 6, 28),
    ("rules: []\ntests: [{name: t, input: {flags: {x: true}}, expect: {verdict: deny}}]", "P119", 6, 28),
    ("rules: []\ntests: [{name: t, input: {}, expect: {verdict: no}}]", "P119", 6, 50),
    ("rules: []\ntests: [{name: t, input: {}, expect: {rules: [x]}}]", "P119", 6, 49),
    ("rules: []\ntests: [{name: t, input: {}, expect: {}}]", "P119", 6, 40),
]


@pytest.mark.parametrize(("spec", "code", "line", "column"), SPECS)
def test_a_policy_that_cannot_mean_anything_is_refused_at_its_place(spec: str, code: str, line: int, column: int) -> None:
    """Code, line and column."""
    found = problems(spec)
    assert (found[0].code, found[0].line, found[0].column) == (code, line, column)


def test_an_expired_exception_is_a_warning() -> None:
    """The policy is loaded; the exception is inert."""
    parsed = parse(HEAD + "  rules: [{id: a, deny: {}}]\n  exceptions: [{id: e, rules: [a], expires: 2026-05-31}]\n")
    assert [(p.code, p.severity) for p in parsed.problems] == [("P117", Severity.WARNING)]
    assert parsed.policy is not None


def test_a_condition_that_will_hold_streams_is_a_warning() -> None:
    """And its rule is one of the response phase without saying so."""
    parsed = parse(HEAD + "  rules: [{id: a, when: 'response.text == \"\"', deny: {}}]\n")
    assert [(p.code, p.severity) for p in parsed.problems] == [("P211", Severity.WARNING)]
    assert parsed.policy.rules[0].phase is Phase.RESPONSE


def test_a_condition_that_only_warns_holds_nothing() -> None:
    """So nobody needs a warning about it."""
    assert parse(HEAD + "  mode: audit\n  rules: [{id: a, when: 'response.text == \"\"', deny: {}}]\n").problems == ()


def test_an_unknown_provider_is_a_warning() -> None:
    """Settings may add providers; a misspelt one would leave the rule inert."""
    found = rule("match: {providers: [opnai, 'open*']}, deny: {}")
    assert [(p.code, p.severity, p.hint) for p in found] == [("P121", Severity.WARNING, "did you mean `openai`?")]


def test_windows_line_ends_do_not_move_places() -> None:
    """Lines and columns are the same."""
    text = HEAD + "  rules:\n  - id: a\n    when: |\n      request.stream &&\n      reqest.stream\n    deny: {}\n"
    unix, windows = parse(text).problems, parse(text.replace("\n", "\r\n")).problems
    assert [(p.line, p.column) for p in unix] == [(p.line, p.column) for p in windows] == [(9, 7)]


def test_phases_default_as_the_effect_says() -> None:
    """`tools` concerns offers and calls, everything else requests."""
    parsed = parse(HEAD + "  rules: [{id: a, deny: {}}, {id: b, tools: {deny: [x]}}, {id: c, record: {}}]\n")
    assert [found.phase for found in parsed.policy.rules] == [Phase.REQUEST, Phase.BOTH, Phase.REQUEST]


def test_a_condition_in_a_block_is_located_inside_it() -> None:
    """Line and column of the misspelt word itself."""
    found = problems("rules:\n- id: a\n  when: |\n    request.stream &&\n      reqest.stream\n  deny: {}")
    assert (found[0].code, found[0].line, found[0].column) == ("P202", 9, 9)


def test_all_problems_of_a_file_are_told_in_file_order() -> None:
    """Across rules, parameters, exceptions and tests."""
    found = problems("mode: x\nparams: {A: 1}\nrules:\n- {id: a, foo: {}}\n- {id: a, when: 'x', deny: {}}\ntests: [{}]")
    assert [p.code for p in found] == ["P107", "P108", "P104", "P110", "P202", "P119", "P119", "P119"]
    assert [p.line for p in found] == sorted(p.line for p in found)
