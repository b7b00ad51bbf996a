"""The access snapshot of a home: its directory of tokens, its credentials, the issuer of its JWTs.

Rules:
1. All of it blocks (store, keychain, secret manager) and is done by the thread of `runtime.changes`.
2. A secret store that cannot be opened keeps no revocation from acting: pepper and credentials keep their last good values, and are
   soon asked for again.
3. Where nothing was ever stored, no secret is asked for.
4. The stores are opened (and checked, and migrated) once, before the recorder opens its own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from llmcp.control.credential_sources import Snapshot, resolve_all
from llmcp.engine.access import Access
from llmcp.errors import LlmcpError
from llmcp.runtime.changes import Changes, Fresh

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from llmcp.config.home import Home
    from llmcp.core.credentials import Credential
    from llmcp.core.identity import Identity, NotProven
    from llmcp.core.settings import Settings
    from llmcp.ports.stores import BearerVerifier, ChangeLog, CredentialStore, IdentityStore, SecretStore
    from llmcp.stores.secrets.choice import ChosenSecretStore
    from llmcp.wiring.jwt import JwtIssuer

_SOON_S = 15.0


def watch_access(home: Home, settings: Callable[[], Settings], issuer: JwtIssuer) -> Changes[Access]:
    """Return what keeps the access snapshot of a home; not started yet. `settings` returns those in force."""
    loader = AccessLoader(home, settings, CurrentIssuer(issuer.verifier))
    return Changes(look=loader.look, load=loader.load, refresh_s=loader.refresh_s, monotonic=time.monotonic)


class CurrentIssuer:
    """The verifier of this moment: keys and settings of the issuer change on their own."""

    __slots__ = ("_current",)

    def __init__(self, current: Callable[[], BearerVerifier | None]) -> None:
        self._current = current

    def recognises(self, token: str) -> bool:
        """See `BearerVerifier`."""
        verifier = self._current()
        return verifier is not None and verifier.recognises(token)

    def verify(self, token: str, now: datetime) -> Identity | NotProven:
        """See `BearerVerifier`."""
        from llmcp.core.identity import NotProven

        verifier = self._current()
        return verifier.verify(token, now) if verifier is not None else NotProven("no issuer is configured any more")


class AccessLoader:
    """Loads the snapshot, one call at a time."""

    def __init__(self, home: Home, settings: Callable[[], Settings], verifier: BearerVerifier) -> None:
        from llmcp.stores.sqlite.credentials import SqliteCredentials
        from llmcp.stores.sqlite.watch import ChangeWatch
        from llmcp.wiring.credentials import store_path
        from llmcp.wiring.identities import identities

        self._home = home
        self._settings = settings
        self._verifier = verifier
        path = store_path(home, settings())
        self._identities: IdentityStore = identities(home, settings())
        self._entries: CredentialStore = SqliteCredentials(path)
        self._changes: ChangeLog = ChangeWatch(path)
        self._secrets: ChosenSecretStore | None = None
        self._pepper = b""
        self._troubled = False
        self._last: tuple[Credential, ...] = ()

    def look(self) -> object:
        """Return what tells one state of affairs from another. Raises: UnreachableError."""
        return self._changes.seen(), self._settings().credentials

    def load(self) -> Fresh[Access]:
        """Read everything. Raises: LlmcpError where the directory or the entries cannot be read."""
        from llmcp.control.tokens import load_directory
        from llmcp.wiring.credentials import open_secrets, sources

        settings = self._settings()
        secrets = self._opened(open_secrets(self._home, settings))
        pepper, problems = self._find_pepper(secrets, len(self._identities.tokens()))
        directory = load_directory(self._identities, pepper)
        entries = self._entries.entries()
        found = resolve_all(entries, secrets, sources(settings.credentials), self._last) if entries else Snapshot()
        self._last = found.credentials
        held = {credential.entry.id for credential in found.credentials}
        lost = [entry for entry in entries if entry.id not in held]
        access = Access(directory, found.credentials, self._verifier, unavailable=lost)
        self._troubled = bool(problems or found.problems)
        return Fresh(access, (*problems, *found.problems, *access.problems), outside=found.outside or self._troubled)

    def _opened(self, found: ChosenSecretStore) -> ChosenSecretStore:
        """Return the store that was opened before, where it is of the same kind: it need not stretch a passphrase anew.

        That takes longer than a revocation has.
        """
        if self._secrets is None or self._secrets.kind != found.kind:
            self._secrets = found
        return self._secrets

    def refresh_s(self) -> float:
        """Return how often sources outside are asked again; sooner where something could not be read: a keychain gets unlocked."""
        wanted = self._settings().credentials.refresh_s
        return min(wanted, _SOON_S) if self._troubled else wanted

    def _find_pepper(self, secrets: SecretStore, tokens: int) -> tuple[bytes, tuple[str, ...]]:
        """Return the pepper and what is wrong with it. The last one is kept where it cannot be read any more."""
        from llmcp.control.pepper import lost, read_pepper

        if not tokens:
            return b"", ()
        try:
            found = read_pepper(secrets)
            if found:
                self._pepper = found
                return found, ()
            wrong: LlmcpError = lost(tokens)
        except LlmcpError as error:
            wrong = error
        meant = "the one read before is used" if self._pepper else "no virtual key can be checked, all get 401"
        return self._pepper, (f"{meant} ({wrong.what}: {wrong.why})",)
