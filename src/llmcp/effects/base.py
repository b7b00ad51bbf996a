"""What most effects share: asked in the request phase, matching whenever their condition holds, silent about tool calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from llmcp.core.policy import EffectSpec, Phase

if TYPE_CHECKING:
    from llmcp.core.decide import RequestView, ResponseView
    from llmcp.core.tally import Tally
    from llmcp.ports import SpecReader


class EffectBase:
    """An effect that does nothing. Subclasses say what differs."""

    name: str = ""
    phases: tuple[Phase, ...] = (Phase.REQUEST, Phase.RESPONSE, Phase.BOTH)
    default_phase: Phase = Phase.REQUEST
    guards: bool = True
    judges: bool = True
    steers: bool = True

    NO_READS: ClassVar[tuple[str, ...]] = ()

    def parse(self, spec: SpecReader) -> EffectSpec | None:
        """Read the effect's mapping."""
        raise NotImplementedError

    def reads(self, spec: EffectSpec) -> tuple[str, ...]:  # noqa: ARG002 - the port's form
        """Name what `on_request` reads of the view."""
        return self.NO_READS

    def on_request(self, spec: EffectSpec, view: RequestView, tally: Tally) -> bool:  # noqa: ARG002 - the port's form
        """Match."""
        return True

    def on_response(self, spec: EffectSpec, response: ResponseView, tally: Tally) -> bool:  # noqa: ARG002 - the port's form
        """Match."""
        return True

    def refused_tool(self, spec: EffectSpec, name: str) -> str:  # noqa: ARG002 - the port's form
        """Refuse no tool call."""
        return ""

    def gates_tools(self, spec: EffectSpec) -> bool:  # noqa: ARG002 - the port's form
        """Need not be asked about tool calls."""
        return False

    def keeps_bodies(self, spec: EffectSpec) -> bool:  # noqa: ARG002 - the port's form
        """Ask for no bodies."""
        return False


def default_message(tally: Tally, why: str = "refused") -> str:
    """Word a refusal that names its rule and policy."""
    return f"{why} by rule `{tally.hit.id}` of policy `{tally.hit.policy}`"
