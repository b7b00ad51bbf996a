"""Asking conditions cheaply: only what is read gets bound, one gate stands before many, and answers are remembered.

Rules:
1. Conditions that read only what changes seldom share a memory whose key holds every variable that any of them reads.
2. Conditions that read the time, texts, token counts or prices are asked every time.
3. The answer to a view is the same with and without gate and memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.engine.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from llmcp.core.decide import RequestView
    from llmcp.ports import Condition, ConditionCompiler

type Outcomes = tuple[tuple[int, bool | str], ...]
"""What is not plainly false: the slot, and True or why the condition failed to run."""

MEMORY = 512


class Group:
    """Some conditions that are bound and asked together. `key` is None where nothing is remembered."""

    __slots__ = ("_bind", "_conditions", "_gate", "_memory", "key")

    def __init__(self, conditions: Mapping[int, Condition], compiler: ConditionCompiler) -> None:
        reads = frozenset(name for condition in conditions.values() for name in condition.reads)
        self._conditions = tuple(conditions.items())
        self._bind = compiler.binder(reads)
        self._gate = compiler.gate(tuple(conditions.values()))
        self._memory: Recent[Outcomes] = Recent(MEMORY)
        self.key: Callable[[RequestView], Hashable] | None = compiler.memo_key(reads)

    def ask(self, view: RequestView) -> Outcomes:
        """Return the outcomes over `view`."""
        if self.key is None:
            return self.evaluate(view)
        key = self.key(view)
        known = self._memory.get(key)
        if known is None:
            known = self.evaluate(view)
            self._memory.put(key, known)
        return known

    def evaluate(self, view: RequestView) -> Outcomes:
        """Return the outcomes over `view`, without the memory."""
        bound = self._bind(view, None)
        if self._gate is not None and self._gate.closed(bound):
            return ()
        tested = ((slot, condition.test(bound)) for slot, condition in self._conditions)
        return tuple((slot, outcome) for slot, outcome in tested if outcome is not False)


def group_conditions(conditions: Iterable[tuple[int, Condition]], compiler: ConditionCompiler) -> tuple[Group, ...]:
    """Put conditions into as few groups as rules 1 and 2 and their reading of labels allow."""
    sorted_out: dict[tuple[bool, bool], dict[int, Condition]] = {}
    for slot, condition in conditions:
        seldom = compiler.memo_key(condition.reads) is not None
        merged = any("#" in name for name in condition.reads)
        sorted_out.setdefault((seldom, merged), {})[slot] = condition
    return tuple(Group(chosen, compiler) for chosen in sorted_out.values())
