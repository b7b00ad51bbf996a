"""What survives the scopes of one kind of request: the rules to ask, in order, and the decision that they add up to.

Rules:
1. A policy with `allow` rules for the operation denies what none of them matches, unless an exception names `default-deny`.
2. An exception switches off rules of its own policy. One that has expired, or whose condition failed to run, does not.
3. A guard that failed to run refuses where `onError` is `deny`, and is recorded in any case. An `allow` does not match then.
4. Rules in `warn` and `audit` add up beside the decision, never into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from llmcp.core.decide import Decision, Mode, RuleFault, RuleHit, WouldBe
from llmcp.core.tally import Tally
from llmcp.engine.asking import MEMORY, group_conditions
from llmcp.engine.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from datetime import datetime

    from llmcp.core.decide import RequestView, ResponseView
    from llmcp.engine.asking import Outcomes
    from llmcp.engine.compiled import CompiledException, CompiledPolicy, CompiledRule
    from llmcp.ports import ConditionCompiler

ESTIMATES = frozenset({"request.input_tokens", "request.estimated_usd"})
_ALWAYS_READ = frozenset({"operation", "facts.model"})
"""What adding up reads besides conditions and effects: kinds of request share a plan, and messages name these."""
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class PlanPolicy:
    """One policy's share in a plan. `needs_allow`: it has `allow` rules for the operation, whether they match or not."""

    policy: CompiledPolicy
    request: tuple[CompiledRule, ...]
    response: tuple[CompiledRule, ...]
    needs_allow: bool


type SwitchedOff = frozenset[tuple[str, str]]


class Answer(msgspec.Struct, frozen=True):
    """A request decision, the (policy, rule) pairs that exceptions switched off, and the models that enforced rules set.

    `found` are the outcomes of the request's conditions by slot, for rules that are asked about the response too.
    """

    decision: Decision
    off: SwitchedOff
    models: tuple[str, ...]
    found: Mapping[int, bool | str]


class Summing:
    """Two sums: what is enforced, and what would be if everything were."""

    __slots__ = ("faults", "real", "shadow", "shadowed", "warnings")

    def __init__(self) -> None:
        self.real = Tally()
        self.shadow = Tally()
        self.shadowed = False
        self.warnings: list[RuleHit] = []
        self.faults: list[RuleFault] = []

    def add(self, policy: CompiledPolicy, hit: RuleHit, act: Callable[[Tally], bool], *, steers: bool) -> bool:
        """Add one matching rule; False where it turns out not to concern the exchange."""
        self.shadow.hit = hit
        if not act(self.shadow):
            return False
        self.shadow.hits.append(hit)
        if policy.enforced:
            self.real.hit = hit
            act(self.real)
            self.real.hits.append(hit)
            return True
        self.shadowed = True
        if steers and policy.policy.mode is Mode.WARN:
            self.warnings.append(hit)
        return True

    def fault(self, policy: CompiledPolicy, name: str, why: str, *, refuses: bool) -> None:
        """Note a condition that failed to run; where it refuses, add that."""
        acted = refuses and policy.enforced
        self.faults.append(RuleFault(policy.policy.name, name, why, acted))

    def decision(self) -> Decision:
        """Return what the sums say."""
        would_be = WouldBe(self.shadow.verdict, tuple(self.shadow.hits)) if self.shadowed else None
        return Decision(
            verdict=self.real.verdict,
            rules=tuple(self.real.hits),
            message=self.real.message,
            edits=self.real.edits(),
            record=self.real.level,
            would_be=would_be,
            warnings=tuple(self.warnings),
            faults=tuple(self.faults),
        )


def add_failed(sums: Summing, policy: CompiledPolicy, rule: CompiledRule, why: str, concerns: Callable[[Tally], bool]) -> None:
    """Treat a rule whose condition failed to run as rule 3 says; `concerns` tells whether it would have had anything to do."""
    if rule.effect.guards and not concerns(Tally(hit=rule.hit)):
        return
    refuses = rule.effect.guards and policy.denies_on_error
    sums.fault(policy, rule.rule.id, why, refuses=refuses)
    if refuses:
        message = f"the rule `{rule.rule.id}` of policy `{policy.policy.name}` could not be evaluated ({why})"
        sums.add(policy, rule.hit, lambda tally: _deny(tally, message), steers=True)


def _deny(tally: Tally, message: str) -> bool:
    tally.deny(message)
    return True


