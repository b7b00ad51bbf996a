"""Bounded memories of recent answers: by equal keys, and by the very object.

Rules of `Recent`:
1. It holds at most twice `size` entries: a generation that fills up, and the one before. What neither asks for is forgotten.
2. It refuses keys of more than `MAX_WEIGHT` characters, so that hostile names cannot fill the memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

MAX_WEIGHT = 4096


class Recent[V]:
    """Least recently used entries fall out, a generation at a time: a hit costs one look-up."""

    __slots__ = ("_new", "_old", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._new: dict[Hashable, V] = {}
        self._old: dict[Hashable, V] = {}

    def get(self, key: Hashable) -> V | None:
        """Return what was kept under `key`."""
        found = self._new.get(key)
        if found is None and self._old:
            found = self._old.get(key)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: Hashable, value: V) -> None:
        """Keep `value`, unless the key is too heavy."""
        if _weight(key) > MAX_WEIGHT:
            return
        if len(self._new) >= self._size:
            self._old, self._new = self._new, {}
        self._new[key] = value

    def __len__(self) -> int:
        """Return how many entries are held, at most twice the size."""
        return len(self._new) + len(self._old)


class ByIdentity[K, V]:
    """What follows from an object, known by the object itself: a connection hands out one tuple for equal request heads.

    An entry keeps its object alive, so that no other can get its number; the memory is bounded and forgotten whole.
    """

    __slots__ = ("_known", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: dict[int, tuple[K, V]] = {}

    def get(self, key: K) -> V | None:
        """Return what was kept for this very object."""
        found = self._known.get(id(key))
        return found[1] if found is not None and found[0] is key else None

    def put(self, key: K, value: V) -> None:
        """Keep `value`."""
        if len(self._known) >= self._size:
            self._known.clear()
        self._known[id(key)] = (key, value)

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()


def _weight(key: object) -> int:
    if isinstance(key, str):
        return len(key)
    if isinstance(key, tuple | frozenset):
        return 1 + sum(_weight(part) for part in key)
    return 1
