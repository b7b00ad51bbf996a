"""Where a home's files are, and how they are made: directories 0700, files 0600.

Rules:
1. `LLMCP_HOME` is one directory for everything; without it the platform's config, data and state directories serve.
2. Finding a home creates nothing; `create` does, and is idempotent.
3. A directory that was there before is tightened only when it is ours: empty, or with our files in it.
4. A file is written whole or not at all: a temporary file beside it, then a rename.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmcp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_OURS = frozenset({"llmcp.yaml", "llmcp.db", "policies", "run"})


@dataclass(frozen=True, slots=True)
class Home:
    """The three roots of one home; the same directory three times where `LLMCP_HOME` is set."""

    config: Path
    data: Path
    state: Path

    @property
    def settings_file(self) -> Path:
        """The settings file."""
        return self.config / "llmcp.yaml"

    @property
    def policies(self) -> Path:
        """The policies' directory where no setting names another."""
        return self.config / "policies"

    @property
    def store_file(self) -> Path:
        """The default store."""
        return self.data / "llmcp.db"

    @property
    def run(self) -> Path:
        """What belongs to a running daemon: lock, URLs, token, log."""
        return self.state / "run"

    @property
    def lock(self) -> Path:
        """Locked by the daemon that has this home; holds its process id."""
        return self.run / "lock"

    @property
    def daemon_file(self) -> Path:
        """Process id and URLs of the running daemon."""
        return self.run / "daemon.json"

    @property
    def admin_token(self) -> Path:
        """The admin listener's token."""
        return self.run / "admin.token"

    @property
    def log_file(self) -> Path:
        """The log of a detached daemon."""
        return self.run / "llmcp.log"

    @property
    def last_good(self) -> Path:
        """Copies of the policy files of the last good revision."""
        return self.state / "last-good"

    def create(self) -> list[Path]:
        """Make the directories that are missing; return those made. Raises: UsageError where a path is not a directory."""
        return [
            directory for directory in dict.fromkeys((self.config, self.data, self.state, self.run)) if make_private(directory)
        ]


def find(environ: Mapping[str, str] | None = None) -> Home:
    """Return the home that `LLMCP_HOME` or the platform names. Raises: UsageError where `LLMCP_HOME` is unusable."""
    env = os.environ if environ is None else environ
    named = env.get("LLMCP_HOME", "")
    if named:
        root = Path(named).expanduser().absolute()
        if root.exists() and not root.is_dir():
            raise UsageError(
                f"LLMCP_HOME={named} is not a directory",
                why="a home is a directory",
                fix="set `LLMCP_HOME` to a directory, or unset it",
                code="home",
            )
        return Home(root, root, root)
    from platformdirs import user_config_path, user_data_path, user_state_path  # noqa: PLC0415 - 10 ms that a set home saves

    return Home(
        user_config_path("llmcp", appauthor=False),
        user_data_path("llmcp", appauthor=False),
        user_state_path("llmcp", appauthor=False),
    )


def make_private(directory: Path) -> bool:
    """Make `directory` 0700, its parents as needed; tell whether it is new.

    Raises: UsageError where something else is in the way or may not be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if not directory.is_dir():
            raise UsageError(
                f"{directory} is not a directory", why="a file is in the way", fix="move it, or set `LLMCP_HOME`", code="home"
            ) from None
        _tighten(directory)
        return False
    except OSError as error:
        raise UsageError(
            f"cannot make {directory}",
            why=error.strerror or type(error).__name__,
            fix="set `LLMCP_HOME` to a directory that you may write",
            code="home",
        ) from error
    directory.chmod(0o700)  # mkdir's mode goes through the umask
    return True


def _tighten(directory: Path) -> None:
    info = directory.stat()
    if not info.st_mode & 0o077 or info.st_uid != os.getuid():
        return
    names = {entry.name for entry in directory.iterdir()}
    if directory.name == "run" or not names or names & _OURS:
        directory.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` with mode 0600, atomically. Raises: UsageError where the directory takes no file."""
    try:
        _write_private(path, text)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}",
            why=error.strerror or type(error).__name__,
            fix="free some space, mend the directory's modes, or set another `LLMCP_HOME`",
            code="home",
        ) from error


def _write_private(path: Path, text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
