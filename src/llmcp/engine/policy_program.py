"""All policies of one revision, ready to decide: scopes first, in Python, then conditions.

Rules:
1. Scopes are asked once per kind of request (operation, provider, model, org, app) and remembered, bounded.
2. Kinds with the same surviving rules share one plan, and with it gate and memory.
3. Where rules set the model, the request with it must pass too: a substitution never gets round a denial. That holds for every
   model that a matching rule sets, also one that loses to an earlier rule: else adding a rule could lift a denial.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from llmcp.core.decide import Decision, Verdict
from llmcp.core.globs import model_names
from llmcp.engine.compiled import Asked, CompiledPolicy, CompiledRule, PolicyCompiler, names_model
from llmcp.engine.joined_rules import join_rules
from llmcp.engine.plan import ESTIMATES, Plan, PlanPolicy
from llmcp.engine.recent import Recent
from llmcp.engine.response_rules import BoundResponseRules, ResponsePlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmcp.core.decide import RequestView, ResponseRules
    from llmcp.core.policy import Policy
    from llmcp.ports import Vocabulary

_KINDS = 1024
_PLANS = 128

type _Pair = tuple[Plan, ResponsePlan | None]


class CompiledProgram:
    """The `PolicyProgram` of one revision."""

    def __init__(self, policies: Sequence[Policy], vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._policies = PolicyCompiler(vocabulary).compile(policies)
        self.reads_inside = any(_reads_inside(rule) for policy in self._policies for rule in policy.rules)
        self._kinds: Recent[_Pair] = Recent(_KINDS)
        self._plans: Recent[_Pair] = Recent(_PLANS)
        self._estimates = any(policy.reads & ESTIMATES for policy in self._policies)

    def decide_request(self, view: RequestView) -> Decision:
        """Evaluate all request-phase rules in scope."""
        plan, answers = self._plan(view)
        answer = plan.decide(view)
        decision = answer.decision
        others: list[ResponseRules] = []
        if answer.models and decision.verdict is Verdict.ALLOW:
            decision = self._as_sent(view, decision, answer.models, others)
        if (answers is None and not others) or decision.verdict is not Verdict.ALLOW:
            return decision
        bound = BoundResponseRules(answers, view, answer) if answers is not None else None
        return _with_response(decision, join_rules((bound, *others)) if others else bound)

    def needs_estimate(self, view: RequestView) -> bool:
        """Tell whether a rule in scope reads `request.input_tokens` or `request.estimated_usd`."""
        return self._estimates and self._plan(view)[0].estimates

    def _as_sent(self, view: RequestView, decision: Decision, models: tuple[str, ...], others: list[ResponseRules]) -> Decision:
        """Ask the rules again for each model that may be sent instead; `others` takes the response rules of these."""
        for model in models:
            if model == view.facts.model:
                continue
            canonical = self._vocabulary.canonical_model(view.provider, model)
            sent = replace(view, facts=replace(view.facts, model=model), canonical_model=canonical)
            plan, answers = self._plan(sent)
            answer = plan.decide(sent)
            if answers is not None:
                others.append(BoundResponseRules(answers, sent, answer))
            refused = answer.decision
            if refused.verdict is not Verdict.ALLOW:
                rules = tuple(dict.fromkeys((*decision.rules, *refused.rules)))
                message = f"{refused.message} (another rule sets the model `{model}`)"
                return replace(refused, rules=rules, message=message)
        return decision

    def _plan(self, view: RequestView) -> _Pair:
        subject = view.subject
        key = (view.operation, view.provider, view.facts.model, view.canonical_model, subject.org, subject.app)
        known = self._kinds.get(key)
        if known is None:
            known = self._planned(self._asked(view))
            self._kinds.put(key, known)
        return known

    def _asked(self, view: RequestView) -> Asked:
        model = view.facts.model
        names = None
        if names_model(view.operation, model):
            names = model_names(model, view.canonical_model, view.provider, self._vocabulary.providers)
        return Asked(view.operation, view.provider, names, view.subject.org, view.subject.app)

    def _planned(self, asked: Asked) -> _Pair:
        shares = tuple(_share(policy, asked) for policy in self._policies if policy.scope.covers(asked))
        key = tuple(
            (id(share.policy), share.needs_allow, tuple(map(id, share.request)), tuple(map(id, share.response)))
            for share in shares
        )
        known = self._plans.get(key)
        if known is None:
            plan = Plan(shares, self._vocabulary.compiler)
            known = (plan, ResponsePlan(plan) if plan.has_response else None)
            self._plans.put(key, known)
        return known


def _reads_inside(rule: CompiledRule) -> bool:
    reads = rule.condition.reads if rule.condition is not None else frozenset()
    return rule.rule.effect == "tools" or any(name.startswith(("request.text", "request.tools")) for name in reads)


def _share(policy: CompiledPolicy, asked: Asked) -> PlanPolicy:
    surviving = [rule for rule in policy.rules if rule.scope.covers(asked)]
    return PlanPolicy(
        policy,
        tuple(rule for rule in surviving if rule.in_request),
        tuple(rule for rule in surviving if rule.in_response),
        needs_allow=any(rule.rule.effect == "allow" and rule.scope.binds(asked) for rule in policy.rules),
    )


def _with_response(decision: Decision, response: ResponseRules | None) -> Decision:
    return Decision(
        decision.verdict,
        decision.rules,
        decision.message,
        decision.edits,
        decision.record,
        decision.would_be,
        decision.warnings,
        decision.faults,
        response,
    )
