"""Checks of the home: who may read its files, whether settings and policies load, and which policies are in force."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any, Final

from llmcp.control.doctor import counted, fail, ok, warn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from llmcp.control.doctor import Finding

_MOST: Final = 5


def privacy(directories: Sequence[Path], files: Iterable[Path], uid: int) -> Iterator[Finding]:
    """Check that a home is there and for its owner alone: directories 0700, files 0600."""
    there = [directory for directory in dict.fromkeys(directories) if directory.is_dir()]
    if not there:
        yield warn(f"there is no home at {directories[0]} yet", "`llmcp init` makes one")
        return
    found = [finding for path in (*there, *files) for finding in _privacy_of(path, uid)]
    yield from found or [ok(f"{', '.join(str(path) for path in there)}: for the owner alone")]


def _privacy_of(path: Path, uid: int) -> Iterator[Finding]:
    try:
        info = path.stat()
    except FileNotFoundError:
        return
    mode = stat.S_IMODE(info.st_mode)
    right = "700" if stat.S_ISDIR(info.st_mode) else "600"
    if info.st_uid != uid:
        yield fail(f"{path} belongs to another user (number {info.st_uid})", "`chown` it to yourself, or set `LLMCP_HOME`")
    elif mode & 0o077:
        yield fail(f"{path} is open to others (mode {mode:04o})", f"`chmod {right} {path}`")


def settings(file: Path, overridden: Sequence[str]) -> Iterator[Finding]:
    """Say that the settings load (the caller has loaded them) and what overrides them."""
    where = f"{file} is valid" if file.exists() else f"there is no {file}: the defaults hold"
    yield ok(f"{where}; overridden by {', '.join(overridden)}" if overridden else where)


def policies(count: int, problems: Sequence[str], revision: str, status: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Check that the policy files load and that the daemon decides by them; `revision` is theirs, '' where they do not load."""
    for problem in problems[:_MOST]:
        yield fail(problem, "`llmcp policy check` shows all of it")
    if problems:
        return
    if not count:
        yield warn("there are no policies: traffic passes and is recorded", "`llmcp init` writes a first one")
    else:
        yield ok(f"{counted(count, 'policy', 'policies')} in good order (revision {revision})")
    if status is not None:
        if status["revision"] == revision:
            yield ok("the daemon decides by exactly these")
        else:
            yield warn(
                f"the daemon decides by revision {status['revision'] or '(none)'}, these files and settings are {revision}",
                "`llmcp reload`; flags and variables of the daemon's own count too",
            )
