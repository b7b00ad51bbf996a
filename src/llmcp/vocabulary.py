"""What the policy language knows in this build, put together: effects, condition language, providers, canonical model names.

It stands where effects and conditions are both visible; the policy file's reader and the engine get it as a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from llmcp.conditions.cel import CelCompiler
from llmcp.effects import BUILT, UNBUILT
from llmcp.effects.record import RecordEffect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llmcp.ports import ConditionCompiler, Effect


def _as_sent(_provider: str, model: str) -> str:
    return model


@dataclass(frozen=True, slots=True)
class BuiltVocabulary:
    """The `Vocabulary` of this build."""

    effects: Mapping[str, Effect]
    unbuilt_effects: Mapping[str, str]
    providers: frozenset[str]
    compiler: ConditionCompiler
    canonical: Callable[[str, str], str]

    def canonical_model(self, provider: str, model: str) -> str:
        """Return the catalog's canonical id of `model`, or `model` itself."""
        return self.canonical(provider, model)


def build_vocabulary(
    providers: Iterable[str],
    canonical_model: Callable[[str, str], str] = _as_sent,
    *,
    allow_full: bool = False,
) -> BuiltVocabulary:
    """Put the vocabulary together. `providers` are the catalog's names, whose prefixes are removed from model names.

    `allow_full` is the setting `record.allow_full`.
    """
    effects = {**BUILT, RecordEffect.name: RecordEffect(allow_full=allow_full)}
    return BuiltVocabulary(MappingProxyType(effects), UNBUILT, frozenset(providers), CelCompiler(), canonical_model)
