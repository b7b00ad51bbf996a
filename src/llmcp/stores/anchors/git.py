"""An anchor in a git repository: a file in it, and a commit for every checkpoint. Pushing it elsewhere is its owner's."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

from llmcp.core.signed_note import peek
from llmcp.errors import UnreachableError
from llmcp.stores.anchors.file import append_line, parse_lines, reported

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE: Final = "llmcp-checkpoints.jsonl"
_TIMEOUT_S: Final = 30
_NEEDED: Final = frozenset(("PATH", "HOME", "XDG_CONFIG_HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "USER", "LOGNAME"))
_NEEDED_PREFIXES: Final = ("GIT_", "LC_")
_IDENTITY: Final = (
    "-c",
    "user.name=llmcp",
    "-c",
    "user.email=llmcp@localhost",
    "-c",
    "commit.gpgSign=false",
    "-c",
    "core.hooksPath=/dev/null",
)


class GitAnchor:
    """An `Anchor` that commits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = f"git:{path}"

    def append(self, note: str) -> None:
        """Keep a note for good. Raises: UnreachableError."""
        self._git("rev-parse", "--git-dir")
        with reported(self.name):
            append_line(self._path / FILE, note)
        said = peek(note)
        self._git("add", "--", FILE)
        self._git(*_IDENTITY, "commit", "--quiet", "-m", f"Checkpoint {said.origin} {said.size}", "--", FILE)

    def notes(self) -> Iterator[str]:
        """Yield all notes that were committed, oldest first. Raises: UnreachableError."""
        yield from parse_lines(iter(self._git("show", f"HEAD:./{FILE}").splitlines()))

    def _git(self, *words: str) -> bytes:
        with reported(self.name):
            try:
                done = subprocess.run(  # noqa: S603 - a fixed program, no shell
                    ["git", "-C", str(self._path), *words],  # noqa: S607 - found on the path, as the user's own is
                    capture_output=True, check=False, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL, env=_without_secrets(),
                )  # fmt: skip
            except subprocess.TimeoutExpired as error:
                raise TimeoutError(None, f"git took longer than {_TIMEOUT_S} s") from error
        if done.returncode:
            raise UnreachableError(
                f"the anchor `{self.name}` cannot be used",
                why="it is no git repository"
                if words[0] == "rev-parse"
                else f"`git {_verb(words)}` ended with {done.returncode}",
                fix=f"it must be a git repository: `git init {self._path}`",
                code="anchor-unreachable",
            )
        return done.stdout


def _verb(words: tuple[str, ...]) -> str:
    return next(word for word in words if not word.startswith("-") and "=" not in word)


def _without_secrets() -> dict[str, str]:
    """Return what git needs of the environment: the repository's hooks are somebody's programs, and need no master or provider key."""
    return {name: value for name, value in os.environ.items() if name in _NEEDED or name.startswith(_NEEDED_PREFIXES)}
