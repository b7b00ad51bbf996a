"""The response rules of a request that more than one model may answer: each model's own, asked together.

A rule may set another model, and a request may name models to fall back on. Which one answers is known too late to choose.

Rules:
1. Any denial by any part denies; everything that matched anywhere is reported once.
2. One part alone is that part: the common case costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.core.decide import Decision, RecordLevel, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmcp.core.decide import ResponseRules, ResponseView

_LEVELS = tuple(RecordLevel)


class JoinedRules:
    """Several `ResponseRules` as one."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[ResponseRules, ...]) -> None:
        self._parts = parts

    @property
    def reads(self) -> frozenset[str]:
        """What any part reads."""
        return frozenset(name for part in self._parts for name in part.reads)

    @property
    def holds(self) -> bool:
        """Tell whether any part holds the response."""
        return any(part.holds for part in self._parts)

    @property
    def gates_tools(self) -> bool:
        """Tell whether any part must be asked about tool calls."""
        return any(part.gates_tools for part in self._parts)

    @property
    def on_error_deny(self) -> bool:
        """Tell whether any part may refuse what cannot be read."""
        return any(part.on_error_deny for part in self._parts)

    @property
    def keeps_bodies(self) -> bool:
        """Tell whether any part may ask for bodies."""
        return any(part.keeps_bodies for part in self._parts)

    def check_tool(self, name: str) -> Decision | None:
        """Return the first denial that the called tool meets."""
        return next((denied for part in self._parts if (denied := part.check_tool(name)) is not None), None)

    def decide(self, response: ResponseView) -> Decision:
        """Ask every part."""
        return _together([part.decide(response) for part in self._parts])

    def unreadable(self, why: str) -> Decision:
        """Ask every part."""
        return _together([part.unreadable(why) for part in self._parts])


def join_rules(parts: Iterable[ResponseRules | None]) -> ResponseRules | None:
    """Return the rules of all `parts` as one; None where there are none."""
    some = tuple(part for part in parts if part is not None)
    if len(some) > 1:
        return JoinedRules(some)
    return some[0] if some else None


def _together(decisions: list[Decision]) -> Decision:
    denied = next((decision for decision in decisions if decision.verdict is not Verdict.ALLOW), decisions[0])
    return Decision(
        verdict=denied.verdict,
        rules=tuple(dict.fromkeys(hit for decision in decisions for hit in decision.rules)),
        message=denied.message,
        record=max((decision.record for decision in decisions), key=_LEVELS.index),
        would_be=next((decision.would_be for decision in decisions if decision.would_be is not None), None),
        warnings=tuple(dict.fromkeys(hit for decision in decisions for hit in decision.warnings)),
        faults=tuple(dict.fromkeys(fault for decision in decisions for fault in decision.faults)),
    )
