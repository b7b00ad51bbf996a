"""Asking conditions cheaply: only what is read gets bound, one gate stands before many, and answers are remembered.

Rules:
1. Conditions that read only what changes seldom share a memory whose key holds every variable that any of them reads.
2. Conditions that read the time, texts, token counts or prices are asked every time.
3. The answer to a view is the same with and without gate, memory, guards and literals.
4. Of the conditions of rule 2, one whose guard is false is not asked, nor one that wants a literal that the text does not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.engine.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from llmcp.core.decide import RequestView
    from llmcp.ports import Condition, ConditionCompiler

type Outcomes = tuple[tuple[int, bool | str], ...]
"""What is not plainly false: the slot, and True or why the condition failed to run."""

MEMORY = 2048
"""Who asks is part of many keys, so it holds the users of a company; an entry takes about a kilobyte."""
_GROWING = frozenset({"request.turns"})
"""What is another one with every request of a conversation: in a key of many it would make the memory of all of them useless."""


class Group:
    """Some conditions that are bound and asked together. `key` makes what they are remembered under; None: they never are."""

    __slots__ = ("_bind", "_conditions", "_gate", "_memory", "key")

    def __init__(self, conditions: Sequence[tuple[int, Condition]], compiler: ConditionCompiler) -> None:
        reads = _reads(conditions)
        self._conditions = tuple(conditions)
        self._bind = compiler.binder(reads)
        self._gate = compiler.gate([condition for _, condition in conditions])
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
        if not self._conditions:
            return ()
        bound = self._bind(view, None)
        if self._gate is not None:
            if self._gate.closed(bound):
                return ()
            bits = self._gate.which(bound)
            if bits is not None:
                return tuple([(slot, True) for bit, (slot, _) in enumerate(self._conditions) if bits >> bit & 1])
        tested = [(slot, condition.test(bound)) for slot, condition in self._conditions]
        return tuple([each for each in tested if each[1] is not False])


class Varying:
    """Conditions that no memory can answer, but whose guards and literals mostly can.

    What the guards leave open is remembered as their outcomes would be; what is open is asked as the module's rule 4 says.
    """

    __slots__ = ("_bind", "_compiler", "_conditions", "_guards", "_left", "_memory", "key")

    def __init__(self, conditions: Sequence[tuple[int, Condition]], compiler: ConditionCompiler) -> None:
        guards = [(slot, guard) for slot, condition in conditions for guard in condition.guards]
        reads = _reads(guards)
        self.key = None
        self._conditions = tuple(conditions)
        self._compiler = compiler
        self._bind = compiler.binder(reads)
        self._guards = compiler.memo_key(reads) if guards else None
        self._memory: Recent[Left] = Recent(MEMORY)
        self._left: Recent[Left] = Recent(MEMORY)

    def ask(self, view: RequestView) -> Outcomes:
        """Return the outcomes over `view`."""
        if self._guards is None:
            return self._leaving(self._conditions).ask(view)
        key = self._guards(view)
        left = self._memory.get(key)
        if left is None:
            left = self._leaving(self._open(view))
            self._memory.put(key, left)
        return left.ask(view)

    def _open(self, view: RequestView) -> tuple[tuple[int, Condition], ...]:
        bound = self._bind(view, None)
        return tuple(
            (slot, condition)
            for slot, condition in self._conditions
            if not any(guard.test(bound) is False for guard in condition.guards)
        )

    def _leaving(self, conditions: tuple[tuple[int, Condition], ...]) -> Left:
        """Return what asks these; many requests leave the same ones open."""
        slots = tuple(slot for slot, _ in conditions)
        known = self._left.get(slots)
        if known is None:
            known = Left(conditions, self._compiler)
            self._left.put(slots, known)
        return known


class Left:
    """What guards have left open: conditions with a literal, asked one by one where it is found, and a group of the others."""

    __slots__ = ("_bind", "_literal", "_others", "_sieve")

    def __init__(self, conditions: tuple[tuple[int, Condition], ...], compiler: ConditionCompiler) -> None:
        self._literal = tuple((slot, condition) for slot, condition in conditions if condition.needles)
        self._others = Group([(slot, condition) for slot, condition in conditions if not condition.needles], compiler)
        self._sieve = compiler.sieve(self._literal)
        self._bind = compiler.binder(_reads(self._literal))

    def ask(self, view: RequestView) -> Outcomes:
        """Return the outcomes over `view`."""
        outcomes = self._others.evaluate(view)
        if not self._literal or not (found := self._sieve(view)):
            return outcomes
        bound = self._bind(view, None)
        tested = [(slot, condition.test(bound)) for slot, condition in found]
        return (*outcomes, *[each for each in tested if each[1] is not False])


def group_conditions(conditions: Iterable[tuple[int, Condition]], compiler: ConditionCompiler) -> tuple[Group | Varying, ...]:
    """Put conditions into as few groups as rules 1 and 2, their reading of labels and growing conversations allow."""
    sorted_out: dict[tuple[bool, bool, bool], list[tuple[int, Condition]]] = {}
    for slot, condition in conditions:
        seldom = compiler.memo_key(condition.reads) is not None
        merged = any("#" in name for name in condition.reads)
        grows = bool(condition.reads & _GROWING)
        sorted_out.setdefault((seldom, merged, seldom and grows), []).append((slot, condition))
    return tuple((Group if seldom else Varying)(chosen, compiler) for (seldom, _, _), chosen in sorted_out.items())


def _reads(conditions: Iterable[tuple[int, Condition]]) -> frozenset[str]:
    return frozenset(name for _, condition in conditions for name in condition.reads)
