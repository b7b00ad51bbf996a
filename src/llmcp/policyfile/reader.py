"""Typed reading of nodes: each reader returns a value, or reports what is wrong and returns None.

Rules:
1. A `Broken` node was reported already: it reads as None without another word.
2. An unknown key is reported with the nearest known one.
3. A YAML 1.1 boolean where a boolean is wanted is explained.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmcp.policyfile.nodes import Broken, Mapping, Node, Scalar, Sequence
from llmcp.policyfile.scalars import OLD_BOOLEANS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmcp.core.policy import Position
    from llmcp.policyfile.document import Source

MAX_GLOBS = 1000
MAX_GLOB_LENGTH = 256


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the known word nearest to `word`, or ''."""
    close = difflib.get_close_matches(word[:100], list(known), n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else ""


def shape(node: Node) -> str:
    """Name what kind of value a node is."""
    match node:
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case Broken():
            return "unreadable"
        case Scalar(value=bool()):
            return f"the boolean `{node.text}`"
        case Scalar(value=int() | float()):
            return f"the number `{node.text[:40]}`"
        case Scalar(value=None):
            return "nothing"
        case _:
            return "a string"


@dataclass(frozen=True, slots=True)
class MappingReader:
    """Reads one mapping's keys. This is the `SpecReader` that effects see."""

    source: Source
    node: Mapping
    name: str

    def only(self, *keys: str) -> None:
        """Report every key but `keys`."""
        for key, entry in self.node.entries.items():
            if key not in keys:
                takes = f"`{self.name}` takes {', '.join(f'`{k}`' for k in keys)}" if keys else f"`{self.name}` takes no keys"
                hint = nearest(key, keys) or takes
                self.source.report("P101", entry.position, f"unknown key `{key[:60]}` in `{self.name}`", hint=hint)

    def has(self, key: str) -> bool:
        """Tell whether `key` is there."""
        return key in self.node.entries

    def empty(self) -> bool:
        """Tell whether there is no key at all."""
        return not self.node.entries

    def at(self, key: str) -> Node:
        """Return the node under `key`, which must be there."""
        return self.node.entries[key].value

    def get(self, key: str) -> Node | None:
        """Return the node under `key`, or None."""
        entry = self.node.entries.get(key)
        return entry.value if entry else None

    def text(self, key: str) -> str | None:
        """Return a string; None where the key is absent or its value is not one."""
        node = self.get(key)
        if node is None:
            return None
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return node.value
        self.wrong(key, node, "a string", "put it in quotes" if isinstance(node, Scalar) and node.value is not None else "")
        return None

    def flag(self, key: str) -> bool | None:
        """Return a boolean."""
        node = self.get(key)
        if node is None:
            return None
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return node.value
        old = isinstance(node, Scalar) and node.text.lower() in OLD_BOOLEANS
        self.wrong(key, node, "`true` or `false`", "`yes`, `no`, `on` and `off` are strings in YAML 1.2" if old else "")
        return None

    def integer(self, key: str) -> int | None:
        """Return an integer."""
        node = self.get(key)
        if node is None:
            return None
        if isinstance(node, Scalar) and isinstance(node.value, int) and not isinstance(node.value, bool):
            return node.value
        self.wrong(key, node, "an integer", "")
        return None

    def number(self, key: str) -> float | None:
        """Return an integer or a decimal number, as a float."""
        node = self.get(key)
        if node is None:
            return None
        if isinstance(node, Scalar) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return float(node.value)
        self.wrong(key, node, "a number", "")
        return None

    def texts(self, key: str) -> tuple[tuple[str, Position], ...] | None:
        """Return a list of strings with their places."""
        node = self.get(key)
        if node is None:
            return None
        if not isinstance(node, Sequence):
            lone = isinstance(node, Scalar) and isinstance(node.value, str)
            self.wrong(key, node, "a list of strings", f'write `{key}: ["…"]`' if lone else "")
            return None
        found: list[tuple[str, Position]] = []
        for item in node.items:
            if isinstance(item, Scalar) and isinstance(item.value, str):
                found.append((item.value, item.position))
            else:
                self.wrong(key, item, "a list of strings", "put each entry in quotes")
        return tuple(found)

    def globs(self, key: str) -> tuple[str, ...] | None:
        """Return a list of globs, not empty."""
        found = self.texts(key)
        if found is None:
            return None
        if not found and isinstance(node := self.get(key), Sequence) and not node.items:
            self.problem("P107", f"`{key}` is an empty list, which covers nothing", key=key, hint='write `["*"]` for everything')
            return None
        if len(found) > MAX_GLOBS:
            self.problem("P120", f"`{key}` has {len(found)} globs; at most {MAX_GLOBS} are read", key=key)
            return None
        return tuple(text for text, position in found if self._fit(text, position))

    def _fit(self, text: str, position: Position) -> bool:
        odd = ""
        if not text or len(text) > MAX_GLOB_LENGTH:
            odd = f"a glob has 1 to {MAX_GLOB_LENGTH} characters"
        elif text.startswith("!"):
            odd = f"`{text[:60]}`: globs have no negation"
        elif "{" in text and "," in text and "}" in text:
            odd = f"`{text[:60]}`: globs have no alternatives"
        elif text != text.strip():
            odd = f"`{text[:60]}` begins or ends with a blank"
        if odd:
            self.source.report("P112", position, odd)
        return not odd

    def inner(self, key: str) -> MappingReader | None:
        """Return the mapping under `key`."""
        node = self.get(key)
        if node is None:
            return None
        if isinstance(node, Mapping):
            return MappingReader(self.source, node, key)
        self.wrong(key, node, "a mapping", "")
        return None

    def items(self, key: str) -> list[Node] | None:
        """Return the list under `key`."""
        node = self.get(key)
        if node is None:
            return None
        if isinstance(node, Sequence):
            return node.items
        self.wrong(key, node, "a list", "")
        return None

    def problem(self, code: str, message: str, *, key: str = "", hint: str = "") -> None:
        """Report a problem at the value of `key`, or at the mapping itself."""
        node = self.get(key) if key else None
        self.source.report(code, node.position if node else self.node.position, message, hint=hint)

    def wrong(self, key: str, node: Node, wanted: str, hint: str) -> None:
        """Report that the value under `key` is not of the wanted type."""
        if not isinstance(node, Broken):
            self.source.report("P103", node.position, f"`{key}` must be {wanted}, got {shape(node)}", hint=hint)
