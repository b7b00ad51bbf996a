"""`record: {bodies: none|full}`: mark what the rule matches as evidence, and keep its bodies.

`full` keeps them as they are, encrypted and apart from the records; it needs the setting `record.allow_full`. `redacted` needs
inspection, which is not built in this version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmcp.core.decide import RecordLevel
from llmcp.effects.base import EffectBase

if TYPE_CHECKING:
    from llmcp.core.decide import RequestView, ResponseView
    from llmcp.core.policy import EffectSpec
    from llmcp.core.tally import Tally
    from llmcp.ports import SpecReader


@dataclass(frozen=True, slots=True)
class RecordSpec:
    """How much of the bodies to keep."""

    bodies: RecordLevel = RecordLevel.NONE

    def canonical(self) -> object:
        """Return all of it as plain values."""
        return {"bodies": self.bodies.value}


class RecordEffect(EffectBase):
    """The rule stands in the record of what it matches."""

    name = "record"
    judges = False
    guards = False
    steers = False

    def __init__(self, *, allow_full: bool = False) -> None:
        self._allow_full = allow_full

    def parse(self, spec: SpecReader) -> EffectSpec | None:
        """Read `{bodies: none|full}`."""
        spec.only("bodies")
        if not spec.has("bodies"):
            return RecordSpec()
        level = spec.text("bodies")
        if level is None or level == RecordLevel.NONE:
            return None if level is None else RecordSpec()
        if level == RecordLevel.FULL:
            if self._allow_full:
                return RecordSpec(RecordLevel.FULL)
            spec.problem(
                "P122",
                "`record: {bodies: full}` needs the setting `record.allow_full`",
                key="bodies",
                hint="`llmcp config set record.allow_full true` lets whole bodies be kept, encrypted",
            )
        elif level in set(RecordLevel):
            spec.problem(
                "P109",
                f"`record: {{bodies: {level}}}` is not supported in this version",
                key="bodies",
                hint="`none` keeps the rule in the record, without bodies; `full` keeps whole bodies, encrypted",
            )
        else:
            known = ", ".join(f"`{known.value}`" for known in RecordLevel)
            spec.problem("P107", f"`bodies` is one of {known}", key="bodies")
        return None

    def keeps_bodies(self, spec: EffectSpec) -> bool:
        """Tell whether bodies are wanted."""
        return isinstance(spec, RecordSpec) and spec.bodies is RecordLevel.FULL

    def on_request(self, spec: EffectSpec, view: RequestView, tally: Tally) -> bool:  # noqa: ARG002 - the port's form
        """Keep what the rule says."""
        return _keep(spec, tally)

    def on_response(self, spec: EffectSpec, response: ResponseView, tally: Tally) -> bool:  # noqa: ARG002 - the port's form
        """Keep what the rule says."""
        return _keep(spec, tally)


def _keep(spec: EffectSpec, tally: Tally) -> bool:
    if isinstance(spec, RecordSpec):
        tally.keep(spec.bodies)
    return True
