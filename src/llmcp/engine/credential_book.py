"""Stored credentials by provider and org.

Rules:
1. An org's own credential serves it; the shared ones (org "") serve every org that has none of its own, and no other: an org whose
   own are paused (weight 0) or cannot be had is not silently served by somebody else's account.
2. Which of several serves a request follows from their weights and the decision's id alone.
3. A secret that no header takes is not used, and is a problem for the operator.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmcp.core.credentials import Credential, CredentialEntry
    from llmcp.ports import Endpoint, Surface


class CredentialBook:
    """See the module's rules. `unavailable` are entries whose secret cannot be had."""

    __slots__ = ("_shelves", "problems")

    def __init__(self, credentials: Iterable[Credential] = (), unavailable: Iterable[CredentialEntry] = ()) -> None:
        shelves: dict[tuple[str, str], list[Credential]] = {(entry.provider, entry.org): [] for entry in unavailable}
        problems = []
        for credential in sorted(credentials, key=lambda each: each.entry.id):
            entry = credential.entry
            shelf = shelves.setdefault((entry.provider, entry.org), [])
            if not _fits_header(credential.secret):
                problems.append(f"the credential {entry.id} of {entry.provider} is not used: no header takes its characters")
            elif entry.weight > 0:
                shelf.append(credential)
        self._shelves = {key: tuple(shelf) for key, shelf in shelves.items()}
        self.problems = tuple(problems)

    def find(self, endpoint: Endpoint, org: str, surface: Surface, *, salt: str) -> Credential | None:
        """Return what serves `org` where `endpoint` leads, or None; `salt` picks among several."""
        found = self._shelves.get((endpoint.provider, org))
        if found is None:
            found = self._shelves.get((endpoint.provider, ""), ())
        usable = [each for each in found if surface.may_receive(endpoint, each.entry.resources)]
        if len(usable) > 1:
            return _weighted(usable, salt)
        return usable[0] if usable else None


def _fits_header(secret: str) -> bool:
    return bool(secret) and secret.isascii() and secret.isprintable() and " " not in secret


def _weighted(usable: Sequence[Credential], salt: str) -> Credential:
    hashed = int.from_bytes(hashlib.sha256(salt.encode("utf-8")).digest()[:8])
    at = hashed % sum(each.entry.weight for each in usable)
    for each in usable:
        at -= each.entry.weight
        if at < 0:
            return each
    raise AssertionError("weights are positive")
