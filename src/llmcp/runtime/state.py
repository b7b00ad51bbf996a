"""What a running daemon holds: the plane in force, what is wrong with the files, and in which state that leaves it.

Rules:
1. A load that fails changes nothing but `problems`: the last good plane stays in force.
2. With a plane and problems the daemon is `degraded`; with neither plane nor hope it is `unready` and refuses everything.
3. The plane is swapped by one assignment; whoever took it before keeps the one it took.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmcp.engine.plane import Plane


class Readiness(StrEnum):
    """The states of a daemon, as `status` and `readyz` say them."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    UNREADY = "unready"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a file. `line` 0: the file as a whole."""

    file: str
    line: int
    message: str


def problem_document(problem: Problem) -> dict[str, str | int]:
    """Return a problem as `status --json` shows it."""
    return {"file": problem.file, "line": problem.line, "message": problem.message}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of reading the files once. `plane` None: nothing usable. `stale`: the plane is a persisted last good one."""

    plane: Plane | None
    problems: tuple[Problem, ...] = ()
    policies: int = 0
    stale: bool = False


@dataclass(slots=True)
class DaemonState:
    """See the module's rules. Written by the daemon's loop only."""

    plane: Plane | None = None
    policies: int = 0
    problems: tuple[Problem, ...] = ()
    started: bool = False
    draining: bool = False
    loads: int = 0
    load_failures: int = 0
    urls: dict[str, str | None] = field(default_factory=dict)

    @property
    def readiness(self) -> Readiness:
        """Where the daemon stands."""
        if self.draining:
            return Readiness.DRAINING
        if not self.started:
            return Readiness.STARTING
        if self.plane is None:
            return Readiness.UNREADY
        return Readiness.DEGRADED if self.problems else Readiness.READY

    @property
    def revision(self) -> str:
        """The id of the revision in force, or ''."""
        return self.plane.revision.id if self.plane is not None else ""

    def problem_documents(self) -> list[dict[str, str | int]]:
        """Return the problems as `status --json` shows them."""
        return [problem_document(problem) for problem in self.problems]

    def apply(self, loaded: Loaded) -> bool:
        """Take in what a load gave; tell whether another revision is in force now."""
        self.loads += 1
        if loaded.problems:
            self.load_failures += 1
        self.problems = loaded.problems
        if loaded.plane is None or (loaded.problems and self.plane is not None):
            return False
        changed: bool = loaded.plane.revision.id != self.revision
        self.plane = loaded.plane
        self.policies = loaded.policies
        return changed
