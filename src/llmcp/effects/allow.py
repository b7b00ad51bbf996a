"""`allow: {}`: what the rule matches is allowed by its policy; what no `allow` of the policy matches is denied by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmcp.core.policy import EffectSpec, Phase
from llmcp.effects.base import EffectBase

if TYPE_CHECKING:
    from llmcp.ports import SpecReader


@dataclass(frozen=True, slots=True)
class AllowSpec:
    """Nothing to say."""

    def canonical(self) -> object:
        """Return all of it as plain values."""
        return {}


class AllowEffect(EffectBase):
    """The counting of allows is the decision's; the effect itself adds nothing."""

    name = "allow"
    phases: tuple[Phase, ...] = (Phase.REQUEST,)
    guards = False
    steers = False

    def parse(self, spec: SpecReader) -> EffectSpec | None:
        """Read `{}`."""
        spec.only()
        return AllowSpec()
