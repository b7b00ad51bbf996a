"""The inline tests of a policy: an input as `llmcp policy eval` takes it, and what is expected of the decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmcp.core.decide import Verdict
from llmcp.core.policy import DEFAULT_DENY, PolicyTest
from llmcp.engine.eval_input import read_input
from llmcp.errors import UsageError
from llmcp.policyfile.nodes import Mapping, Node, Scalar, Sequence
from llmcp.policyfile.reader import MappingReader, nearest

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_TESTS = 1000


def plain(node: Node) -> Any:  # noqa: ANN401 - whatever the document holds
    """Return a node as plain values; what was broken is None."""
    match node:
        case Mapping():
            return {key: plain(entry.value) for key, entry in node.entries.items()}
        case Sequence():
            return [plain(item) for item in node.items]
        case Scalar():
            return node.value
        case _:
            return None


def read_tests(spec: MappingReader, rules: Collection[str]) -> tuple[PolicyTest, ...]:
    """Return the tests that can be run; what is wrong with the others was reported."""
    items = spec.items("tests") or []
    if len(items) > MAX_TESTS:
        spec.problem("P120", f"the policy has {len(items)} tests; at most {MAX_TESTS} are read", key="tests")
        return ()
    found: list[PolicyTest] = []
    for item in items:
        if isinstance(item, Mapping):
            case = _case(MappingReader(spec.source, item, "test"), rules)
            if case is not None:
                found.append(case)
        else:
            spec.wrong("tests", item, "a list of mappings", "")
    return tuple(found)


def _case(reader: MappingReader, rules: Collection[str]) -> PolicyTest | None:
    reader.only("name", "input", "expect")
    for key in ("name", "input", "expect"):
        if not reader.has(key):
            reader.problem("P119", f"`{key}` is missing in this test")
    name = reader.text("name") or ""
    given = reader.inner("input")
    expect = reader.inner("expect")
    if given is None or expect is None:
        return None
    document = plain(given.node)
    try:
        read_input(document)
    except UsageError as fault:
        reader.problem("P119", fault.what, key="input", hint=fault.fix)
        return None
    verdict, named = _expect(expect, rules)
    return PolicyTest(name, document, verdict, named, reader.node.position)


def _expect(expect: MappingReader, rules: Collection[str]) -> tuple[str | None, tuple[str, ...] | None]:
    expect.only("verdict", "rules")
    verdict = expect.text("verdict")
    if verdict is not None and verdict not in set(Verdict):
        expect.problem("P119", f"`verdict` is one of `allow`, `deny`, `hold`, got `{verdict[:60]}`", key="verdict")
    if not expect.has("verdict") and not expect.has("rules"):
        expect.problem("P119", "the test expects nothing")
    named = expect.texts("rules")
    for rule, position in named or ():
        if rule not in rules and rule != DEFAULT_DENY:
            hint = nearest(rule, (*rules, DEFAULT_DENY))
            expect.source.report("P119", position, f"the policy has no rule `{rule[:60]}`", hint=hint)
    return verdict, None if named is None else tuple(rule for rule, _ in named)
