"""Problems as text with the line they stand in, and as the JSON of CONTRACT section 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmcp.core.policy import Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WIDTH = 160


def problems_json(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """Return problems as plain values."""
    return [
        {
            "file": problem.file,
            "line": problem.line,
            "column": problem.column,
            "code": problem.code,
            "severity": problem.severity.value,
            "message": problem.message,
            "hint": problem.hint,
        }
        for problem in problems
    ]


def problems_text(problems: Iterable[Problem], texts: Mapping[str, str]) -> str:
    """Return problems as text, each with its source line and a caret; a summary ends it. Empty where there are none."""
    found = list(problems)
    if not found:
        return ""
    errors = sum(problem.severity is Severity.ERROR for problem in found)
    warnings = len(found) - errors
    counted = ", ".join(f"{n} {word}{'s' if n > 1 else ''}" for n, word in ((errors, "error"), (warnings, "warning")) if n)
    return "\n".join([*(_text(problem, texts) for problem in found), counted, ""])


def _text(problem: Problem, texts: Mapping[str, str]) -> str:
    place = f"{problem.file}:{problem.line}:{problem.column}: " if problem.file else ""
    parts = [f"{problem.severity.value}[{problem.code}]: {_visible(place + problem.message)}"]
    lines = texts.get(problem.file, "").split("\n")
    line = lines[problem.line - 1] if problem.line <= len(lines) else ""
    if line.strip():
        shown, column = _window(_visible(line), problem.column)
        parts += [f"{problem.line:>6} | {shown}", f"{'':>6} | {' ' * (column - 1)}^"]
    if problem.hint:
        parts.append(f"hint: {_visible(problem.hint)}")
    return "\n".join(parts) + "\n"


def _visible(line: str) -> str:
    """Keep control characters of a file out of the reader's terminal."""
    return "".join(char if char.isprintable() else " " if char in "\t\r" else "\ufffd" for char in line)


def _window(line: str, column: int) -> tuple[str, int]:
    if len(line) <= _WIDTH:
        return line, column
    start = max(0, column - _WIDTH // 2)
    return line[start : start + _WIDTH], column - start
