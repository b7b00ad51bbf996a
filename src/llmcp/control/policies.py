"""Policies as the control plane uses them: load directories, check, list, show, evaluate.

Rules:
1. A load is all or nothing for its caller: policies come with every problem found, and an error among them forbids their use.
2. Files are read in a fixed order, so the same tree gives the same result; hidden and temporary files and tests are skipped.
3. A symbolic link is followed, a loop of them is not; a file reached twice is read once.
4. Nothing here prints; `render` turns results into text or JSON.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmcp.core.policy import Policy, Problem, Severity
from llmcp.engine.eval_input import EvalInput, read_input
from llmcp.errors import NotFoundError, UsageError
from llmcp.policyfile.codes import hint_of
from llmcp.policyfile.document import MAX_BYTES
from llmcp.policyfile.parse import parse_policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from llmcp.core.decide import Decision, PolicyProgram, RuleHit
    from llmcp.ports import Vocabulary

SUFFIXES = (".yaml", ".yml")
TEST_SUFFIXES = (".test.yaml", ".test.yml")
_TEMPORARY = ("~", ".swp", ".swx", ".tmp", ".bak", ".orig", ".rej")


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load found. `digest` covers the names and bytes of all files; `texts` are their sources, for showing problems."""

    policies: tuple[Policy, ...]
    problems: tuple[Problem, ...]
    digest: str
    files: tuple[str, ...]
    texts: dict[str, str]

    @property
    def ok(self) -> bool:
        """Tell whether the policies may be used: no error, warnings or not."""
        return not any(problem.severity is Severity.ERROR for problem in self.problems)


def policy_files(paths: Iterable[Path]) -> tuple[list[Path], list[Problem]]:
    """Return the policy files below `paths` (files or directories), in order, and what could not be read."""
    found: dict[Path, Path] = {}
    problems: list[Problem] = []
    for path in paths:
        if path.is_dir():
            for file in _below(path, frozenset(), problems):
                found.setdefault(file.resolve(), file)
        elif path.exists():
            found.setdefault(path.resolve(), path)
        else:
            problems.append(_problem("P403", path, "there is no such file or directory"))
    return sorted(found.values(), key=str), problems


def _below(directory: Path, above: frozenset[Path], problems: list[Problem]) -> Iterator[Path]:
    real = directory.resolve()
    if real in above:
        return
    try:
        entries = sorted(directory.iterdir())
    except OSError as fault:
        problems.append(_problem("P402", directory, f"the directory cannot be read ({type(fault).__name__})"))
        return
    for entry in entries:
        if entry.name.startswith((".", "#")) or entry.name.endswith(_TEMPORARY):
            continue
        if entry.is_dir():
            yield from _below(entry, above | {real}, problems)
        elif _is_policy(entry.name) and (entry.is_file() or entry.is_symlink()):
            yield entry


def _is_policy(name: str) -> bool:
    lower = name.lower()
    return lower.endswith(SUFFIXES) and not lower.endswith(TEST_SUFFIXES)


def load(paths: Iterable[Path], vocabulary: Vocabulary, now: datetime) -> LoadResult:
    """Read and check every policy file below `paths`."""
    files, problems = policy_files(paths)
    hasher = hashlib.sha256()
    policies: list[Policy] = []
    texts: dict[str, str] = {}
    for file in files:
        data = _read(file, problems)
        if data is None:
            continue
        hasher.update(len(data).to_bytes(8, "big") + str(file).encode("utf-8", "surrogateescape") + b"\0" + data)
        parsed = parse_policy(data, str(file), vocabulary, now)
        texts[str(file)] = parsed.text
        problems += parsed.problems
        if parsed.policy is not None:
            policies.append(parsed.policy)
    problems += _duplicates(policies)
    ordered = tuple(sorted(policies, key=lambda policy: policy.name))
    return LoadResult(ordered, tuple(problems), hasher.hexdigest(), tuple(map(str, files)), texts)


def _read(file: Path, problems: list[Problem]) -> bytes | None:
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as fault:
        problems.append(_problem("P402", file, f"the file cannot be read ({type(fault).__name__})"))
        return None


def _problem(code: str, path: Path, message: str) -> Problem:
    return Problem(str(path), 1, 1, code, Severity.ERROR, message, hint_of(code))


