"""Directories of policies into a revision, through the policy reader and the revision builder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmcp.core.decide import Decision, Verdict
from llmcp.runtime.state import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmcp.core.settings import Settings


@dataclass(frozen=True, slots=True)
class Compiled:
    """What came of reading all policies: a revision where there is no problem."""

    revision: Any
    problems: tuple[Problem, ...]
    policies: int


class _Nothing:
    def decide_request(self, _view: object) -> Decision:
        return Decision(Verdict.ALLOW)

    def needs_estimate(self, _view: object) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class _Interim:
    id: str
    policies: _Nothing


def compile_policies(directories: Sequence[Path], settings: Settings) -> Compiled:
    """Read and compile (interim: no policies at all)."""
    found = [p for d in directories for p in sorted(d.rglob("*.yaml"))]
    if found:
        return Compiled(None, (Problem(str(found[0]), 1, "policies cannot be read in this build"),), 0)
    digest = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()
    return Compiled(_Interim(f"sha256:{digest[:16]}", _Nothing()), (), 0)