class Plan:
    """The rules for one kind of request. Pure but for its memory, which changes no answer."""

    def __init__(self, policies: tuple[PlanPolicy, ...], compiler: ConditionCompiler) -> None:
        self.policies = policies
        self.compiler = compiler
        self.slots = frozenset(rule.slot for share in policies for rule in share.request)
        self._exceptions = tuple((share, exception) for share in policies for exception in share.policy.exceptions)
        self._deadlines = tuple(sorted({e.deadline for _, e in self._exceptions if e.deadline is not None}))
        rules = [rule for share in policies for rule in share.request]
        holders: list[CompiledRule | CompiledException] = [*rules, *(exception for _, exception in self._exceptions)]
        self._groups = group_conditions(((h.slot, h.condition) for h in holders if h.condition is not None), compiler)
        paths = {path for rule in rules for path in rule.effect.reads(rule.spec)}
        self._effect_key: Callable[[RequestView], Hashable] = attrgetter(*sorted(paths | _ALWAYS_READ))
        self._memory: Recent[Answer] = Recent(MEMORY)
        self._keys = tuple(group.key for group in self._groups if group.key is not None)
        self._all_seldom = len(self._keys) == len(self._groups)
        self.estimates = any(
            holder.condition is not None and holder.condition.reads & ESTIMATES
            for holder in [*holders, *(rule for share in policies for rule in share.response)]
        )
        self.has_response = any(share.response for share in policies)

    def decide(self, view: RequestView) -> Answer:
        """Answer a request."""
        outcomes: Outcomes = ()
        if self._all_seldom:
            key: Hashable = (*[key(view) for key in self._keys], self._effect_key(view), self._passed(view.now))
        else:
            outcomes = self._outcomes(view)
            key = (outcomes, self._effect_key(view), self._passed(view.now))
        known = self._memory.get(key)
        if known is None:
            known = self.assemble(view, self._outcomes(view) if self._all_seldom else outcomes)
            self._memory.put(key, known)
        return known

    def assemble(self, view: RequestView, outcomes: Outcomes) -> Answer:
        """Add up what the conditions' outcomes make of a request."""
        found = dict(outcomes)
        sums = Summing()
        off = self._switched_off(view, found, sums)
        for share in self.policies:
            self._add_policy(share, view, found, (off, sums))
        return Answer(sums.decision(), off, tuple(dict.fromkeys(sums.real.models)), found)

    def _outcomes(self, view: RequestView) -> Outcomes:
        if len(self._groups) == 1:
            return self._groups[0].ask(view)
        return tuple([outcome for group in self._groups for outcome in group.ask(view)])

    def _passed(self, now: datetime) -> int:
        return 0 if not self._deadlines else sum(now >= deadline for deadline in self._deadlines)

    def _switched_off(self, view: RequestView, found: dict[int, bool | str], sums: Summing) -> SwitchedOff:
        off: set[tuple[str, str]] = set()
        for share, exception in self._exceptions:
            if exception.deadline is not None and view.now >= exception.deadline:
                continue
            outcome = True if exception.condition is None else found.get(exception.slot, False)
            if isinstance(outcome, str):
                sums.fault(share.policy, exception.exception.id, outcome, refuses=False)
            elif outcome:
                off.update((share.policy.policy.name, name) for name in exception.switches_off)
        return frozenset(off)

    def _add_policy(
        self,
        share: PlanPolicy,
        view: RequestView,
        found: dict[int, bool | str],
        so_far: tuple[SwitchedOff, Summing],
    ) -> None:
        off, sums = so_far
        policy = share.policy
        name = policy.policy.name
        allowed = not share.needs_allow
        for rule in share.request:
            outcome = True if rule.condition is None else found.get(rule.slot, False)
            if outcome is False or (off and (name, rule.rule.id) in off):
                continue
            act = _request_act(rule, view)
            if isinstance(outcome, str):
                add_failed(sums, policy, rule, outcome, act)
            elif sums.add(policy, rule.hit, act, steers=rule.effect.steers) and rule.rule.effect == "allow":
                allowed = True
        if not allowed and (name, policy.default_hit.id) not in off:
            message = _default_message(name, view)
            sums.add(policy, policy.default_hit, lambda tally: _deny(tally, message), steers=True)


def _request_act(rule: CompiledRule, view: RequestView) -> Callable[[Tally], bool]:
    return lambda tally: rule.effect.on_request(rule.spec, view, tally)


def response_act(rule: CompiledRule, response: ResponseView) -> Callable[[Tally], bool]:
    """Return what adds a rule's effect on a response to a tally."""
    return lambda tally: rule.effect.on_response(rule.spec, response, tally)


def _default_message(policy: str, view: RequestView) -> str:
    model = f" to the model `{view.facts.model[:_SHOWN]}`" if view.facts.model else ""
    return f"refused by rule `default-deny` of policy `{policy}`: none of its `allow` rules covers this {view.operation} request{model}"
