"""Policies of a home: read through the control plane, built into a revision.

Rules:
1. All problems of all files are reported in one run; warnings keep nothing from being loaded.
2. Of the settings, those enter a revision that steer what is decided: not where llmcp listens, logs or stores.
3. The default directory need not be there; one that was named must be.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmcp.control.policies import LoadResult, load, policy_files
from llmcp.core.policy import Severity
from llmcp.engine.revision_builder import build_revision
from llmcp.providers.catalog import load_catalog
from llmcp.runtime.state import Problem
from llmcp.vocabulary import build_vocabulary
from llmcp.wiring import policy_directories

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from llmcp.config.home import Home
    from llmcp.core.revision import Revision
    from llmcp.core.settings import Settings
    from llmcp.vocabulary import BuiltVocabulary

_DECIDING = {"auth", "limits", "pricing", "providers", "record"}


@dataclass(frozen=True, slots=True)
class Compiled:
    """What came of reading all policies: a revision where there is no problem. `texts` are the files' contents."""

    revision: Revision | None
    problems: tuple[Problem, ...]
    policies: int
    texts: dict[str, str]


def vocabulary(settings: Settings) -> BuiltVocabulary:
    """Return what policies may name: the catalog's providers and those of the settings."""
    catalog = load_catalog()
    names = [*catalog.entries, *(name.lower().replace("_", "-") for name in settings.providers)]
    return build_vocabulary(names, lambda _provider, model: catalog.canonical_model(model), allow_full=settings.record.allow_full)


def paths_of(home: Home, settings: Settings) -> tuple[Path, ...]:
    """Return what to read: a named directory in any case (rule 3)."""
    directories = policy_directories(home, settings)
    return directories if settings.policies.paths else tuple(path for path in directories if path.exists())


def files_of(home: Home, settings: Settings) -> list[Path]:
    """Return the policy files as they are now."""
    return policy_files(paths_of(home, settings))[0]


def read_policies(paths: Sequence[Path], settings: Settings, now: datetime) -> LoadResult:
    """Read and check policies."""
    return load(paths, vocabulary(settings), now)


def compile_policies(paths: Sequence[Path], settings: Settings, now: datetime) -> Compiled:
    """Read and compile everything. Never raises for what stands in a file."""
    known = vocabulary(settings)
    loaded = load(paths, known, now)
    problems = tuple(Problem(p.file, p.line, f"{p.code}: {p.message}") for p in loaded.problems if p.severity is Severity.ERROR)
    if problems:
        return Compiled(None, problems, len(loaded.policies), {})
    text = settings.model_dump_json(include=_DECIDING)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Compiled(build_revision(loaded.policies, digest, known), (), len(loaded.policies), loaded.texts)
