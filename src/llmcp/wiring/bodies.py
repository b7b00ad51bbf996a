"""Kept bodies put together: their table, their key, and reading them back.

Rules:
1. The daemon makes the key when the first body is kept; until then neither the secret store nor `cryptography` is touched. No rule
   keeps one without `record.allow_full`: it would not load, now or after an edit of the settings while the daemon runs.
2. A command only reads the key.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llmcp.errors import UnreachableError

if TYPE_CHECKING:
    from pathlib import Path

    from llmcp.config.home import Home
    from llmcp.core.settings import Settings
    from llmcp.ports.stores import BodyStore, SecretStore


def keeper_of_bodies(home: Home, settings: Settings) -> BodyStore:
    """Return where the daemon keeps bodies."""
    from llmcp.stores.sqlite.bodies import KEY_BYTES, KEY_NAME, SqliteBodies
    from llmcp.wiring.credentials import open_secrets

    secrets = open_secrets(home, settings)

    def key() -> bytes:
        found = secrets.get(KEY_NAME)
        if found is None:
            found = os.urandom(KEY_BYTES)
            secrets.set(KEY_NAME, found)
        return found

    return SqliteBodies(_path(home, settings), key)


def kept_bodies(home: Home, settings: Settings, record: dict[str, Any]) -> dict[str, Any]:
    """Return the bodies that a record names, readable, and leave a control record of who looked. Raises: LlmcpError."""
    from llmcp.control.bodies import readable_bodies
    from llmcp.stores.sqlite.bodies import KEY_NAME, SqliteBodies
    from llmcp.stores.sqlite.change import change as transaction
    from llmcp.wiring.changes import change
    from llmcp.wiring.credentials import open_secrets

    secrets: SecretStore = open_secrets(home, settings)

    def key() -> bytes:
        found = secrets.get(KEY_NAME)
        if found is None:
            raise UnreachableError(
                "kept bodies cannot be opened", why=f"the secret store has no `{KEY_NAME}`", fix="restore it", code="bodies-key"
            )
        return found

    path = _path(home, settings)
    found = readable_bodies(SqliteBodies(path, key), record)
    if any(found.values()):
        with transaction(path, change().record("audit.bodies", str(record["decision_id"]), org=str(record["org"]))):
            pass  # the record is all there is to write
    return found


def _path(home: Home, settings: Settings) -> Path:
    from llmcp.stores import sqlite_path

    return sqlite_path(settings.store, home.data)
