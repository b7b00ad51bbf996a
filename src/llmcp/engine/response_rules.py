"""The response-phase rules in scope of one request, bound to its view and to what its exceptions switched off.

Rules:
1. A rule is asked at most once about a response, but for tool calls, which are asked about one by one as they appear.
2. A tool call is refused by an enforced rule only; `warn` and `audit` rules speak in `decide`.
3. About a response that cannot be read, each rule's `onError` speaks, unless its condition is false without the response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.core.decide import Decision, ResponseView, RuleFault, Verdict
from llmcp.engine.asking import group_conditions
from llmcp.engine.plan import Answer, Plan, Summing, add_failed, response_act

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmcp.core.decide import RequestView
    from llmcp.engine.compiled import CompiledPolicy, CompiledRule
    from llmcp.ports import ConditionCompiler

_PREFIX = "response."
_NOTHING = Decision(Verdict.ALLOW)


class Answering:
    """One response-phase rule of a plan. `reads` are the response fields that its condition reads; `bind` then binds them."""

    __slots__ = ("bind", "policy", "reads", "rule")

    def __init__(self, policy: CompiledPolicy, rule: CompiledRule, compiler: ConditionCompiler) -> None:
        self.policy = policy
        self.rule = rule
        condition = rule.condition
        names = condition.reads if condition is not None else frozenset()
        self.reads = frozenset(name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX))
        self.bind = compiler.binder(names) if self.reads else None


class ResponsePlan:
    """What is the same for all requests of a plan.

    Conditions that read the request alone are asked as the request's are; those of rules that stand in both phases have been.
    """

    def __init__(self, plan: Plan) -> None:
        self.rules = tuple(Answering(share.policy, rule, plan.compiler) for share in plan.policies for rule in share.response)
        enforced = [each for each in self.rules if each.policy.enforced]
        self.reads = frozenset(name for each in self.rules for name in each.reads)
        self.holds = any(each.reads for each in enforced)
        self.gates_tools = any(each.rule.effect.gates_tools(each.rule.spec) for each in enforced)
        self.on_error_deny = any(each.policy.denies_on_error and each.rule.effect.guards for each in enforced)
        self.keeps_bodies = any(each.rule.effect.keeps_bodies(each.rule.spec) for each in enforced)
        self._groups = group_conditions(
            (
                (each.rule.slot, each.rule.condition)
                for each in self.rules
                if each.rule.condition is not None and not each.reads and each.rule.slot not in plan.slots
            ),
            plan.compiler,
        )

    def asked(self, view: RequestView, found: Mapping[int, bool | str]) -> Mapping[int, bool | str]:
        """Return the outcomes, by slot, of the conditions that read the request alone; what is plainly false is left out.

        `found` are the outcomes of the request's own rules.
        """
        if not self._groups:
            return found
        return {**found, **{slot: outcome for group in self._groups for slot, outcome in group.ask(view)}}


class BoundResponseRules:
    """The `ResponseRules` of one exchange."""

    __slots__ = ("_asked", "_found", "_off", "_plan", "_view")

    def __init__(self, plan: ResponsePlan, view: RequestView, answer: Answer) -> None:
        self._plan = plan
        self._view = view
        self._off = answer.off
        self._found = answer.found
        self._asked: Mapping[int, bool | str] | None = None

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

    @property
    def keeps_bodies(self) -> bool:
        """Tell whether a rule may ask for bodies."""
        return self._plan.keeps_bodies

    def check_tool(self, name: str) -> Decision | None:
        """Return the denial that the called tool `name` meets, or None. Rules that read the response wait for `decide`."""
        for each in self._active():
            policy, rule = each.policy, each.rule
            if not policy.enforced or each.reads:
                continue
            why = rule.effect.refused_tool(rule.spec, name)
            if not why:
                continue
            outcome = self._ask(each, None)
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
        sums: Summing | None = None
        for each in self._active():
            outcome = self._ask(each, response)
            if outcome is False:
                continue
            if sums is None:
                sums = Summing()
            act = response_act(each.rule, response)
            if isinstance(outcome, str):
                add_failed(sums, each.policy, each.rule, outcome, act)
            else:
                sums.add(each.policy, each.rule.hit, act, steers=each.rule.effect.steers)
        return sums.decision() if sums is not None else _NOTHING

    def unreadable(self, why: str) -> Decision:
        """Decide about a response that could not be read."""
        sums = Summing()
        for each in self._active():
            if not each.reads and self._ask(each, None) is False:
                continue
            if each.rule.effect.guards:
                add_failed(sums, each.policy, each.rule, why, lambda _tally: True)
        return sums.decision()

    def _active(self) -> Iterable[Answering]:
        if not self._off:
            return self._plan.rules
        return (each for each in self._plan.rules if (each.policy.policy.name, each.rule.rule.id) not in self._off)

    def _ask(self, each: Answering, response: ResponseView | None) -> bool | str:
        condition = each.rule.condition
        if condition is None:
            return True
        if each.bind is not None:
            return condition.test(each.bind(self._view, response or ResponseView()))
        if self._asked is None:
            self._asked = self._plan.asked(self._view, self._found)
        return self._asked.get(each.rule.slot, False)
