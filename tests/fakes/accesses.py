"""Access snapshots for engine tests: tokens with keys that are made anew, stored credentials, an issuer of signed-by-nobody tokens."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmcp.core.credentials import Credential, CredentialEntry
from llmcp.core.identity import App, DirectoryData, Identity, NotProven, Org, Token
from llmcp.core.subject import Subject
from llmcp.core.virtual_keys import RANDOM_BYTES, digest, make
from llmcp.engine.access import Access

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

PEPPER = bytes(range(32))
ORGS = (Org(name="default"), Org(name="acme"), Org(name="closed", enabled=False))
APPS = (App(org="acme", name="bot"), App(org="acme", name="off", enabled=False))
STORED = "sk-" + "stored" * 5
ISSUER_PREFIX = "eyJhbGciOiJ0ZXN0In0"


def make_token(seed: int = 1, *, pepper: bytes = PEPPER, **fields: Any) -> tuple[str, Token]:
    """Return a key and the token that stands for it."""
    token_id, prefix, key = make(seed.to_bytes(4) * 8 + bytes(RANDOM_BYTES - 32))
    return key, Token(id=token_id, prefix=prefix, digest=digest(pepper, key), **{"org": "acme", **fields})


def credential(provider: str = "openai", org: str = "", *, secret: str = STORED, **fields: Any) -> Credential:
    """Return a stored credential."""
    entry_id = str(fields.pop("id", f"cred_{provider}_{org}"))
    return Credential(CredentialEntry(id=entry_id, provider=provider, org=org, **fields), secret)


def access(*tokens: Token, credentials: Iterable[Credential] = (), verifier: Any = None, unavailable: Any = ()) -> Access:
    """Return a snapshot over the orgs and apps above."""
    data = DirectoryData(tokens=tokens, orgs=ORGS, apps=APPS, pepper=PEPPER)
    return Access(data, tuple(credentials), verifier, unavailable=unavailable)


@dataclass
class Issuer:
    """A `BearerVerifier` whose tokens say in their last part whether they are good: `good`, `bad` or `later`."""

    identity: Identity = field(default_factory=lambda: Identity(Subject(org="acme", user="ann", key_id="jwt:k1")))

    def token(self, word: str = "good") -> str:
        """Return a token of this issuer."""
        return f"{ISSUER_PREFIX}.{urlsafe_b64encode(b'issuer').decode().rstrip('=')}.{word}"

    def recognises(self, token: str) -> bool:
        """See `BearerVerifier`."""
        return token.startswith(ISSUER_PREFIX)

    def verify(self, token: str, now: datetime) -> Identity | NotProven:
        """See `BearerVerifier`."""
        word = token.rsplit(".", 1)[1]
        return self.identity if word == "good" else NotProven(f"it is {word}", again=word == "later")
