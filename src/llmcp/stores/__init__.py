"""Adapters of the store ports, one file per backend and one line in the table below.

A store is named by a URI. `sqlite:///PATH` follows the field's convention: three slashes and a relative path (relative to the
home), four slashes and an absolute one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmcp.errors import UsageError
from llmcp.stores.sqlite import SqliteAuditLog
from llmcp.stores.sqlite_identities import SqliteIdentities

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmcp.ports.stores import AuditLog, IdentityStore


def _sqlite_path(rest: str, home: Path) -> Path:
    if not rest.startswith("/") or rest == "/" or "?" in rest:
        raise UsageError(
            f"the store `sqlite://{rest[:64]}` names no file",
            why="expected `sqlite:///PATH`",
            fix="write `sqlite:///llmcp.db`",
            code="bad-store",
        )
    return home / Path(rest[1:]).expanduser()


def _sqlite(rest: str, home: Path) -> AuditLog:
    return SqliteAuditLog(_sqlite_path(rest, home))


def _sqlite_identities(rest: str, home: Path) -> IdentityStore:
    return SqliteIdentities(_sqlite_path(rest, home))


_BY_SCHEME: Final[dict[str, Callable[[str, Path], AuditLog]]] = {"sqlite": _sqlite}
_IDENTITIES: Final[dict[str, Callable[[str, Path], IdentityStore]]] = {"sqlite": _sqlite_identities}
DEFAULT_URI: Final = "sqlite:///llmcp.db"


def open_audit_log(uri: str, home: Path) -> AuditLog:
    """Open the audit log that `uri` names; empty: `llmcp.db` in the home. Raises: UsageError and what the backend raises."""
    return _open(_BY_SCHEME, uri, home)


def sqlite_path(uri: str, home: Path) -> Path:
    """Return the file of the SQLite store that `uri` names. Raises: UsageError."""
    return _open({"sqlite": _sqlite_path}, uri, home)


def open_identities(uri: str, home: Path) -> IdentityStore:
    """Open the orgs, apps and tokens of the store that `uri` names, as `open_audit_log` does."""
    return _open(_IDENTITIES, uri, home)


def _open[Port](backends: Mapping[str, Callable[[str, Path], Port]], uri: str, home: Path) -> Port:
    scheme, colon, rest = (uri or DEFAULT_URI).partition("://")
    backend = backends.get(scheme)
    if not colon or backend is None:
        raise UsageError(
            f"the store `{scheme[:32]}:` is not supported in this version",
            why=f"known: {', '.join(f'{name}:///PATH' for name in backends)}",
            fix=f"write `{DEFAULT_URI}`",
            code="bad-store",
        )
    return backend(rest, home)
