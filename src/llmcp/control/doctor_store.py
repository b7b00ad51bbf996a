"""Checks of the store: whose it is, which version, whether it is whole, and whether there is room for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmcp.control.doctor import fail, ok, skip, warn
from llmcp.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llmcp.control.doctor import Finding
    from llmcp.ports.stores import StoreKeeper

_MB: Final = 1024 * 1024
_LONG_LOG: Final = 256 * _MB
_LITTLE: Final = 1024 * _MB
_TOO_LITTLE: Final = 64 * _MB


def store(keeper: StoreKeeper) -> Iterator[Finding]:
    """Check owner, version and integrity (`quick_check`, `foreign_key_check`)."""
    try:
        facts, damage = keeper.check(quick=True)
    except NotFoundError as error:
        yield skip(f"{error.what}; {error.fix}")
        return
    for found in damage:
        yield fail(f"{facts.path}: {found}", "stop the daemon, then `llmcp store restore` a backup; the file was left as it is")
    if damage:
        return
    if facts.schema < keeper.newest:
        yield warn(
            f"its schema is {facts.schema}, this llmcp writes {keeper.newest}",
            "`llmcp store migrate`, or open it: a backup is made",
        )
    yield ok(f"{facts.path}: schema {facts.schema}, {facts.records:,} records, {facts.bytes / _MB:,.1f} MB, whole")


def log_size(log: Path) -> Iterator[Finding]:
    """Check that the write-ahead log is folded in from time to time."""
    size = log.stat().st_size if log.exists() else 0
    if size > _LONG_LOG:
        yield warn(f"{log.name} has {size / _MB:,.0f} MB", "something reads the store for long (`llmcp audit tail`?); end it")
    else:
        yield ok(f"{size / _MB:,.1f} MB wait in the write-ahead log")


def disk(directory: Path, free: Callable[[Path], int], when_full: str) -> Iterator[Finding]:
    """Check that there is room to write records."""
    left = free(directory)
    then = "requests are refused" if when_full == "refuse" else "requests are served without records"
    said = f"{left / _MB:,.0f} MB are free for {directory}"
    if left < _TOO_LITTLE:
        yield fail(said, f"free some space: when it is full {then} (`record.when_full`)")
    elif left < _LITTLE:
        yield warn(said, f"free some space: when it is full {then} (`record.when_full`)")
    else:
        yield ok(said)
