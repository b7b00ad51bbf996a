"""The first bytes of a store's file, read without harm to those who use it.

Rules:
1. The file is opened once per process and never closed again. POSIX takes all locks of a process off a file when the process
   closes any descriptor of it: closing one of ours would silently unlock every SQLite connection that this process has there, and
   the next process to leave the store would then delete the log under the daemon's hands
   (https://www.sqlite.org/howtocorrupt.html section 2.2).
2. A file that takes the place of another is another file.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

HEADER_BYTES: Final = 100

# The one thing here that outlives a call, because it must outlive every connection: descriptors by device and inode.
_KEPT: Final[dict[tuple[int, int], int]] = {}


def read_header(path: Path) -> bytes:
    """Return the first bytes of `path`, at most `HEADER_BYTES`. Raises: OSError."""
    found = path.stat()
    descriptor = _KEPT.get((found.st_dev, found.st_ino))
    if descriptor is None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        opened = os.fstat(descriptor)
        _KEPT[opened.st_dev, opened.st_ino] = descriptor
    return os.pread(descriptor, HEADER_BYTES, 0)
