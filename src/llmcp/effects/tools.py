"""`tools: {deny: ["shell", "write_*"]}`: refuse tools by name, where they are offered and where they are called.

Rules:
1. A request that offers a denied tool is refused; with `strip: true` the offer is taken out and the request goes on.
2. A response that calls a denied tool is refused, stripped or not: the offer is gone, so the call is nobody's wish.
3. A nameless server tool is compared by its `type`. Calls in the conversation's history are not matched.
4. Unlike other effects it concerns both phases unless the rule says `phase`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmcp.core.globs import GlobSet, compile_globs
from llmcp.core.policy import EffectSpec, Phase
from llmcp.effects.base import EffectBase, default_message

if TYPE_CHECKING:
    from llmcp.core.decide import RequestView, ResponseView
    from llmcp.core.tally import Tally
    from llmcp.ports import SpecReader

_SHOWN = 64


@dataclass(frozen=True, slots=True)
class ToolsSpec:
    """Globs of tool names that are refused, and whether offers are taken out instead."""

    deny: tuple[str, ...]
    strip: bool = False
    denied: GlobSet = field(default=GlobSet((), everything=False), compare=False, repr=False)

    def canonical(self) -> object:
        """Return all of it as plain values."""
        return {"deny": self.deny, "strip": self.strip}


class ToolsEffect(EffectBase):
    """Refuse or strip tools."""

    name = "tools"
    default_phase = Phase.BOTH

    def parse(self, spec: SpecReader) -> EffectSpec | None:
        """Read `{deny: [globs], strip: bool}`."""
        spec.only("deny", "strip")
        strip = spec.flag("strip") if spec.has("strip") else False
        if not spec.has("deny"):
            spec.problem("P102", "`tools` needs `deny`", hint='list the tools to refuse: `tools: {deny: ["shell"]}`')
            return None
        deny = spec.globs("deny")
        if deny is None or strip is None:
            return None
        return ToolsSpec(deny, strip, compile_globs(deny))

    def reads(self, spec: EffectSpec) -> tuple[str, ...]:  # noqa: ARG002 - the port's form
        """Name the offers."""
        return ("facts.tools",)

    def on_request(self, spec: EffectSpec, view: RequestView, tally: Tally) -> bool:
        """Refuse or strip the denied offers."""
        if not isinstance(spec, ToolsSpec):
            return False
        refused = [name for name in view.facts.tools if spec.denied.matches(name)]
        if not refused:
            return False
        if spec.strip:
            tally.strip_tools(refused)
        else:
            tally.deny(default_message(tally, f"the tool `{refused[0][:_SHOWN]}` is refused"))
        return True

    def on_response(self, spec: EffectSpec, response: ResponseView, tally: Tally) -> bool:
        """Refuse the denied calls."""
        if not isinstance(spec, ToolsSpec):
            return False
        refused = [name for name in response.tools if spec.denied.matches(name)]
        if refused:
            tally.deny(default_message(tally, f"a call of the tool `{refused[0][:_SHOWN]}` is refused"))
        return bool(refused)

    def refused_tool(self, spec: EffectSpec, name: str) -> str:
        """Refuse a call whose name is denied."""
        if isinstance(spec, ToolsSpec) and spec.denied.matches(name):
            return f"a call of the tool `{name[:_SHOWN]}` is refused"
        return ""

    def gates_tools(self, spec: EffectSpec) -> bool:
        """Ask about each call."""
        return isinstance(spec, ToolsSpec)
