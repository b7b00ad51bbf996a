"""The exceptions of a policy: which rules they switch off, when, and until which day."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from llmcp.core.policy import DEFAULT_DENY, ExceptionRule, Severity
from llmcp.policyfile.nodes import Mapping
from llmcp.policyfile.reader import MappingReader, nearest
from llmcp.policyfile.rules import read_condition, read_id

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingOf
    from collections.abc import Sequence

    from llmcp.core.policy import ParamValue, Rule
    from llmcp.ports import Vocabulary

MAX_EXCEPTIONS = 200

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def read_exceptions(
    spec: MappingReader,
    rules: Sequence[Rule],
    params: MappingOf[str, ParamValue],
    vocabulary: Vocabulary,
    now: dt.datetime,
) -> tuple[ExceptionRule, ...]:
    """Return the exceptions that can be read; what is wrong with the others was reported."""
    items = spec.items("exceptions") or []
    if len(items) > MAX_EXCEPTIONS:
        spec.problem("P120", f"the policy has {len(items)} exceptions; at most {MAX_EXCEPTIONS} are read", key="exceptions")
        return ()
    found: list[ExceptionRule] = []
    seen: dict[str, int] = {}
    for item in items:
        if not isinstance(item, Mapping):
            spec.wrong("exceptions", item, "a list of mappings", "")
            continue
        reader = MappingReader(spec.source, item, "exception")
        reader.only("id", "rules", "when", "expires", "reason", "approved_by")
        found.append(_exception(reader, read_id(reader, seen), {rule.id: rule for rule in rules}, (params, vocabulary, now)))
    return tuple(found)


def _exception(
    reader: MappingReader,
    name: str,
    rules: MappingOf[str, Rule],
    world: tuple[MappingOf[str, ParamValue], Vocabulary, dt.datetime],
) -> ExceptionRule:
    params, vocabulary, now = world
    when, reads = read_condition(reader, params, vocabulary)
    answers = sorted(read for read in reads if read.startswith("response."))
    if answers:
        reader.problem("P114", f"an exception is decided with the request, where `{answers[0]}` is not known", key="when")
    return ExceptionRule(
        id=name,
        rules=_named(reader, rules),
        when=when,
        expires=_expires(reader, name, now),
        reason=reader.text("reason") or "",
        approved_by=reader.text("approved_by") or "",
        position=reader.node.position,
    )


def _named(reader: MappingReader, rules: MappingOf[str, Rule]) -> tuple[str, ...]:
    if not reader.has("rules"):
        reader.problem("P102", "`rules` is missing in this exception", hint="name the rules that it switches off")
        return ()
    named = reader.texts("rules")
    if named is None:
        return ()
    if not named:
        reader.problem("P107", "`rules` names no rule, so the exception does nothing", key="rules")
    for rule_id, position in named:
        rule = rules.get(rule_id)
        if rule is None and rule_id != DEFAULT_DENY:
            hint = nearest(rule_id, (*rules, DEFAULT_DENY))
            reader.source.report("P115", position, f"the policy has no rule `{rule_id[:60]}`", hint=hint)
        elif rule is not None and rule.effect == "allow":
            hint = "to let more pass, add an `allow` rule, or name `default-deny`"
            reader.source.report("P115", position, f"`{rule_id}` is an `allow`: switching it off would deny more", hint=hint)
    return tuple(rule_id for rule_id, _ in named)


def _expires(reader: MappingReader, name: str, now: dt.datetime) -> dt.date | None:
    text = reader.text("expires")
    if text is None:
        return None
    try:
        day = dt.date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        reader.problem("P116", f"`{text[:60]}` is not a day", key="expires")
    elif day < now.astimezone(dt.UTC).date():
        place = reader.at("expires").position
        reader.source.report("P117", place, f"the exception `{name}` expired on {day}", severity=Severity.WARNING)
    return day
