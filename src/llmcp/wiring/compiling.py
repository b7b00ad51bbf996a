"""Directories of policies into a revision, through the policy reader and the revision builder.

Rules:
1. `*.yaml` and `*.yml` below a directory are policies, `*.test.yaml` are their tests; what a dot hides is neither.
2. All problems of all files are reported in one run; warnings keep nothing from being loaded.
3. Of the settings, those enter a revision that steer what is decided: not where llmcp listens, logs or stores.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmcp.core.policy import Severity
from llmcp.engine.revision_builder import build_revision
from llmcp.policyfile.parse import parse_policy
from llmcp.providers.catalog import load_catalog
from llmcp.runtime.state import Problem
from llmcp.vocabulary import build_vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from llmcp.core.policy import Policy
    from llmcp.core.revision import Revision
    from llmcp.core.settings import Settings

_DECIDING = {"auth", "limits", "pricing", "providers", "record"}


@dataclass(frozen=True, slots=True)
class Compiled:
    """What came of reading all policies: a revision where there is no problem."""

    revision: Revision | None
    problems: tuple[Problem, ...]
    policies: int


def policy_files(directory: Path) -> Iterator[Path]:
    """Yield the policy files below `directory`, in a fixed order."""
    for path in sorted(directory.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
        if path.suffix in {".yaml", ".yml"} and not hidden and not path.stem.endswith(".test") and path.is_file():
            yield path


def compile_policies(directories: Sequence[Path], settings: Settings, now: datetime) -> Compiled:
    """Read and compile everything. Never raises for what stands in a file."""
    catalog = load_catalog()
    vocabulary = build_vocabulary(catalog.entries, lambda _provider, model: catalog.canonical_model(model))
    policies: list[Policy] = []
    problems: list[Problem] = []
    for path in (path for directory in directories for path in policy_files(directory)):
        try:
            data = path.read_bytes()
        except OSError as error:
            problems.append(Problem(str(path), 0, f"cannot be read: {error.strerror or type(error).__name__}"))
            continue
        parsed = parse_policy(data, str(path), vocabulary, now)
        problems += [Problem(p.file, p.line, f"{p.code}: {p.message}") for p in parsed.problems if p.severity is Severity.ERROR]
        if parsed.policy is not None:
            policies.append(parsed.policy)
    problems += _same_names(policies)
    if problems:
        return Compiled(None, tuple(problems), len(policies))
    text = settings.model_dump_json(include=_DECIDING)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Compiled(build_revision(policies, digest, vocabulary), (), len(policies))


def _same_names(policies: Sequence[Policy]) -> Iterator[Problem]:
    first: dict[str, Policy] = {}
    for policy in policies:
        other = first.setdefault(policy.name, policy)
        if other is not policy:
            yield Problem(policy.file, policy.position.line, f"the policy `{policy.name}` stands in {other.file} already")
