"""Provider credentials put together: the secret store of a home, its entries, and the snapshot of secrets that the daemon holds.

Rules:
1. What blocks (keychain, encrypted file, secret manager) is asked here, in a thread, never on the request path.
2. Nothing stored: neither `keyring` nor `cryptography` is imported.
"""

from __future__ import annotations

import base64
import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from llmcp.config.home import Home
    from llmcp.control.change import Change
    from llmcp.control.credential_sources import Snapshot, Source
    from llmcp.control.credentials import Keys, Wanted
    from llmcp.core.credentials import CredentialEntry
    from llmcp.core.settings import CredentialSettings, Settings
    from llmcp.providers.catalog import Catalog
    from llmcp.stores.secrets.choice import ChosenSecretStore

log = logging.getLogger("llmcp.credentials")
_ID_BYTES = 8
_ID_CHARS = 12


def open_secrets(home: Home, settings: Settings, notice: Callable[[str], None] | None = None) -> ChosenSecretStore:
    """Return the secret store of a home. Nothing is opened, made or imported before a secret is asked for.

    `notice` is told what had to be mended (a file with open modes); None: the program log.
    """
    from llmcp.config.environment import master_key
    from llmcp.stores.secrets.choice import ChosenSecretStore

    return ChosenSecretStore(home.config, backend=settings.credentials.backend, given=master_key(), notice=notice or _logged)


def snapshot(home: Home, settings: Settings, store_path: Path, previous: Snapshot | None = None) -> Snapshot:
    """Read every credential that is in use; blocking. What cannot be read keeps its value of `previous`, and is a problem in words.

    Raises: UnreachableError where the entries themselves cannot be read.
    """
    from llmcp.control.credential_sources import resolve_all
    from llmcp.stores.sqlite.credentials import SqliteCredentials

    entries = SqliteCredentials(store_path).entries()
    kept = previous.credentials if previous is not None else ()
    return resolve_all(entries, open_secrets(home, settings), sources(settings.credentials), kept)


def sources(settings: CredentialSettings) -> dict[str, Source]:
    """Return what reads `env:` and `aws:`."""
    from llmcp.stores.secrets.aws import AwsSecrets

    return {"env": _from_environment, "aws": AwsSecrets(settings)}


def open_keys(home: Home, settings: Settings, notice: Callable[[str], None]) -> Keys:
    """Return what the `key` verbs add credentials with. The home is made, the store created or migrated."""
    home.create()
    return _keys_in(store_path(home, settings), home, settings, notice)


def known_keys(home: Home, settings: Settings, notice: Callable[[str], None]) -> Keys:
    """Return what the `key` verbs work with that need a credential to be there; a home without a store has none."""
    from llmcp.wiring.absent import path_to_read

    return _keys_in(path_to_read(home, settings), home, settings, notice)


def _keys_in(path: Path, home: Home, settings: Settings, notice: Callable[[str], None]) -> Keys:
    from llmcp.control.credentials import Keys
    from llmcp.stores.sqlite.credentials import SqliteCredentials
    from llmcp.wiring.keeping import refuse_upgrade_in_use

    refuse_upgrade_in_use(home, settings)
    return Keys(SqliteCredentials(path), open_secrets(home, settings, notice), catalog_of(settings))


def store_path(home: Home, settings: Settings) -> Path:
    """Return the file of the SQLite store that the settings name. Raises: UsageError."""
    from llmcp.stores import sqlite_path

    return sqlite_path(settings.store, home.data)


def catalog_of(settings: Settings) -> Catalog:
    """Return the catalog with the providers that only the settings know. Raises: UsageError."""
    from llmcp.plugins import dialect_families
    from llmcp.providers.catalog import ProviderEntry, load_catalog
    from llmcp.providers.surface import CatalogSurface

    catalog = load_catalog()
    surface = CatalogSurface(catalog, dialect_families(), settings.providers)
    own = [name for name in surface.providers() if name not in catalog.entries]
    return catalog.with_entries(
        ProviderEntry(name, dialects=tuple(surface.describe(name)["dialects"]), auth=surface.auth(name), price_id=name)
        for name in own
    )


def wants(settings: Settings, wanted: Wanted) -> Wanted:
    """Return `wanted` with the provider's name as the catalog spells it, and whether the settings fix its host."""
    from dataclasses import replace

    name = wanted.provider.strip().lower().replace("_", "-")
    placed = {key.lower().replace("_", "-"): bool(value.base_url) for key, value in settings.providers.items()}
    return replace(wanted, provider=name, placed=placed.get(name, False))


def fresh_id() -> str:
    """Return an id for a new credential."""
    return f"cred_{base64.b32encode(os.urandom(_ID_BYTES)).decode('ascii').lower()[:_ID_CHARS]}"


def variable(name: str) -> str | None:
    """Return a variable of the environment that the user named, or None."""
    from llmcp.config.environment import variable as read

    return read(name)


def rotate_master(home: Home, settings: Settings, new: str, change: Change, notice: Callable[[str], None]) -> int:
    """Seal the encrypted file anew under the key `new`, or a fresh one with ''; return the number of secrets.

    Raises: NotFoundError where the secrets are not in the file, and what the file raises.
    """
    from llmcp.errors import NotFoundError
    from llmcp.stores.secrets.file import FileSecretStore
    from llmcp.stores.sqlite.change import change as changed
    from llmcp.stores.sqlite.file import prepare
    from llmcp.wiring.keeping import refuse_upgrade_in_use

    kept = open_secrets(home, settings, notice).settled()
    if not isinstance(kept, FileSecretStore):
        where = "the OS keychain, which guards them with the login" if kept is not None else "nowhere yet"
        raise NotFoundError(
            "there is no master key to rotate", why=f"the secrets are {where}", fix="nothing to do", code="no-master-key"
        )
    home.create()
    path = store_path(home, settings)
    refuse_upgrade_in_use(home, settings)
    prepare(path)
    record = change.record("key.master", kept.path.name, given="yes" if new else "no")
    with changed(path, record):
        count = kept.rotate_master(new)
        record.detail["entries"] = str(count)
    return count


def check_keys(
    settings: Settings, keys: Keys, entries: Sequence[CredentialEntry], at: datetime, *, timeout_s: float
) -> Iterator[dict[str, Any]]:
    """Yield one row for each place that a credential may go to, asked there with it."""
    from llmcp.wiring.key_check import Checker

    return Checker(settings, keys.catalog, keys.secrets, sources(settings.credentials), at, timeout_s).check(tuple(entries))


def _from_environment(name: str) -> str:
    from llmcp.errors import NotFoundError

    text = variable(name)
    if not text:
        raise NotFoundError(
            f"the variable `{name}` is not set",
            why="it is read from the environment of the process that uses it",
            fix=f"set `{name}` where `llmcp serve` is started",
            code="no-secret",
        )
    return text


def _logged(text: str) -> None:
    log.warning("secrets_mended", extra={"fields": {"what": text}})
