"""The response-phase rules in scope of one request, bound to its view and to what its exceptions switched off.

Rules:
1. A rule is asked at most once about a response, but for tool calls, which are asked about one by one as they appear.
2. A tool call is refused by an enforced rule only; `warn` and `audit` rules speak in `decide`.
3. About a response that cannot be read, each rule's `onError` speaks, unless its condition is false without the response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.core.decide import Decision, ResponseView, RuleFault, Verdict
from llmcp.engine.plan import Plan, Summing, SwitchedOff, add_failed, response_act

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmcp.core.decide import RequestView
    from llmcp.engine.compiled import CompiledPolicy, CompiledRule
    from llmcp.ports import ConditionCompiler

_PREFIX = "response."


class ResponsePlan:
    """What is the same for all requests of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.compiler: ConditionCompiler = plan.compiler
        self.rules = tuple((share.policy, rule) for share in plan.policies for rule in share.response)
        self.reads = frozenset(name for _, rule in self.rules for name in _answers(rule))
        self.holds = any(policy.enforced and _answers(rule) for policy, rule in self.rules)
        self.gates_tools = any(policy.enforced and rule.effect.gates_tools(rule.spec) for policy, rule in self.rules)
        self.on_error_deny = any(policy.enforced and policy.denies_on_error and rule.effect.guards for policy, rule in self.rules)


def _answers(rule: CompiledRule) -> frozenset[str]:
    if rule.condition is None:
        return frozenset()
    return frozenset(name.removeprefix(_PREFIX) for name in rule.condition.reads if name.startswith(_PREFIX))


class BoundResponseRules:
    """The `ResponseRules` of one exchange."""

    __slots__ = ("_off", "_outcomes", "_plan", "_view")

    def __init__(self, plan: ResponsePlan, view: RequestView, off: SwitchedOff) -> None:
        self._plan = plan
        self._view = view
        self._off = off
        self._outcomes: dict[int, bool | str] = {}

    @property
    def reads(self) -> frozenset[str]:
        """The response fields that conditions read."""
        return self._plan.reads

    @property
    def holds(self) -> bool:
        """Tell whether an enforced condition reads the response."""
        return self._plan.holds

    @property
    def gates_tools(self) -> bool:
        """Tell whether tool calls must be asked about one by one."""
        return self._plan.gates_tools

    @property
    def on_error_deny(self) -> bool:
        """Tell whether a response that cannot be read may be refused."""
        return self._plan.on_error_deny

    def check_tool(self, name: str) -> Decision | None:
        """Return the denial that the called tool `name` meets, or None. Rules that read the response wait for `decide`."""
        for policy, rule in self._active():
            if not policy.enforced or _answers(rule):
                continue
            why = rule.effect.refused_tool(rule.spec, name)
            if not why:
                continue
            outcome = self._ask(rule, None)
            if outcome is True:
                message = f"{why} by rule `{rule.rule.id}` of policy `{policy.policy.name}`"
                return Decision(Verdict.DENY, (rule.hit,), message)
            if isinstance(outcome, str) and policy.denies_on_error:
                message = f"the rule `{rule.rule.id}` of policy `{policy.policy.name}` could not be evaluated ({outcome})"
                fault = RuleFault(policy.policy.name, rule.rule.id, outcome, acted=True)
                return Decision(Verdict.DENY, (rule.hit,), message, faults=(fault,))
        return None

    def decide(self, response: ResponseView) -> Decision:
        """Evaluate all response-phase rules over a whole response."""
        sums = Summing()
        for policy, rule in self._active():
            outcome = self._ask(rule, response)
            act = response_act(rule, response)
            if isinstance(outcome, str):
                add_failed(sums, policy, rule, outcome, act)
            elif outcome:
                sums.add(policy, rule.hit, act, steers=rule.effect.steers)
        return sums.decision()

    def unreadable(self, why: str) -> Decision:
        """Decide about a response that could not be read."""
        sums = Summing()
        for policy, rule in self._active():
            if not _answers(rule) and self._ask(rule, None) is False:
                continue
            if rule.effect.guards:
                add_failed(sums, policy, rule, why, lambda _tally: True)
        return sums.decision()

    def _active(self) -> Iterator[tuple[CompiledPolicy, CompiledRule]]:
        for policy, rule in self._plan.rules:
            if not self._off or (policy.policy.name, rule.rule.id) not in self._off:
                yield policy, rule

    def _ask(self, rule: CompiledRule, response: ResponseView | None) -> bool | str:
        condition = rule.condition
        if condition is None:
            return True
        if _answers(rule):
            return condition.test(self._plan.compiler.binder(condition.reads)(self._view, response or ResponseView()))
        known = self._outcomes.get(rule.slot)
        if known is None:
            known = self._outcomes[rule.slot] = condition.test(self._plan.compiler.binder(condition.reads)(self._view, None))
        return known
