"""The rules of a policy: their ids, scopes, phases, conditions and effects.

Rules:
1. A rule has exactly one effect, whose mapping the effect itself reads.
2. Without `phase` a rule takes its effect's own, or `response` where its condition names `response.*`.
3. A condition that names `response.*` belongs to the response phase alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmcp.core.policy import DEFAULT_DENY, Phase, Position, Rule, Severity
from llmcp.policyfile.nodes import Broken, Mapping, Scalar
from llmcp.policyfile.offsets import locate
from llmcp.policyfile.reader import MappingReader, nearest
from llmcp.policyfile.scope import read_scope

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingOf

    from llmcp.core.policy import EffectSpec, ParamValue
    from llmcp.ports import Effect, Vocabulary

MAX_RULES = 1000
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_KEYS = ("id", "match", "phase", "when")


def read_rules(
    spec: MappingReader,
    params: MappingOf[str, ParamValue],
    vocabulary: Vocabulary,
    *,
    holds: bool,
) -> tuple[Rule, ...]:
    """Return the rules that can be read; what is wrong with the others was reported.

    `holds` says that the policy is enforced, so that a condition on the response holds streams back.
    """
    items = spec.items("rules")
    if items is None:
        if not spec.has("rules"):
            spec.problem("P102", "`rules` is missing in `spec`")
        return ()
    if len(items) > MAX_RULES:
        spec.problem("P120", f"the policy has {len(items)} rules; at most {MAX_RULES} are read", key="rules")
        return ()
    rules: list[Rule] = []
    seen: dict[str, int] = {}
    for item in items:
        if not isinstance(item, Mapping):
            spec.wrong("rules", item, "a list of mappings", "")
            continue
        reader = MappingReader(spec.source, item, "rule")
        name = read_id(reader, seen)
        rule = _rule(reader, name, params, vocabulary, holds=holds)
        if rule is not None:
            rules.append(rule)
    return tuple(rules)


def read_id(reader: MappingReader, seen: dict[str, int]) -> str:
    """Return the `id` of a rule or an exception; it must be there, well formed and unique."""
    if not reader.has("id"):
        reader.problem("P102", f"`id` is missing in this {reader.name}")
        return ""
    name = reader.text("id")
    if name is None:
        return ""
    position = reader.at("id").position
    if not ID.fullmatch(name) or name == DEFAULT_DENY:
        reader.problem(
            "P108",
            f"`{name[:60]}` cannot be an id",
            key="id",
            hint="use letters, digits, `.`, `_` and `-`, at most 64; `default-deny` is reserved",
        )
    elif name in seen:
        reader.problem("P110", f"the id `{name}` stands in line {seen[name]} already", key="id")
    seen.setdefault(name, position.line)
    return name


def _rule(
    reader: MappingReader,
    name: str,
    params: MappingOf[str, ParamValue],
    vocabulary: Vocabulary,
    *,
    holds: bool,
) -> Rule | None:
    effect = _effect(reader, vocabulary)
    spec = _spec(reader, effect) if effect else None
    when, reads = read_condition(reader, params, vocabulary)
    match = read_scope(reader, "match", vocabulary)
    phase = _phase(reader, effect, reads, holds=holds)
    if effect is None or spec is None:
        return None
    return Rule(name, effect.name, spec, match, phase, when, reader.node.position)


def _effect(reader: MappingReader, vocabulary: Vocabulary) -> Effect | None:
    named: list[Effect] = []
    refused = False
    for key, entry in reader.node.entries.items():
        if key in _KEYS:
            continue
        if key in vocabulary.effects:
            named.append(vocabulary.effects[key])
            continue
        refused = True
        if key in vocabulary.unbuilt_effects:
            hint = vocabulary.unbuilt_effects[key]
            reader.source.report("P109", entry.position, f"the effect `{key}` is not supported in this version", hint=hint)
        else:
            known = (*_KEYS, *vocabulary.effects, *vocabulary.unbuilt_effects)
            reader.source.report("P104", entry.position, f"unknown effect `{key[:60]}`", hint=nearest(key, known))
    if len(named) > 1:
        names = " and ".join(f"`{effect.name}`" for effect in named)
        reader.problem("P105", f"the rule has several effects: {names}")
    elif not named and not refused:
        reader.problem("P105", "the rule has no effect")
    return named[0] if len(named) == 1 else None


def _spec(reader: MappingReader, effect: Effect) -> EffectSpec | None:
    inner = reader.inner(effect.name)
    return effect.parse(inner) if inner else None


def read_condition(
    reader: MappingReader,
    params: MappingOf[str, ParamValue],
    vocabulary: Vocabulary,
) -> tuple[str, frozenset[str]]:
    """Return the condition's source and what it reads; its problems are reported at their places in the file."""
    node = reader.get("when")
    if node is None or isinstance(node, Broken):
        return "", frozenset()
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        reader.wrong(
            "when",
            node,
            "a condition in quotes",
            f'write `when: "{node.text}"`' if isinstance(node, Scalar) and node.value is not None else "",
        )
        return "", frozenset()
    compiled = vocabulary.compiler.compile(node.value, params)
    if isinstance(compiled, tuple):
        for problem in compiled:
            place = locate(reader.source.text, node, problem.offset)
            reader.source.report(problem.code, place, problem.message, hint=problem.hint)
        return node.value, frozenset()
    return node.value, compiled.reads


def _phase(reader: MappingReader, effect: Effect | None, reads: frozenset[str], *, holds: bool) -> Phase:
    answers = sorted(name for name in reads if name.startswith("response."))
    default = Phase.RESPONSE if answers else effect.default_phase if effect else Phase.REQUEST
    said = reader.text("phase")
    if said is not None and said not in set(Phase):
        reader.problem("P107", f"`phase` is one of `request`, `response`, `both`, got `{said[:60]}`", key="phase")
        return default
    phase = Phase(said) if said is not None else default
    at = "phase" if reader.has("phase") else "when"
    if answers and phase is not Phase.RESPONSE:
        reader.problem(
            "P114", f"`{answers[0]}` is not known in phase `{phase}`", key="when", hint="set `phase: response`, or remove `phase`"
        )
    elif effect is not None and phase not in effect.phases:
        why = (
            f"`{effect.name}` acts on requests only"
            if effect.phases == (Phase.REQUEST,)
            else f"`{effect.name}` does not act in phase `{phase}`"
        )
        reader.problem("P114", why, key=at)
    elif answers and holds:
        names = ", ".join(f"`{name}`" for name in answers)
        place = reader.at("when").position if reader.has("when") else Position()
        reader.source.report(
            "P211",
            place,
            f"the condition reads {names}, so streamed responses in its scope are held until they end",
            severity=Severity.WARNING,
        )
    return phase
