"""Keeps a copy of the policy files of the last good revision, for a restart in front of broken ones.

Rules:
1. A copy is complete before the pointer names it; a crash in between leaves the former copy in place.
2. Copies keep the layout of their directories, so that they are read by the same reader as the originals.
3. A copy holds policies only: nothing secret stands in a policy, and the files are 0600 all the same.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import TYPE_CHECKING

from llmcp.config.home import make_private, write_private

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SUFFIXES = frozenset({".yaml", ".yml"})
_POINTER = "current.json"


class LastGood:
    """The copies under one directory of the home."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def save(self, revision: str, directories: Sequence[Path], policies: int) -> None:
        """Copy the YAML files of `directories` as those of `revision`. Raises: OSError."""
        name = "".join(c for c in revision if c.isalnum())
        if self._read().get("name") == name:
            return
        make_private(self._root)
        copy = self._root / name
        shutil.rmtree(copy, ignore_errors=True)
        make_private(copy)
        for number, directory in enumerate(directories):
            target = copy / str(number)
            make_private(target)
            for path in sorted(directory.rglob("*")):
                inside = path.relative_to(directory)
                if path.suffix in _SUFFIXES and path.is_file() and not any(part.startswith(".") for part in inside.parts):
                    into = target / inside
                    into.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    write_private(into, path.read_text(encoding="utf-8"))
        write_private(self._root / _POINTER, json.dumps({"name": name, "policies": policies, "parts": len(directories)}))
        for other in self._root.iterdir():
            if other.is_dir() and other.name != name:
                shutil.rmtree(other, ignore_errors=True)

    def policies(self) -> int:
        """Return how many policies the copy has; 0 where there is none."""
        number = self._read().get("policies", 0)
        return number if isinstance(number, int) else 0

    def directories(self) -> tuple[Path, ...]:
        """Return the copied directories, or () where there is no copy."""
        pointer = self._read()
        name, parts = pointer.get("name"), pointer.get("parts")
        if not isinstance(name, str) or not isinstance(parts, int):
            return ()
        found = tuple(self._root / name / str(number) for number in range(parts))
        return found if all(path.is_dir() for path in found) else ()

    def _read(self) -> dict[str, object]:
        with contextlib.suppress(OSError, ValueError):
            document = json.loads((self._root / _POINTER).read_text(encoding="utf-8"))
            if isinstance(document, dict):
                return document
        return {}
