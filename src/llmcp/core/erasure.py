"""What came of erasing a person."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Erased:
    """The `references` that nobody can resolve now.

    `overwritten` is False where readers kept the store from folding its log: old bytes stand there until it is next folded.
    """

    references: tuple[str, ...]
    overwritten: bool
