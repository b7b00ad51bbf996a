"""Directories of policies, checks, listings and evaluations."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from llmcp.control.policies import check_output, emptied, evaluate, load, show, summarise
from llmcp.control.policy_render import problems_json, problems_text
from llmcp.control.policy_tests import run_tests
from llmcp.engine.policy_program import CompiledProgram
from llmcp.errors import NotFoundError, UsageError
from llmcp.vocabulary import build_vocabulary

VOCABULARY = build_vocabulary({"openai"})
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def text(name: str, rules: str = "[{id: a, deny: {}}]", rest: str = "") -> Any:
    """Write a policy."""
    return f"apiVersion: llmcp.dev/v1\nkind: Policy\nmetadata: {{name: {name}}}\nspec:\n  rules: {rules}\n{rest}"


def test_directories_are_read_deeply_and_in_order(tmp_path: Path) -> None:
    """Hidden, temporary and test files are not policies; `.yml` is."""
    (tmp_path / "z" / "deep").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    for place in ("b.yaml", "z/deep/a.yml"):
        (tmp_path / place).write_text(text(place.replace("/", "-").split(".")[0]))
    for place in (".hidden.yaml", ".git/x.yaml", "x.yaml~", "#x.yaml#", ".x.yaml.swp", "x.test.yaml", "notes.md", "x.yaml.bak"):
        (tmp_path / place).write_text("not: [a policy")
    result = load([tmp_path], VOCABULARY, NOW)
    assert result.ok
    assert [policy.name for policy in result.policies] == ["b", "z-deep-a"]
    assert [Path(file).name for file in result.files] == ["b.yaml", "a.yml"]


def test_a_loop_of_symbolic_links_ends_and_a_file_is_read_once(tmp_path: Path) -> None:
    """Links are followed, loops are not, and a file reached twice is no duplicate."""
    (tmp_path / "a.yaml").write_text(text("a"))
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "again.yaml").symlink_to(tmp_path / "a.yaml")
    result = load([tmp_path, tmp_path / "a.yaml"], VOCABULARY, NOW)
    assert result.problems == ()
    assert [policy.name for policy in result.policies] == ["a"]


def test_a_dangling_link_and_a_missing_path_are_problems(tmp_path: Path) -> None:
    """What cannot be read is told, never skipped."""
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    result = load([tmp_path, tmp_path / "missing"], VOCABULARY, NOW)
    assert sorted(problem.code for problem in result.problems) == ["P402", "P403"]
    assert not result.ok


def test_two_files_cannot_define_one_policy(tmp_path: Path) -> None:
    """The second one is reported, with the first one's place."""
    (tmp_path / "a.yaml").write_text(text("same"))
    (tmp_path / "b.yaml").write_text(text("same"))
    problem = load([tmp_path], VOCABULARY, NOW).problems[0]
    assert (problem.code, problem.line, problem.column) == ("P111", 3, 18)
    assert problem.file.endswith("b.yaml")
    assert "a.yaml" in problem.message


def test_problems_of_all_files_are_told(tmp_path: Path) -> None:
    """One broken file does not hide another's."""
    (tmp_path / "a.yaml").write_text("a: [")
    (tmp_path / "b.yaml").write_text(text("b", "[{id: a, redcat: {}}]"))
    (tmp_path / "c.yaml").write_text(text("c"))
    result = load([tmp_path], VOCABULARY, NOW)
    assert [problem.code for problem in result.problems] == ["P002", "P104"]
    assert [policy.name for policy in result.policies] == ["c"]


def test_the_digest_changes_with_any_byte_and_with_nothing_else(tmp_path: Path) -> None:
    """The slow poll compares it."""
    (tmp_path / "a.yaml").write_text(text("a"))
    first = load([tmp_path], VOCABULARY, NOW).digest
    assert load([tmp_path], VOCABULARY, NOW).digest == first
    (tmp_path / "a.yaml").write_text(text("a") + "# comment\n")
    assert load([tmp_path], VOCABULARY, NOW).digest != first


def test_going_from_some_policies_to_none_is_an_error_unless_allowed(tmp_path: Path) -> None:
    """A directory that was unmounted must not open the gate."""
    result = load([tmp_path], VOCABULARY, NOW)
    assert emptied(result, 3, allow_empty=False).code == "P401"
    assert emptied(result, 3, allow_empty=True) is None
    assert emptied(result, 0, allow_empty=False) is None


