"""`audit prune` and retention: what may go, in which steps, and what tells of it.

Rules:
1. Records go as a prefix of the decision stream: up to the first that is not older than the bound, and no further than the last
   checkpoint. Control records stay.
2. Each step is one transaction with a control record of its own: a crash between two steps leaves a log that verifies.
3. Nothing goes where the last checkpoint is not the tree's: what is damaged is evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmcp.control.ledger import Notary, sign_checkpoint
from llmcp.core.control_records import ControlRecord
from llmcp.core.ledger import PRUNE_ACTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmcp.ports.ledger import Ledger

_ROWS_AT_ONCE: Final = 10_000
_BODIES_AT_ONCE: Final = 2_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pruning would take: records `first` to `last` (none where `last` is below `first`) and bodies."""

    before: str
    first: int
    last: int
    bodies: int

    @property
    def records(self) -> int:
        """Return how many records would go."""
        return max(0, self.last - self.first + 1)


@dataclass(frozen=True, slots=True)
class Scribe:
    """Makes the control records of a pruning: who does it, when, under which ids."""

    actor: str
    now: Callable[[], str]
    fresh_id: Callable[[], str]

    def record(self, mode: str, before: str) -> ControlRecord:
        """Return the record of one step."""
        detail = {"before": before, "mode": mode, "stream": "decision"}
        return ControlRecord(
            action=PRUNE_ACTION, actor=self.actor, detail=detail, id=self.fresh_id(), target="decision", time=self.now()
        )


def plan_rows(ledger: Ledger, before: str) -> Plan:
    """Return what would go of records older than `before` (a timestamp)."""
    with ledger.view("decision") as view:
        pruned, last = view.pruned(), view.last_checkpoint()
        covered = last.size if last else 0
        return Plan(before, (pruned.size if pruned else 0) + 1, min(view.last_older(before), covered), 0)


def plan_bodies(ledger: Ledger, before: str) -> Plan:
    """Return what would go of bodies older than `before`."""
    return Plan(before, 1, 0, ledger.count_bodies(before))


def prune_rows(ledger: Ledger, plan: Plan, notary: Notary, scribe: Scribe) -> Iterator[int]:
    """Take the records away, step by step; yield how many went with each. Raises: DamagedLedgerError, BrokenTreeError."""
    if not plan.records:
        return
    # Signing says whether the log is the one that was signed before.
    sign_checkpoint(ledger, "decision", notary, scribe.now())
    size = plan.first - 1
    while size < plan.last:
        size = min(size + _ROWS_AT_ONCE, plan.last)
        yield ledger.forget_rows("decision", size, scribe.record("rows", plan.before))


def prune_bodies(ledger: Ledger, plan: Plan, scribe: Scribe) -> Iterator[int]:
    """Take the bodies away, step by step; yield how many went with each."""
    left = plan.bodies
    while left > 0:
        gone = ledger.forget_bodies(plan.before, scribe.record("bodies", plan.before), _BODIES_AT_ONCE)
        if not gone:
            return
        left -= gone
        yield gone
