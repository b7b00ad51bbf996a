"""Directories of policies into a revision, through the control plane's loader and the revision builder.

Rules:
1. All problems of all files are reported in one run; warnings keep nothing from being loaded.
2. Of the settings, those enter a revision that steer what is decided: not where llmcp listens, logs or stores.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmcp.control import policies as control
from llmcp.core.policy import Severity
from llmcp.engine.revision_builder import build_revision
from llmcp.providers.catalog import load_catalog
from llmcp.runtime.state import Problem
from llmcp.vocabulary import BuiltVocabulary, build_vocabulary

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from llmcp.core.revision import Revision
    from llmcp.core.settings import Settings

_DECIDING = {"auth", "limits", "pricing", "providers", "record"}


@dataclass(frozen=True, slots=True)
class Compiled:
    """What came of reading all policies: a revision where there is no problem."""

    revision: Revision | None
    problems: tuple[Problem, ...]
    policies: int


def vocabulary_of(settings: Settings) -> BuiltVocabulary:
    """Return what the policy language knows with these settings: the catalog's providers and those of the user's own."""
    catalog = load_catalog()
    return build_vocabulary([*catalog.entries, *settings.providers], lambda _provider, model: catalog.canonical_model(model))


def compile_policies(directories: Sequence[Path], settings: Settings, now: datetime) -> Compiled:
    """Read and compile everything. Never raises for what stands in a file; a directory that is not there is empty."""
    vocabulary = vocabulary_of(settings)
    loaded = control.load([path for path in directories if path.is_dir()], vocabulary, now)
    if not loaded.ok:
        problems = [Problem(p.file, p.line, f"{p.code}: {p.message}") for p in loaded.problems if p.severity is Severity.ERROR]
        return Compiled(None, tuple(problems), len(loaded.policies))
    digest = hashlib.sha256(settings.model_dump_json(include=_DECIDING).encode()).hexdigest()
    return Compiled(build_revision(loaded.policies, digest, vocabulary), (), len(loaded.policies))
