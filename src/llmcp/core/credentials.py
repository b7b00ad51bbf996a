"""Provider credentials as values: what is written down of one, and the secret itself while it is in memory.

Rules:
1. An entry says where a secret comes from and for whom it is; it never holds the secret.
2. A credential goes only to its own provider's configured hosts; where the client's path names the host (`/azure/{resource}`),
   only to the entry's `resources`.
3. The secret is in `Credential.secret` alone, which no `repr` shows.
"""

from __future__ import annotations

import msgspec


class CredentialEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One provider credential, without its secret.

    `org` "" serves every org that has none of its own. `source` is `stored` (the secret store, under `secret_name(entry)`),
    `env:NAME` (the daemon's environment) or `aws:SECRET_ID[#KEY]`. `weight` 0 keeps it but does not use it. `hint` is what may be
    shown of the secret.
    """

    id: str
    provider: str
    org: str = ""
    label: str = ""
    source: str = "stored"
    weight: int = 1
    resources: tuple[str, ...] = ()
    hint: str = ""
    created: str = ""
    rotated: str = ""


class Credential(msgspec.Struct, frozen=True, gc=False):
    """A secret in memory, ready to be put on a request."""

    entry: CredentialEntry
    secret: str

    def __repr__(self) -> str:
        """Say which it is, never what it is."""
        return f"Credential({self.entry.id!r}, {self.entry.provider!r})"

    __str__ = __repr__


def secret_name(entry: CredentialEntry) -> str:
    """Return the name under which the secret store keeps the secret of an entry.

    Each rotation has a name of its own: until the entry says `rotated`, the old secret is the one in force.
    """
    moment = "".join(c for c in entry.rotated or entry.created if c.isdigit())
    return f"credential/{entry.id}/{moment}"