def test_problems_are_rendered_with_line_and_caret(tmp_path: Path) -> None:
    """The caret stands under the place; control characters of the file do not reach the terminal."""
    (tmp_path / "a.yaml").write_text(text("a", "[{id: a, when: 'reqest.stream', deny: {message: \"\u202e\"}}]"))
    result = load([tmp_path], VOCABULARY, NOW)
    shown = problems_text(result.problems, result.texts)
    lines = shown.splitlines()
    assert lines[0].startswith("error[P202]: ")
    assert ":5:26: there is no variable" in lines[0]
    assert lines[1][lines[2].index("^") :].startswith("reqest")
    assert "hint: did you mean `request.stream`?" in shown
    assert shown.endswith("1 error\n")
    assert "\u202e" not in shown
    assert problems_text((), {}) == ""


def test_problems_as_json_have_the_contracts_keys(tmp_path: Path) -> None:
    """And are an empty list where there are none."""
    (tmp_path / "a.yaml").write_text("")
    rows = problems_json(load([tmp_path], VOCABULARY, NOW).problems)
    assert list(rows[0]) == ["file", "line", "column", "code", "severity", "message", "hint"]
    assert json.dumps(problems_json(())) == "[]"


def test_list_and_show_are_plain_values(tmp_path: Path) -> None:
    """What they return can be written as JSON; an unknown name says what there is."""
    (tmp_path / "a.yaml").write_text(text("a", "[{id: x, set: {stream_options: {include_usage: true}}}]"))
    policies = load([tmp_path], VOCABULARY, NOW).policies
    assert summarise(policies)[0]["rules"] == 1
    assert json.loads(json.dumps(show(policies, "a")))["rules"][0]["id"] == "x"
    with pytest.raises(NotFoundError):
        show(policies, "b")


def test_evaluation_prints_what_the_contract_says(tmp_path: Path) -> None:
    """Verdict, rules, message and obligations."""
    (tmp_path / "a.yaml").write_text(text("a", "[{id: x, set: {max_tokens: 5}}]"))
    program = CompiledProgram(load([tmp_path], VOCABULARY, NOW).policies, VOCABULARY)
    assert evaluate(program, {"request": {"model": "m"}}, NOW) == {
        "verdict": "allow",
        "rules": [{"policy": "a", "id": "x", "effect": "set", "mode": "enforce"}],
        "message": "",
        "obligations": [{"type": "set", "field": "max_tokens", "value": 5}],
    }


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ([], "mapping"),
        ({"reqest": {}}, "reqest"),
        ({"request": {"modl": ""}}, "request.modl"),
        ({"request": {"max_tokens": "5"}}, "request.max_tokens"),
        ({"request": {"max_tokens": True}}, "request.max_tokens"),
        ({"request": {"operation": "chats"}}, "chats"),
        ({"request": {"has_max_tokens": True}}, "has_max_tokens"),
        ({"request": []}, "request"),
        ({"subject": {"labels": {"a": 1}}}, "subject.labels"),
        ({"now": "yesterday"}, "now"),
        ({"now": "2026-01-01T00:00:00"}, "time zone"),
        ({"flags": {"x": True}}, "flags"),
        ({"spend": {"day_usd": 1}}, "spend"),
        ({"findings": [{"kind": "x", "count": 1}]}, "findings"),
    ],
)
def test_an_input_that_cannot_be_meant_is_an_error(document: Any, word: str) -> None:
    """Unknown keys and wrong types are named; what is not built is refused, unless it is empty."""
    with pytest.raises(UsageError) as caught:
        evaluate(CompiledProgram((), VOCABULARY), document, NOW)
    assert word in caught.value.what
    assert evaluate(CompiledProgram((), VOCABULARY), {"flags": {}, "spend": {}, "findings": []}, NOW)["verdict"] == "allow"


def test_inline_tests_tell_what_differs(tmp_path: Path) -> None:
    """A failing test is a problem at the test's place."""
    tests = "  tests:\n  - {name: fine, input: {}, expect: {verdict: deny, rules: [a]}}\n"
    tests += "  - {name: wrong, input: {}, expect: {verdict: allow}}\n"
    (tmp_path / "a.yaml").write_text(text("a", rest=tests))
    fine, wrong = run_tests(load([tmp_path], VOCABULARY, NOW).policies, VOCABULARY, NOW)
    assert fine.passed
    assert (wrong.problem.code, wrong.problem.line) == ("P301", 8)
    assert "expected verdict `allow`, got `deny`" in wrong.why


@pytest.mark.parametrize("form", ["sarif", "github", "junit", "xml"])
def test_outputs_that_are_not_built_are_refused_by_name(form: str) -> None:
    """Text and JSON are there."""
    assert check_output("json") == "json"
    with pytest.raises(UsageError) as caught:
        check_output(form)
    assert form in caught.value.what
