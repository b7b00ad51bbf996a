"""Adapters of the store ports: one file per port and backend, one line in the table below per scheme.

A store is named by a URI. `sqlite:///PATH` follows the field's convention: three slashes and a relative path (relative to the
home), four slashes and an absolute one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmcp.errors import UsageError
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.identities import SqliteIdentities
from llmcp.stores.sqlite.keeper import SqliteKeeper
from llmcp.stores.sqlite.usage import SqliteUsage

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.ports.stores import AuditLog, IdentityStore, StoreKeeper, UsageLog

DEFAULT_URI: Final = "sqlite:///llmcp.db"


@dataclass(frozen=True, slots=True)
class _Backend:
    """What opens each port of one kind of store, at the place that its URI names."""

    place: Callable[[str, Path], Path]
    audit_log: Callable[[Path], AuditLog]
    identities: Callable[[Path], IdentityStore]
    usage_log: Callable[[Path], UsageLog]
    keeper: Callable[[Path], StoreKeeper]


def _sqlite_place(rest: str, home: Path) -> Path:
    if not rest.startswith("/") or rest == "/" or "?" in rest:
        raise UsageError(
            f"the store `sqlite://{rest[:64]}` names no file",
            why="expected `sqlite:///PATH`",
            fix="write `sqlite:///llmcp.db`",
            code="bad-store",
        )
    return home / Path(rest[1:]).expanduser()


_BY_SCHEME: Final = {"sqlite": _Backend(_sqlite_place, SqliteAuditLog, SqliteIdentities, SqliteUsage, SqliteKeeper)}


def sqlite_path(uri: str, home: Path) -> Path:
    """Return the file of the SQLite store that `uri` names; empty: `llmcp.db` in the home. Raises: UsageError."""
    return _resolve(uri, home)[1]


def open_audit_log(uri: str, home: Path) -> AuditLog:
    """Open the audit log of the store that `uri` names. Raises: UsageError and what the backend raises."""
    backend, place = _resolve(uri, home)
    return backend.audit_log(place)


def open_identities(uri: str, home: Path) -> IdentityStore:
    """Open the orgs, apps and tokens of the store that `uri` names, as `open_audit_log` does."""
    backend, place = _resolve(uri, home)
    return backend.identities(place)


def open_usage_log(uri: str, home: Path) -> UsageLog:
    """Open the usage rollups of the store that `uri` names, as `open_audit_log` does."""
    backend, place = _resolve(uri, home)
    return backend.usage_log(place)


def keeper(uri: str, home: Path) -> StoreKeeper:
    """Return what looks after the store that `uri` names. Touches nothing. Raises: UsageError."""
    backend, place = _resolve(uri, home)
    return backend.keeper(place)


def _resolve(uri: str, home: Path) -> tuple[_Backend, Path]:
    scheme, colon, rest = (uri or DEFAULT_URI).partition("://")
    backend = _BY_SCHEME.get(scheme)
    if not colon or backend is None:
        raise UsageError(
            f"the store `{scheme[:32]}:` is not supported in this version",
            why=f"known: {', '.join(f'{name}:///PATH' for name in _BY_SCHEME)}",
            fix=f"write `{DEFAULT_URI}`",
            code="bad-store",
        )
    return backend, backend.place(rest, home)
