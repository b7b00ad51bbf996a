"""Bars for a terminal: a name, a bar, a figure; readable without colour and at any width.

Rules:
1. The longest bar is the greatest value; what is not nothing has at least the thinnest mark.
2. Where the terminal cannot show block characters, bars are made of `#`.
3. No line is wider than the terminal; names give way first, and a cut name ends in `…` (or `~`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEAST_BAR = 8


def bars(points: Sequence[tuple[str, int]], figure: Callable[[int], str], *, width: int, plain: bool = False) -> list[str]:
    """Return one line for each point. `plain` keeps to ASCII."""
    if not points:
        return []
    figures = [figure(value) for _, value in points]
    figure_width = max(map(len, figures))
    name_width = max(1, min(max(len(name) for name, _ in points), width - figure_width - _LEAST_BAR - 4))
    bar_width = max(1, width - name_width - figure_width - 4)
    top = max(value for _, value in points)
    lines = []
    for (name, value), text in zip(points, figures, strict=True):
        bar = _bar(value, top, bar_width, plain=plain)
        lines.append(f"{_cut(name, name_width, plain=plain)}  {bar:<{bar_width}}  {text:>{figure_width}}")
    return lines


def _bar(value: int, top: int, width: int, *, plain: bool) -> str:
    if top <= 0 or value <= 0:
        return ""
    if plain:
        return "#" * max(1, value * width // top)
    whole, eighths = divmod(max(1, value * width * 8 // top), 8)
    return _EIGHTHS[8] * whole + (_EIGHTHS[eighths] if eighths else "")


def _cut(name: str, width: int, *, plain: bool) -> str:
    safe = "".join(c if c.isprintable() and (not plain or c.isascii()) else "?" for c in name)
    return safe.ljust(width) if len(safe) <= width else safe[: width - 1] + ("~" if plain else "…")
