"""Policies evaluated as CONTRACT section 4 tells it, slowly and without gate, index or memory: the oracle of the real program."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llmcp.conditions.cel import CelCompiler
from llmcp.core.decide import Mode, Verdict
from llmcp.core.messages import Operation
from llmcp.core.policy import OnError, Phase
from policy_strategies import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmcp.core.decide import RequestView, ResponseView
    from llmcp.core.policy import Policy, Scope
    from llmcp.ports import ConditionCompiler


def glob(pattern: str, name: str) -> bool:
    """Match with the standard library's regular expressions."""
    wanted = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern.lower())
    return re.fullmatch(wanted, name.lower(), re.DOTALL) is not None


def names_a_model(view: RequestView) -> bool:
    """Tell whether a list of models binds this request."""
    if view.operation in {Operation.MODELS, Operation.FILES}:
        return False
    return view.operation not in {Operation.OTHER, Operation.BATCHES} or view.facts.model != ""


def model_matches(pattern: str, view: RequestView) -> bool:
    """Match one pattern against the model, its provider prefix removed; a pattern with a slash also against the full name."""
    sent = view.facts.model.lower()
    prefix, _, rest = sent.partition("/")
    bare = rest if rest and prefix in {*PROVIDERS, view.provider} else sent
    return glob(pattern, bare) or ("/" in pattern and (glob(pattern, sent) or glob(pattern, f"{view.provider}/{bare}")))


def speaks(scope: Scope, view: RequestView) -> bool:
    """Tell whether a scope is about this operation."""
    return any(glob(p, view.operation.value) for p in scope.operations) and ("*" in scope.models or names_a_model(view))


def covers(scope: Scope, view: RequestView) -> bool:
    """Tell whether a scope covers this request."""
    return (
        speaks(scope, view)
        and ("*" in scope.models or any(model_matches(p, view) for p in scope.models))
        and any(glob(p, view.provider) for p in scope.providers)
        and any(glob(p, view.subject.org) for p in scope.orgs)
        and any(glob(p, view.subject.app) for p in scope.apps)
    )


class CachingCompiler(CelCompiler):
    """The real compiler, which remembers what it compiled: properties compile the same conditions over and over."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[object, object] = {}

    def compile(self, source: str, params: Any, *, own_labels: bool = True) -> Any:
        """Compile once."""
        key = (source, tuple(params.items()), own_labels)
        if key not in self._known:
            self._known[key] = super().compile(source, params, own_labels=own_labels)
        return self._known[key]


class Naive:
    """One question at a time."""

    def __init__(self, policies: Iterable[Policy], compiler: ConditionCompiler) -> None:
        self.policies = sorted(policies, key=lambda policy: policy.name)
        self.compiler = compiler

    def holds(self, policy: Policy, when: str, asked: tuple[RequestView, ResponseView | None], *, own: bool = True) -> bool | str:
        """Evaluate one condition on its own."""
        if not when:
            return True
        condition = self.compiler.compile(when, dict(policy.params), own_labels=own)
        assert not isinstance(condition, tuple)
        return condition.test(self.compiler.binder(condition.reads)(*asked))

    def off(self, policy: Policy, view: RequestView) -> set[str]:
        """Return the rules that the policy's exceptions switch off."""
        found: set[str] = set()
        for exception in policy.exceptions:
            current = exception.expires is None or view.now.date() <= exception.expires
            if current and self.holds(policy, exception.when, (view, None)) is True:
                found |= set(exception.rules)
        return found

    def request(self, view: RequestView) -> tuple[Verdict, list[tuple[str, str]], dict[str, object], set[str]]:
        """Return verdict, enforced rules, fields set and tools stripped, without the look at a substituted model."""
        denied, matched = False, []
        fields: dict[str, object] = {}
        stripped: set[str] = set()
        for policy in self.policies:
            if policy.mode is not Mode.ENFORCE or not covers(policy.scope, view):
                continue
            off = self.off(policy, view)
            allows = [rule for rule in policy.rules if rule.effect == "allow" and speaks(rule.match, view)]
            allowed = not allows
            for rule in policy.rules:
                if rule.id in off or rule.phase is Phase.RESPONSE or not covers(rule.match, view):
                    continue
                outcome = self.holds(policy, rule.when, (view, None), own=rule.effect not in {"set", "record"})
                hits, refuses = self.act(rule, view)
                if outcome is False or not hits:
                    continue
                if isinstance(outcome, str):
                    if policy.on_error is OnError.IGNORE or rule.effect in {"allow", "record"}:
                        continue
                    denied = True
                elif rule.effect == "allow":
                    allowed = True
                elif rule.effect == "set":
                    for name, value in rule.spec.fields:
                        if self.settable(name, view):
                            fields.setdefault(name, value)
                elif rule.effect == "tools" and rule.spec.strip:
                    stripped |= {t for t in view.facts.tools if any(glob(p, t) for p in rule.spec.deny)}
                denied = denied or refuses
                matched.append((policy.name, rule.id))
            if not allowed and "default-deny" not in off:
                denied = True
                matched.append((policy.name, "default-deny"))
        return (Verdict.DENY if denied else Verdict.ALLOW), matched, {} if denied else fields, set() if denied else stripped

    def settable(self, name: str, view: RequestView) -> bool:
        """Tell where a field may be set."""
        return view.operation is Operation.CHAT or (name == "model" and view.operation is Operation.EMBEDDINGS)

    def act(self, rule: object, view: RequestView) -> tuple[bool, bool]:
        """Tell whether a rule concerns the request, and whether it then refuses."""
        if rule.effect == "tools":
            concerned = any(glob(p, t) for p in rule.spec.deny for t in view.facts.tools)
            return concerned, concerned and not rule.spec.strip
        if rule.effect == "set":
            return any(self.settable(name, view) for name, _ in rule.spec.fields), False
        return True, rule.effect == "deny"

    def response(self, view: RequestView, response: ResponseView) -> tuple[Verdict, list[tuple[str, str]]]:
        """Return verdict and enforced rules of the response phase."""
        denied, matched = False, []
        for policy in self.policies:
            if policy.mode is not Mode.ENFORCE or not covers(policy.scope, view):
                continue
            off = self.off(policy, view)
            for rule in policy.rules:
                if rule.id in off or rule.phase is Phase.REQUEST or not covers(rule.match, view):
                    continue
                outcome = self.holds(policy, rule.when, (view, response), own=rule.effect != "record")
                if rule.effect == "tools" and not any(glob(p, t) for p in rule.spec.deny for t in response.tools):
                    continue
                if outcome is False:
                    continue
                if isinstance(outcome, str) and (policy.on_error is OnError.IGNORE or rule.effect == "record"):
                    continue
                denied = denied or rule.effect in {"deny", "tools"}
                matched.append((policy.name, rule.id))
        return (Verdict.DENY if denied else Verdict.ALLOW), matched
