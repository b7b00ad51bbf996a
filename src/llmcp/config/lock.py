"""One daemon per home: a lock that the kernel drops with its holder, however that ends.

Rules:
1. The lock is `flock` on `run/lock`; a process id left in the file by a killed daemon means nothing.
2. Who comes second is told the first one's process id.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from llmcp.errors import ConflictError, UsageError

if TYPE_CHECKING:
    from llmcp.config.home import Home


class HomeLock:
    """Held from `acquire` to `release`, or to the end of the process."""

    def __init__(self, home: Home) -> None:
        self._path = home.lock
        self._descriptor = -1

    def acquire(self) -> None:
        """Take the lock. Raises: ConflictError where a daemon has it, UsageError where the home cannot be written."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(
                f"cannot write {self._path}",
                why=error.strerror or type(error).__name__,
                fix="mend owner and mode of the home, or set another `LLMCP_HOME`",
                code="home",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise ConflictError(
                f"a daemon already runs on this home (pid {pid or 'unknown'})",
                why=f"{self._path} is locked",
                fix="see `llmcp status`; stop it with `llmcp stop`, or set another `LLMCP_HOME`",
                code="home-locked",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would let two holders lock two files."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def holder(home: Home) -> int | None:
    """Return the process id of the daemon that holds `home`, or None. 0: somebody holds it and did not say who."""
    try:
        descriptor = os.open(home.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdecimal() else 0
    finally:
        os.close(descriptor)
    return None
