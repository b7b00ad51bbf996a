"""Policies, compiled: globs and conditions ready to be asked, in the order in which they count.

Rules:
1. Policies stand in name order, rules in file order; that order decides ties and reports.
2. A list of models binds the operations that name a model. Listing models, files and the like name none: there a rule or a
   policy with such a list is silent, and its `allow` neither allows nor makes the policy deny the rest.
3. Every condition has a slot of its own; an outcome is reported under it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmcp.core.decide import Mode, RuleHit
from llmcp.core.globs import GlobSet, ModelNames, compile_globs
from llmcp.core.messages import Operation
from llmcp.core.policy import DEFAULT_DENY, OnError, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from llmcp.core.policy import EffectSpec, ExceptionRule, Policy, Rule, Scope
    from llmcp.ports import Condition, Effect, Vocabulary

_NAMES_NONE = frozenset({Operation.MODELS, Operation.FILES})
_MAY_NAME = frozenset({Operation.BATCHES, Operation.OTHER})


def names_model(operation: Operation, model: str) -> bool:
    """Tell whether a list of models binds this request (rule 2). Where a model is wanted and missing, it does."""
    if operation in _NAMES_NONE:
        return False
    return bool(model) or operation not in _MAY_NAME


@dataclass(frozen=True, slots=True)
class Asked:
    """What scopes look at. `models` is None where the operation names no model."""

    operation: Operation
    provider: str
    models: ModelNames | None
    org: str
    app: str


@dataclass(frozen=True, slots=True)
class CompiledScope:
    """A scope, ready to be asked."""

    orgs: GlobSet
    apps: GlobSet
    providers: GlobSet
    models: GlobSet
    operations: frozenset[Operation]

    def binds(self, asked: Asked) -> bool:
        """Tell whether the scope speaks about this operation at all (rule 2)."""
        return asked.operation in self.operations and (self.models.everything or asked.models is not None)

    def covers(self, asked: Asked) -> bool:
        """Tell whether everything about the request lies in the scope."""
        return (
            self.binds(asked)
            and (self.models.everything or (asked.models is not None and self.models.matches_model(asked.models)))
            and self.providers.matches(asked.provider)
            and self.orgs.matches(asked.org)
            and self.apps.matches(asked.app)
        )


def compile_scope(scope: Scope) -> CompiledScope:
    """Compile a scope's globs."""
    operations = compile_globs(scope.operations)
    return CompiledScope(
        compile_globs(scope.orgs),
        compile_globs(scope.apps),
        compile_globs(scope.providers),
        compile_globs(scope.models),
        frozenset(operation for operation in Operation if operations.matches(operation.value)),
    )


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One rule. `slot` is -1 where it has no condition."""

    rule: Rule
    effect: Effect
    spec: EffectSpec
    scope: CompiledScope
    hit: RuleHit
    condition: Condition | None
    slot: int

    @property
    def in_request(self) -> bool:
        """Tell whether it is asked about requests."""
        return self.rule.phase is not Phase.RESPONSE

    @property
    def in_response(self) -> bool:
        """Tell whether it is asked about responses."""
        return self.rule.phase is not Phase.REQUEST


@dataclass(frozen=True, slots=True)
class CompiledException:
    """One exception. `slot` is -1 where it has no condition; from `deadline` on it is inert."""

    exception: ExceptionRule
    switches_off: frozenset[str]
    condition: Condition | None
    slot: int
    deadline: datetime | None


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """One policy."""

    policy: Policy
    scope: CompiledScope
    rules: tuple[CompiledRule, ...]
    exceptions: tuple[CompiledException, ...]
    default_hit: RuleHit

    @property
    def reads(self) -> frozenset[str]:
        """Return the variables that its conditions read."""
        conditions = [*(rule.condition for rule in self.rules), *(exception.condition for exception in self.exceptions)]
        return frozenset(name for condition in conditions if condition is not None for name in condition.reads)

    @property
    def enforced(self) -> bool:
        """Tell whether its rules act."""
        return self.policy.mode is Mode.ENFORCE

    @property
    def denies_on_error(self) -> bool:
        """Tell whether a guard that failed to run refuses."""
        return self.policy.on_error is OnError.DENY


class PolicyCompiler:
    """Compiles policies, giving every condition a slot. One use."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._slots = 0

    def compile(self, policies: Iterable[Policy]) -> tuple[CompiledPolicy, ...]:
        """Compile all policies, in name order. Raises: ValueError where a condition was never checked."""
        return tuple(self._policy(policy) for policy in sorted(policies, key=lambda policy: policy.name))

    def _policy(self, policy: Policy) -> CompiledPolicy:
        mode = policy.mode.value
        return CompiledPolicy(
            policy,
            compile_scope(policy.scope),
            tuple(self._rule(policy, rule) for rule in policy.rules),
            tuple(self._exception(policy, exception) for exception in policy.exceptions),
            RuleHit(policy.name, DEFAULT_DENY, "allow", mode),
        )

    def _rule(self, policy: Policy, rule: Rule) -> CompiledRule:
        effect = self._vocabulary.effects[rule.effect]
        condition, slot = self._condition(policy, rule.when, own_labels=effect.judges)
        hit = RuleHit(policy.name, rule.id, rule.effect, policy.mode.value)
        return CompiledRule(rule, effect, rule.spec, compile_scope(rule.match), hit, condition, slot)

    def _exception(self, policy: Policy, exception: ExceptionRule) -> CompiledException:
        condition, slot = self._condition(policy, exception.when, own_labels=True)
        return CompiledException(exception, frozenset(exception.rules), condition, slot, exception.deadline)

    def _condition(self, policy: Policy, source: str, *, own_labels: bool) -> tuple[Condition | None, int]:
        if not source:
            return None, -1
        compiled = self._vocabulary.compiler.compile(source, dict(policy.params), own_labels=own_labels)
        if isinstance(compiled, tuple):
            raise ValueError(f"policy {policy.name}: {compiled[0].message}")  # noqa: TRY004 - a policy that was never checked
        slot = self._slots
        self._slots += 1
        return compiled, slot
