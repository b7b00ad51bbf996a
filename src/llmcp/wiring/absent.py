"""What a verb that only reads finds in a home without a store: an empty store elsewhere, for this one command.

Rules:
1. Reading makes nothing in a home: whoever mistyped `LLMCP_HOME` or `store` is told at a terminal, and finds no new
   store there. A script gets the empty answer, or the error alone.
2. What writes opens the store itself, and so makes it.
"""

from __future__ import annotations

import atexit
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from llmcp.stores import DEFAULT_URI, sqlite_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.config.home import Home
    from llmcp.core.settings import Settings

_POLL_S = 0.1


def place_to_read(home: Home, settings: Settings) -> tuple[str, Path]:
    """Return the URI and the directory of the store to read: the home's, or an empty one where that has none yet."""
    path = sqlite_path(settings.store, home.data)
    return (settings.store, home.data) if path.exists() else (DEFAULT_URI, _empty_instead_of(path))


def path_to_read(home: Home, settings: Settings) -> Path:
    """Return the file of the store to read."""
    return sqlite_path(*place_to_read(home, settings))


def wait_for_store(home: Home, settings: Settings, sleep: Callable[[float], None]) -> None:
    """Return when the home has a store."""
    path = sqlite_path(settings.store, home.data)
    if not path.exists():
        print(f"note: there is no store {path} yet; waiting for `llmcp serve` to make it", file=sys.stderr)
    while not path.exists():
        sleep(_POLL_S)


@cache
def _empty_instead_of(path: Path) -> Path:
    if sys.stderr.isatty():
        print(f"note: there is no store {path} yet; `llmcp serve` makes it", file=sys.stderr)
    directory = tempfile.TemporaryDirectory(prefix="llmcp-", ignore_cleanup_errors=True)
    atexit.register(directory.cleanup)
    return Path(directory.name)
