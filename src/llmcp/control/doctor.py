"""`llmcp doctor`: a table of checks, each asked by itself.

Rules:
1. A check returns findings: fine, a warning or a failure, with a sentence and, where it is not fine, what to do.
2. A check that fails to run is a failure of its own and stops no other.
3. Checks look; nothing is made, changed or repaired by running them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from llmcp.errors import LlmcpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Level(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found."""

    level: Level
    said: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table."""

    name: str
    run: Callable[[], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Report:
    """One finding with its check's name."""

    check: str
    level: Level
    said: str
    fix: str


def ok(said: str) -> Finding:
    """Return that something is fine."""
    return Finding(Level.OK, said)


def warn(said: str, fix: str) -> Finding:
    """Return that something deserves a look."""
    return Finding(Level.WARN, said, fix)


def fail(said: str, fix: str) -> Finding:
    """Return that something does not work, or is not safe."""
    return Finding(Level.FAIL, said, fix)


def skip(said: str) -> Finding:
    """Return that there was nothing to ask, or that it was not wanted."""
    return Finding(Level.SKIP, said)


def counted(count: int, one: str, many: str = "") -> str:
    """Return the number with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def told(error: LlmcpError) -> Finding:
    """Return an error as a finding."""
    return fail(f"{error.what}: {error.why}" if error.why else error.what, error.fix)


def examine(checks: Sequence[Check]) -> list[Report]:
    """Run every check; never raises."""
    reports: list[Report] = []
    for check in checks:
        try:
            found = list(check.run()) or [ok("nothing to complain of")]
        except LlmcpError as error:
            found = [told(error)]
        except Exception as error:  # noqa: BLE001 - boundary: one check's bug must not hide what the others find
            found = [fail(f"the check itself failed ({type(error).__name__})", "report it")]
        reports += [Report(check.name, finding.level, finding.said, finding.fix) for finding in found]
    return reports


def sound(reports: Iterable[Report]) -> bool:
    """Tell whether nothing failed."""
    return all(report.level is not Level.FAIL for report in reports)
