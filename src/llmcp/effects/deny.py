"""`deny: {message: …}`: refuse what the rule matches. Any deny wins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmcp.effects.base import EffectBase, default_message

if TYPE_CHECKING:
    from llmcp.core.decide import RequestView, ResponseView
    from llmcp.core.policy import EffectSpec
    from llmcp.core.tally import Tally
    from llmcp.ports import SpecReader


@dataclass(frozen=True, slots=True)
class DenySpec:
    """`message` is told to the client; empty: a default that names the rule."""

    message: str = ""

    def canonical(self) -> object:
        """Return all of it as plain values."""
        return {"message": self.message}


class DenyEffect(EffectBase):
    """Refuse."""

    name = "deny"

    def parse(self, spec: SpecReader) -> EffectSpec | None:
        """Read `{message: text}`; the message is optional."""
        spec.only("message")
        return DenySpec(spec.text("message") or "")

    def on_request(self, spec: EffectSpec, view: RequestView, tally: Tally) -> bool:  # noqa: ARG002 - the port's form
        """Refuse the request."""
        return _refuse(spec, tally)

    def on_response(self, spec: EffectSpec, response: ResponseView, tally: Tally) -> bool:  # noqa: ARG002 - the port's form
        """Refuse the response."""
        return _refuse(spec, tally)


def _refuse(spec: EffectSpec, tally: Tally) -> bool:
    message = spec.message if isinstance(spec, DenySpec) else ""
    tally.deny(message or default_message(tally))
    return True
