"""What matching rules add up to while a decision is being made.

Rules:
1. One denial denies; the first one's message is the decision's.
2. The first value set for a field wins; stripped tools add up; of record levels the highest counts.
3. A tally is filled in policy name order and file order by its one owner, and thrown away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.core.decide import RecordLevel, RuleHit, Verdict
from llmcp.core.messages import NO_EDITS, RequestEdits

if TYPE_CHECKING:
    from collections.abc import Iterable

_LEVELS = tuple(RecordLevel)
_NO_HIT = RuleHit("", "", "")


class Tally(msgspec.Struct):
    """The sum so far. `hit` is the rule being added; `models` are all that rules want to set, the winning one first."""

    hit: RuleHit = _NO_HIT
    hits: list[RuleHit] = msgspec.field(default_factory=list)
    denied: bool = False
    message: str = ""
    fields: dict[str, Any] = msgspec.field(default_factory=dict)
    models: list[str] = msgspec.field(default_factory=list)
    strip: set[str] = msgspec.field(default_factory=set)
    level: RecordLevel = RecordLevel.NONE

    def deny(self, message: str) -> None:
        """Refuse; `message` counts where it is the first."""
        if not self.denied:
            self.denied = True
            self.message = message

    def set_field(self, name: str, value: Any) -> None:  # noqa: ANN401 - the value's type is the field's business
        """Set a request field unless an earlier rule did. Every model that any rule sets is kept: see `models`."""
        self.fields.setdefault(name, value)
        if name == "model":
            self.models.append(value)

    def strip_tools(self, names: Iterable[str]) -> None:
        """Take offered tools out of the request."""
        self.strip.update(names)

    def keep(self, level: RecordLevel) -> None:
        """Ask for at least `level` of the bodies in the record."""
        self.level = max(self.level, level, key=_LEVELS.index)

    @property
    def verdict(self) -> Verdict:
        """What the sum says."""
        return Verdict.DENY if self.denied else Verdict.ALLOW

    def edits(self) -> RequestEdits:
        """Return what is to be changed in the request; nothing where it is refused."""
        if self.denied or not (self.fields or self.strip):
            return NO_EDITS
        return RequestEdits(tuple(self.fields.items()), frozenset(self.strip))
