"""Syntax errors in the words of policy authors: what the YAML scanner tripped over, and what was probably meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.core.policy import Position

if TYPE_CHECKING:
    from collections.abc import Callable


def explain_syntax(text: str, position: Position, problem: str) -> tuple[str, Position, str]:
    """Return code, position and message for what the scanner said at `position`."""
    lines = text.splitlines()
    line = lines[position.line - 1] if position.line <= len(lines) else ""
    for code, finds in _SIGNS:
        column = finds(line, position.column - 1, problem)
        if column >= 0:
            return code, Position(position.line, column + 1), _MESSAGES[code]
    return "P002", position, f"not YAML: {problem or 'the text breaks off'}"


def _alias(line: str, at: int, problem: str) -> int:
    return line.rfind("*", 0, at + 1) if "alphabetic or numeric" in problem and "*" in line[: at + 1] else -1


def _anchor(line: str, at: int, problem: str) -> int:
    return line.rfind("&", 0, at + 1) if "alphabetic or numeric" in problem and "&" in line[: at + 1] else -1


def _tag(line: str, at: int, problem: str) -> int:
    bang = line.find("!", 0, at + 1)
    before = line[:bang].rstrip() if bang >= 0 else "x"
    opens = not before or before[-1] in ":-,[{?"
    return (
        bang if opens and ("tag" in problem or "expected ' '" in problem or "expected '!'" in problem or "URI" in problem) else -1
    )


def _tab(line: str, at: int, problem: str) -> int:
    if "\\t" not in problem and "tab" not in problem:
        return -1
    column = line.find("\t", at)
    return column if column >= 0 else line.find("\t")


def _directive(line: str, _at: int, problem: str) -> int:
    return 0 if line.startswith("%") or "directive" in problem else -1


_SIGNS: tuple[tuple[str, Callable[[str, int, str], int]], ...] = (
    ("P006", _alias),
    ("P005", _anchor),
    ("P008", _tag),
    ("P011", _tab),
    ("P009", _directive),
)

_MESSAGES = {
    "P005": "`&` begins a YAML anchor",
    "P006": "`*` begins a YAML alias here",
    "P008": "`!` begins a YAML tag here",
    "P009": "directives (`%YAML`, `%TAG`) are not accepted",
    "P011": "a tab stands here",
}
