"""Keeps the texts of the last good revision's policies, for a restart in front of broken files.

Rules:
1. A copy is complete before the pointer names it; a crash in between leaves the former copy in place.
2. What is kept is what was read, not what the files hold by now.
3. A copy holds policies only: nothing secret stands in a policy, and the files are 0600 all the same.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import TYPE_CHECKING

from llmcp.config.home import make_private, write_private

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_POINTER = "current.json"


class LastGood:
    """The copies under one directory of the home."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def save(self, revision: str, texts: Iterable[str], policies: int) -> None:
        """Keep `texts` as those of `revision`. Raises: OSError."""
        name = "".join(c for c in revision if c.isalnum())
        if self._read().get("name") == name:
            return
        make_private(self._root)
        copy = self._root / name
        shutil.rmtree(copy, ignore_errors=True)
        make_private(copy)
        for number, text in enumerate(texts):
            write_private(copy / f"{number:05}.yaml", text)
        write_private(self._root / _POINTER, json.dumps({"name": name, "policies": policies}))
        for other in self._root.iterdir():
            if other.is_dir() and other.name != name:
                shutil.rmtree(other, ignore_errors=True)

    def policies(self) -> int:
        """Return how many policies the copy has; 0 where there is none."""
        number = self._read().get("policies", 0)
        return number if isinstance(number, int) else 0

    def directory(self) -> Path | None:
        """Return where the copy is, or None."""
        name = self._read().get("name")
        path = self._root / name if isinstance(name, str) and name else None
        return path if path is not None and path.is_dir() else None

    def _read(self) -> dict[str, object]:
        with contextlib.suppress(OSError, ValueError):
            document = json.loads((self._root / _POINTER).read_text(encoding="utf-8"))
            if isinstance(document, dict):
                return document
        return {}
