"""Orgs, apps and tokens put together: the home's store and its pepper.

Rules:
1. The first token of a home makes the pepper, under a lock: two commands at once must not make two.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmcp.config.home import Home
    from llmcp.core.settings import Settings
    from llmcp.ports.stores import IdentityStore, SecretStore


def identities(of: Home | None = None, settings: Settings | None = None) -> IdentityStore:
    """Open the orgs, apps and tokens of a home. Raises: UnreachableError, ConflictError where the store is not usable."""
    from llmcp import wiring
    from llmcp.stores import open_identities
    from llmcp.wiring.keeping import refuse_upgrade_in_use

    the_home = of or wiring.home()
    known = settings or wiring.load_settings(the_home)
    refuse_upgrade_in_use(the_home, known)
    return open_identities(known.store, the_home.data)


def secrets(of: Home | None = None, settings: Settings | None = None) -> SecretStore:
    """Return the secret store of a home."""
    from llmcp import wiring
    from llmcp.wiring.credentials import open_secrets

    the_home = of or wiring.home()
    return open_secrets(the_home, settings or wiring.load_settings(the_home))


def random_bytes(size: int) -> bytes:
    """Return bytes that nobody can guess."""
    return os.urandom(size)


def pepper_for_new(store: IdentityStore, now: str) -> bytes:
    """Return the pepper for a new token; the first one makes it. Raises: ConflictError where it was lost, and what secret stores raise."""
    from llmcp import wiring
    from llmcp.control.pepper import ensure_pepper, read_pepper
    from llmcp.stores.private_files import locked

    the_home = wiring.home()
    kept = secrets(the_home)
    found = read_pepper(kept)
    if found:
        return found
    the_home.create()
    with locked(the_home.run / "pepper.lock"):
        # Opened anew: which backend has the secrets may have been settled meanwhile.
        return ensure_pepper(store, secrets(the_home), random_bytes, now)


def known_providers() -> frozenset[str]:
    """Return the names that a token's scope may mean."""
    from llmcp import wiring

    return frozenset(str(row["name"]) for row in wiring.provider_rows())
