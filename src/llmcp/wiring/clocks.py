"""The machine's clocks and random source, as the daemon passes them on."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Final

_RANDOM_DIGITS: Final = 20
_RANDOM_BLOCK: Final = 200 * _RANDOM_DIGITS // 2


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Return the wall clock, in UTC."""
        return datetime.now(UTC)

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never run backwards."""
        return time.monotonic_ns()


def wall_now() -> float:
    """Return POSIX time."""
    return time.time_ns() / 1e9


class DecisionIds:
    """Fresh ids: time in milliseconds first, so that ids sort by age, then 80 random bits, taken from the system in blocks."""

    __slots__ = ("_at", "_random")

    def __init__(self) -> None:
        self._random = ""
        self._at = 0

    def __call__(self) -> str:
        """Return one that was never returned before."""
        at = self._at
        if at >= len(self._random):
            self._random = os.urandom(_RANDOM_BLOCK).hex()
            at = 0
        self._at = end = at + _RANDOM_DIGITS
        return f"d_{time.time_ns() // 1_000_000:012x}{self._random[at:end]}"
