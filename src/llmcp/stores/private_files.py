"""Small files with secrets in them, as the secret stores keep them: 0600, written whole or not at all, one writer at a time.

Rules:
1. A file is written beside its place, forced to disk, renamed, and the directory forced too: a crash leaves the old one or the new.
2. What is read is looked at through the same descriptor that its mode was checked on.
3. The lock is the kernel's: it goes with its holder, however that ends. Readers share it; where it cannot be made (a read-only
   directory) nobody writes either, and readers go without.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmcp.errors import ConflictError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_WAIT_S: Final = 10.0
_STEP_S: Final = 0.02


def read_private(path: Path) -> tuple[bytes, int] | None:
    """Return the content of `path` and its mode bits, or None where it is not there. Raises: UnreachableError."""
    with _translated(path, "read"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            mode = os.fstat(descriptor).st_mode & 0o777
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(), mode
        finally:
            os.close(descriptor)


def write_private(path: Path, data: bytes) -> None:
    """Put `data` in the place of `path`. Raises: UnreachableError, with the old content in place."""
    with _translated(path, "write"):
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _rename(Path(temporary), path)
        finally:
            Path(temporary).unlink(missing_ok=True)


def rename_private(source: Path, target: Path) -> None:
    """Move `source` over `target`, for good. Raises: UnreachableError."""
    with _translated(target, "write"):
        _rename(source, target)


def remove_private(path: Path) -> None:
    """Remove `path` where it is there. Raises: UnreachableError."""
    with _translated(path, "remove"):
        path.unlink(missing_ok=True)


def tighten(path: Path) -> None:
    """Make `path` 0600. Raises: UnreachableError, where it is not ours."""
    with _translated(path, "close to others"):
        path.chmod(0o600)


def _rename(source: Path, target: Path) -> None:
    source.replace(target)
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock file `path`. Raises: ConflictError where somebody else does not give it back, UnreachableError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if not shared:
            raise _failed(path, "write", error) from None
        yield
        return
    try:
        _take(descriptor, path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, kind: int) -> None:
    until = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise ConflictError(
                    "the secrets are being changed by another process",
                    why=f"{path.name} has been locked for {_WAIT_S:.0f} seconds",
                    fix="let the other `llmcp key` command end, then try again",
                    code="secrets-locked",
                ) from None
            time.sleep(_STEP_S)
        else:
            return


@contextmanager
def _translated(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failed(path, verb, error) from None


def _failed(path: Path, verb: str, error: OSError) -> UnreachableError:
    return UnreachableError(
        f"cannot {verb} {path}",
        why=error.strerror or type(error).__name__,
        fix="check that the directory is there, has room and is yours (0700)",
        code="secrets-file",
    )
