"""Globs over names: model ids, orgs, apps, providers, operations, tools.

Rules:
1. `*` stands for any run of characters (also none, also `/`), `?` for exactly one; everything else stands for itself.
2. Matching ignores case.
3. Matching never backtracks over an earlier `*`: the cost is at most the product of the two lengths.
4. A model is matched with its `provider/` prefix removed; a pattern that itself has a `/` is also held against `provider/model`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class Glob:
    """One compiled pattern."""

    __slots__ = ("_first", "_inner", "_last", "_literal", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        folded = pattern.casefold()
        pieces = folded.split("*")
        self._literal = folded if len(pieces) == 1 else None
        self._first = pieces[0]
        self._last = pieces[-1]
        self._inner = tuple(piece for piece in pieces[1:-1] if piece)

    def matches(self, folded: str) -> bool:
        """Tell whether the pattern covers `folded`, a name that is already case-folded."""
        if self._literal is not None:
            return _same(folded, self._literal)
        start, end = len(self._first), len(folded) - len(self._last)
        if start > end or not _same(folded[:start], self._first) or not _same(folded[end:], self._last):
            return False
        for piece in self._inner:
            found = _find(folded, piece, start, end)
            if found < 0:
                return False
            start = found + len(piece)
        return True


def _same(text: str, pattern: str) -> bool:
    if "?" not in pattern:
        return text == pattern
    return len(text) == len(pattern) and all(p in {"?", t} for t, p in zip(text, pattern, strict=True))


def _find(text: str, piece: str, start: int, end: int) -> int:
    if "?" not in piece:
        return text.find(piece, start, end)
    size = len(piece)
    return next((at for at in range(start, end - size + 1) if _same(text[at : at + size], piece)), -1)


@dataclass(frozen=True, slots=True)
class GlobSet:
    """Some patterns, of which one must match. `everything` is True where one of them is `*`: then nothing needs asking."""

    globs: tuple[Glob, ...]
    everything: bool

    def matches(self, name: str) -> bool:
        """Tell whether any pattern covers `name`."""
        return self.everything or self._any(name.casefold())

    def matches_model(self, names: ModelNames) -> bool:
        """Tell whether any pattern covers one of the model's names as rule 4 says."""
        if self.everything:
            return True
        for glob in self.globs:
            if any(map(glob.matches, names.bare)) or ("/" in glob.pattern and any(map(glob.matches, names.qualified))):
                return True
        return False

    def _any(self, folded: str) -> bool:
        return any(glob.matches(folded) for glob in self.globs)


@dataclass(frozen=True, slots=True)
class ModelNames:
    """The case-folded names of one model: without a provider, and with one (`provider/model`, or as the client wrote it)."""

    bare: tuple[str, ...]
    qualified: tuple[str, ...]


def compile_globs(patterns: Iterable[str]) -> GlobSet:
    """Compile `patterns` once, for many matches."""
    globs = tuple(Glob(pattern) for pattern in patterns)
    return GlobSet(globs, any(not glob.pattern.strip("*") and glob.pattern for glob in globs))


def model_names(sent: str, canonical: str, provider: str, providers: Collection[str]) -> ModelNames:
    """Return the names under which a model may be matched: as sent and canonical, known `provider/` prefixes removed."""
    bare = tuple(dict.fromkeys(_bare(name, provider, providers) for name in (sent, canonical or sent)))
    qualified = dict.fromkeys((sent.casefold(), *(f"{provider}/{name}" for name in bare)))
    return ModelNames(bare, tuple(qualified))


def _bare(model: str, provider: str, providers: Collection[str]) -> str:
    folded = model.casefold()
    prefix, slash, rest = folded.partition("/")
    return rest if slash and (prefix == provider or prefix in providers) else folded
