"""Who changes something and when: what every writing use case is given, and the control record it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmcp.core.control_records import ControlRecord
from llmcp.core.records import timestamp

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Change:
    """One change: `actor` is `local:NAME` or `daemon`, `now` is aware, `record_id` was never used before."""

    actor: str
    now: datetime
    record_id: str

    @property
    def time(self) -> str:
        """`now` as records and rows spell it."""
        return timestamp(self.now)

    def record(self, action: str, target: str, *, org: str = "", user: str = "", **detail: str) -> ControlRecord:
        """Return the record of this change; details that are "" are left out."""
        return ControlRecord(
            action=action, actor=self.actor, detail={k: v for k, v in sorted(detail.items()) if v}, id=self.record_id, org=org,
            target=target, time=self.time, user=user,
        )  # fmt: skip
