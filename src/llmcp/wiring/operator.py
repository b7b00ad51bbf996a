"""Who changes something by hand, and the control record that it leaves."""

from __future__ import annotations

import getpass
import os
import time
from typing import TYPE_CHECKING

from llmcp.core.control_records import ControlRecord
from llmcp.core.records import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


def control_id() -> str:
    """Return a fresh id of a control record: time in milliseconds first, then 80 random bits."""
    return f"c_{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def actor() -> str:
    """Return who runs this command, as records name it."""
    try:
        return f"local:{getpass.getuser()}"
    except (OSError, KeyError):  # a user id without a name
        return f"local:{os.getuid()}"


def control_record(action: str, target: str, now: datetime, detail: Mapping[str, str] | None = None) -> ControlRecord:
    """Return the record of one change by the operator at `now`."""
    return ControlRecord(
        action=action, actor=actor(), detail=dict(detail or {}), id=control_id(), target=target, time=timestamp(now)
    )
