"""Where a character of a scalar's value stands in the file, whatever the scalar's style.

Rules:
1. Value and source are walked side by side; what the source has more (indentation, folding, quotes, escapes) is skipped.
2. A place that cannot be told is the scalar's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.core.policy import Position

if TYPE_CHECKING:
    from llmcp.policyfile.nodes import Scalar

_ESCAPE_LENGTHS = {"x": 4, "u": 6, "U": 10}


def locate(text: str, scalar: Scalar, offset: int) -> Position:
    """Return the position in `text` of the character `offset` of the scalar's value."""
    index = _walk(text, scalar, offset)
    if index is None:
        return scalar.position
    line_start = text.rfind("\n", 0, index) + 1
    return Position(text.count("\n", 0, index) + 1, index - line_start + 1)


def _walk(text: str, scalar: Scalar, offset: int) -> int | None:
    at = _content_start(text, scalar)
    for wanted in scalar.text[:offset]:
        at = _skip_to(text, scalar, at, wanted)
        if at < 0:
            return None
        at += _length(text, scalar, at)
    if offset < len(scalar.text):
        at = _skip_to(text, scalar, at, scalar.text[offset])
    return at if 0 <= at <= scalar.end else None


def _content_start(text: str, scalar: Scalar) -> int:
    if scalar.style in {"|", ">"}:
        return text.find("\n", scalar.start, scalar.end) + 1
    return scalar.start + (1 if scalar.style else 0)


def _skip_to(text: str, scalar: Scalar, at: int, wanted: str) -> int:
    """Return where the source has `wanted` next: skip folding and indentation, and whatever else does not match."""
    while at < scalar.end:
        char = text[at]
        if scalar.style == '"' and char == "\\":
            if text[at + 1 : at + 2] != "\n":
                return at
            at += 2
            continue
        if char == wanted or (wanted == " " and char == "\n"):
            return at
        at += 1
    return -1


def _length(text: str, scalar: Scalar, at: int) -> int:
    if scalar.style == '"' and text[at] == "\\":
        return _ESCAPE_LENGTHS.get(text[at + 1 : at + 2], 2)
    if scalar.style == "'" and text.startswith("''", at):
        return 2
    return 1