def _duplicates(policies: Sequence[Policy]) -> list[Problem]:
    first: dict[str, Policy] = {}
    found: list[Problem] = []
    for policy in policies:
        other = first.setdefault(policy.name, policy)
        if other is not policy:
            place = policy.position
            message = f"the policy `{policy.name}` stands in `{other.file}` already"
            found.append(Problem(policy.file, place.line, place.column, "P111", Severity.ERROR, message, hint_of("P111")))
    return found


def emptied(result: LoadResult, previous: int, *, allow_empty: bool) -> Problem | None:
    """Return the problem of having gone from `previous` policies to none, or None (CONTRACT 4.10)."""
    if result.policies or previous == 0 or allow_empty or not result.ok:
        return None
    message = f"no policy is left of the {previous} that were loaded before"
    return Problem("", 1, 1, "P401", Severity.ERROR, message, hint_of("P401"))


def summarise(policies: Iterable[Policy]) -> list[dict[str, Any]]:
    """Return a row for each policy, in name order."""
    return [
        {
            "name": policy.name,
            "title": policy.title,
            "owners": list(policy.owners),
            "mode": policy.mode.value,
            "rules": len(policy.rules),
            "exceptions": len(policy.exceptions),
            "tests": len(policy.tests),
            "file": policy.file,
        }
        for policy in sorted(policies, key=lambda policy: policy.name)
    ]


def show(policies: Iterable[Policy], name: str) -> dict[str, Any]:
    """Return everything about one policy as plain values. Raises: NotFoundError."""
    known = {policy.name: policy for policy in policies}
    if name not in known:
        raise NotFoundError(
            f"there is no policy `{name}`",
            why=f"known policies are {', '.join(sorted(known)) or 'none'}",
            fix="`llmcp policy list` shows them",
        )
    policy = known[name]
    return {**policy.canonical(), "title": policy.title, "owners": list(policy.owners), "file": policy.file}


def evaluate(program: PolicyProgram, document: object, now: datetime) -> dict[str, Any]:
    """Answer `policy eval` (CONTRACT section 3): what the rules say about the exchange that `document` describes.

    Raises: UsageError where the document does not have its form.
    """
    return describe(decide_input(program, read_input(document, now)))


def decide_input(program: PolicyProgram, asked: EvalInput) -> tuple[Decision, ...]:
    """Return the request's decision and, where a response was given and let through to, the response's."""
    decision = program.decide_request(asked.view)
    if asked.response is None or decision.response is None:
        return (decision,)
    return decision, decision.response.decide(asked.response)


def describe(decisions: Sequence[Decision]) -> dict[str, Any]:
    """Return decisions as `policy eval` prints them. `would_be` and `faults` stand there only where there are any."""
    last = decisions[-1]
    hits = [hit for decision in decisions for hit in _all_hits(decision)]
    answer: dict[str, Any] = {
        "verdict": last.verdict.value,
        "rules": [_hit(hit) for hit in dict.fromkeys(hits)],
        "message": last.message,
        "obligations": [duty for decision in decisions for duty in _obligations(decision)],
    }
    shadows = [decision.would_be for decision in decisions if decision.would_be is not None]
    if shadows:
        rules = dict.fromkeys(hit for shadow in shadows for hit in shadow.rules)
        answer["would_be"] = {"verdict": shadows[-1].verdict.value, "rules": [_hit(hit) for hit in rules]}
    faults = [fault for decision in decisions for fault in decision.faults]
    if faults:
        answer["faults"] = [{"policy": f.policy, "id": f.id, "why": f.why, "acted": f.acted} for f in faults]
    return answer


def _all_hits(decision: Decision) -> tuple[RuleHit, ...]:
    return decision.would_be.rules if decision.would_be is not None else decision.rules


def _hit(hit: RuleHit) -> dict[str, str]:
    return {"policy": hit.policy, "id": hit.id, "effect": hit.effect, "mode": hit.mode}


def _obligations(decision: Decision) -> Iterator[dict[str, Any]]:
    for name, value in decision.edits.fields:
        yield {"type": "set", "field": name, "value": value}
    if decision.edits.strip_tools:
        yield {"type": "strip_tools", "tools": sorted(decision.edits.strip_tools)}


def check_output(form: str) -> str:
    """Return `form` if problems can be written so. Raises: UsageError for forms of later versions and unknown ones."""
    if form in {"text", "json"}:
        return form
    later = form in {"sarif", "github", "junit"}
    raise UsageError(
        f"the output `{form}` is not supported in this version" if later else f"unknown output `{form}`",
        why="problems are written as `text` or `json`",
        fix="use `-o json`",
        code="output",
    )
