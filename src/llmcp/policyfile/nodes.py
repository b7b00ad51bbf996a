"""The nodes of a YAML document, with positions.

Rules:
1. Lines and columns count from 1, columns in characters.
2. A scalar keeps its text; its value follows the YAML 1.2 core schema, decided in `scalars`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmcp.core.policy import Position


@dataclass(slots=True)
class Scalar:
    """A leaf. `plain` says that it bears no quotes; `start` and `end` are character offsets of its source."""

    position: Position
    text: str
    value: str | int | float | bool | None
    plain: bool
    style: str
    start: int
    end: int


@dataclass(slots=True)
class Sequence:
    """A list."""

    position: Position
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """A mapping: its keys in file order, each once."""

    position: Position
    entries: dict[str, Entry] = field(default_factory=dict)


@dataclass(slots=True)
class Entry:
    """One key with the place where it stands, and its value."""

    position: Position
    value: Node


@dataclass(slots=True)
class Broken:
    """A place where something stood that was reported already (an alias, a tagged value): nobody complains twice."""

    position: Position


type Node = Scalar | Sequence | Mapping | Broken
