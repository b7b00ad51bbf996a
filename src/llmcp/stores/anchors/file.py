"""An anchor in a file: one JSON document a line, 0600, on disk before `append` returns."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llmcp.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class FileAnchor:
    """An `Anchor` that appends to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = f"file:{path}"

    def append(self, note: str) -> None:
        """Keep a note for good. Raises: UnreachableError."""
        with reported(self.name):
            append_line(self._path, note)

    def notes(self) -> Iterator[str]:
        """Yield all notes, oldest first. Raises: UnreachableError."""
        with reported(self.name), self._path.open("rb") as file:
            yield from parse_lines(file)


def append_line(path: Path, note: str) -> None:
    """Append one whole line, whoever else does so too, and bring it to the disk. Raises: OSError."""
    line = json.dumps({"note": note}, ensure_ascii=True).encode() + b"\n"
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        # A line that a crash cut short must not swallow this one.
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if new:
        _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def parse_lines(lines: Iterator[bytes]) -> Iterator[str]:
    """Yield the notes of whole lines."""
    for line in lines:
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict) and isinstance(document.get("note"), str):
            yield document["note"]


@contextmanager
def reported(name: str) -> Iterator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except OSError as error:
        raise UnreachableError(
            f"the anchor `{name}` cannot be used",
            why=error.strerror or type(error).__name__,
            fix="checkpoints are kept in the store and anchored later",
            code="anchor-unreachable",
        ) from error
