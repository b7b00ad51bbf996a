"""Where an export goes: standard output, or a file that is there whole or not at all.

Rules:
1. A file has mode 0600 and takes its place when everything is written; what was there stays until then, and for good where the
   export fails.
2. What exists and is no file (a pipe, a device) is written to as it is.
3. Compression sets no name and no time, so equal records give equal bytes.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from llmcp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUFFER = 1 << 20


class _Output:
    """A stream that is somebody else's, as a file that knows how far it is, for writers that ask; closing it closes nothing."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._at = 0

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        self._stream.write(data)
        size = memoryview(data).nbytes
        self._at += size
        return size

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        pass


@contextlib.contextmanager
def output(path: Path | None, *, compressed: bool) -> Iterator[BinaryIO]:
    """Open what an export is written to; `None` is standard output. Raises: UsageError where it cannot be written."""
    try:
        with _opened(path) as sink:
            if not compressed:
                yield sink
                return
            with gzip.GzipFile(filename="", mode="wb", fileobj=sink, mtime=0, compresslevel=6) as packed:
                yield cast("BinaryIO", packed)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(
            f"cannot write {path or 'standard output'}",
            why=error.strerror or type(error).__name__,
            fix="give another file with `--out`, or free some space",
            code="output",
        ) from error


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[BinaryIO]:
    if path is None:
        sink = cast("BinaryIO", _Output(sys.stdout.buffer))
        yield sink
        sink.flush()
    elif path.exists() and not path.is_file():
        with path.open("wb") as device:
            yield cast("BinaryIO", _Output(device))
    else:
        with _atomic(path.resolve()) as file:
            yield file


@contextlib.contextmanager
def _atomic(path: Path) -> Iterator[BinaryIO]:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb", buffering=_BUFFER) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
