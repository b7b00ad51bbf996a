"""A policy as values: what a file says, after it was read and before it is compiled.

Rules:
1. Everything here is immutable and compares by content; positions in the file are kept for messages only.
2. A value of this module was checked by whoever built it; nothing here checks again.
3. An effect's own data (`Rule.spec`) belongs to the effect named by `Rule.effect`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from llmcp.core.decide import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

type ParamValue = bool | int | float | str | tuple[bool, ...] | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]

DEFAULT_DENY = "default-deny"
"""The id under which a policy's default denial is reported; no rule may bear it."""


class OnError(StrEnum):
    """What a condition that fails to run does to a rule that guards."""

    DENY = "deny"
    IGNORE = "ignore"


class Phase(StrEnum):
    """When a rule is asked."""

    REQUEST = "request"
    RESPONSE = "response"
    BOTH = "both"


class Severity(StrEnum):
    """Whether a problem keeps a file from being loaded."""

    ERROR = "error"
    WARNING = "warning"


class EffectSpec(Protocol):
    """An effect's own data: a frozen value that can be hashed and shown."""

    def canonical(self) -> object:
        """Return plain lists, maps and scalars that say all of it."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file, both counted from 1, columns in characters."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a policy file. `code` is stable; `hint` says what to do."""

    file: str
    line: int
    column: int
    code: str
    severity: Severity
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom and what a policy or a rule is about: globs, each empty-by-default list meaning everything."""

    orgs: tuple[str, ...] = ("*",)
    apps: tuple[str, ...] = ("*",)
    providers: tuple[str, ...] = ("*",)
    models: tuple[str, ...] = ("*",)
    operations: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `when` is the condition's CEL source, empty where the rule has none."""

    id: str
    effect: str
    spec: EffectSpec
    match: Scope = Scope()
    phase: Phase = Phase.REQUEST
    when: str = ""
    position: Position = field(default=Position(), compare=False)


@dataclass(frozen=True, slots=True)
class ExceptionRule:
    """Switches off the named rules of its own policy where `when` holds, until the end of the day `expires` (UTC)."""

    id: str
    rules: tuple[str, ...]
    when: str = ""
    expires: date | None = None
    reason: str = ""
    approved_by: str = ""
    position: Position = field(default=Position(), compare=False)

    @property
    def deadline(self) -> datetime | None:
        """The first instant at which the exception no longer applies."""
        if self.expires is None or self.expires == date.max:
            return None
        return datetime.combine(self.expires + timedelta(days=1), time(), UTC)


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """An inline test: `input` as `policy eval` takes it, and the expected verdict and rule ids (None: not asked)."""

    name: str
    input: dict[str, Any] = field(hash=False)
    verdict: str | None = None
    rules: tuple[str, ...] | None = None
    position: Position = field(default=Position(), compare=False)


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy file's content."""

    name: str
    title: str = ""
    owners: tuple[str, ...] = ()
    mode: Mode = Mode.ENFORCE
    on_error: OnError = OnError.DENY
    scope: Scope = Scope()
    params: tuple[tuple[str, ParamValue], ...] = ()
    rules: tuple[Rule, ...] = ()
    exceptions: tuple[ExceptionRule, ...] = ()
    tests: tuple[PolicyTest, ...] = field(default=(), compare=False)
    file: str = field(default="", compare=False)
    position: Position = field(default=Position(), compare=False)

    def canonical(self) -> dict[str, object]:
        """Return everything that bears on decisions, as plain values; tests, file names and positions do not."""
        return {
            "name": self.name,
            "mode": self.mode.value,
            "on_error": self.on_error.value,
            "scope": _canonical_scope(self.scope),
            "params": {name: list(value) if isinstance(value, tuple) else value for name, value in self.params},
            "rules": [_canonical_rule(rule) for rule in self.rules],
            "exceptions": [_canonical_exception(exception) for exception in self.exceptions],
        }


def _canonical_scope(scope: Scope) -> dict[str, Sequence[str]]:
    return {
        "orgs": scope.orgs,
        "apps": scope.apps,
        "providers": scope.providers,
        "models": scope.models,
        "operations": scope.operations,
    }


def _canonical_rule(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "effect": rule.effect,
        "spec": rule.spec.canonical(),
        "match": _canonical_scope(rule.match),
        "phase": rule.phase.value,
        "when": rule.when,
    }


def _canonical_exception(exception: ExceptionRule) -> dict[str, object]:
    return {
        "id": exception.id,
        "rules": exception.rules,
        "when": exception.when,
        "expires": exception.expires.isoformat() if exception.expires else "",
    }
