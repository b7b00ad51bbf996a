"""The seams behind which stores lie: records and their tree, identities, credentials, secrets.

Rules:
1. Everything here blocks. On the request path only snapshots of it are used; the recorder's own thread appends.
2. A write that an operator asked for is one transaction with its control record and a new change number.
3. A read that takes `org` returns that org's rows and no others; `None` is the operator's view of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from llmcp.core.control_records import ControlRecord
    from llmcp.core.credentials import CredentialEntry
    from llmcp.core.erasure import Erased
    from llmcp.core.identity import App, Identity, NotProven, Org, Token
    from llmcp.core.record_filter import RecordFilter
    from llmcp.core.records import DecisionRecord


class AuditLog(Protocol):
    """Append-only records of the store. Blocking: on the request path it is called by the recorder's own thread only."""

    def append(self, records: Sequence[DecisionRecord]) -> int:
        """Give each record its `seq` (no gaps) and commit all of them in one transaction; return the last `seq`.

        A record whose `id` is already stored is skipped. Raises: UnreachableError, with nothing written; ValueError for a record
        that is no decision's own (`id` is not `decision_id`).
        """

    def query(self, wanted: RecordFilter) -> Iterator[bytes]:
        """Yield the records that `wanted` lets pass, newest last: JSON with the persons who are still known, keys in canonical order."""

    def get(self, decision_id: str) -> bytes | None:
        """Return the record of a decision as `query` does, or None."""

    def leaf(self, seq: int) -> bytes | None:
        """Return a record's canonical bytes as they were written, persons by reference: what the tree hashes. None: not there."""

    def erase_person(self, org: str | None, value: str, record: ControlRecord) -> Erased:
        """Forget who `value` (a user, an address, an operator) was, in one org or in all: their references stay and name nobody.

        One transaction with `record`, which gets the references as its target. Raises: NotFoundError where nobody is known by it.
        """

    def last_seq(self) -> int:
        """Return the newest record's `seq`, also where it was pruned; 0 where there never was one."""

    def close(self) -> None:
        """Let go of the store."""


class SecretStore(Protocol):
    """Named secrets: the OS keychain or an encrypted file. Raises: UnreachableError, NotPermittedError; never with a secret in it."""

    @property
    def kind(self) -> str:
        """`keychain` or `file`."""

    def get(self, name: str) -> bytes | None:
        """Return a secret, or None."""

    def set(self, name: str, secret: bytes) -> None:
        """Keep a secret, in the place of an older one."""

    def delete(self, name: str) -> bool:
        """Remove a secret; False where there was none."""

    def names(self) -> tuple[str, ...]:
        """Return the names of all secrets, sorted."""


class ChangeLog(Protocol):
    """The store's change number: how the daemon learns that somebody changed something."""

    def number(self) -> int:
        """Return the number of changes so far."""


class IdentityStore(Protocol):
    """Orgs, apps and tokens. Every write takes the record that it is to leave and is one transaction with it.

    Raises: ConflictError where the name is taken, NotFoundError where what is changed is not there.
    """

    def orgs(self, org: str | None = None) -> tuple[Org, ...]:
        """Return all orgs (or the one), by name."""

    def apps(self, org: str | None = None) -> tuple[App, ...]:
        """Return all apps (of one org), by org and name."""

    def tokens(self, org: str | None = None) -> tuple[Token, ...]:
        """Return all tokens (of one org), oldest first."""

    def add_org(self, org: Org, record: ControlRecord) -> None:
        """Create an org."""

    def set_org(self, org: Org, record: ControlRecord) -> None:
        """Change an org."""

    def remove_org(self, name: str, record: ControlRecord) -> None:
        """Remove an org. Raises: ConflictError while it has apps, or tokens that are still valid."""

    def add_app(self, app: App, record: ControlRecord) -> None:
        """Create an app. Raises: NotFoundError where its org is not there."""

    def set_app(self, app: App, record: ControlRecord) -> None:
        """Change an app."""

    def remove_app(self, org: str, name: str, record: ControlRecord) -> None:
        """Remove an app. Raises: ConflictError while it has tokens that are still valid."""

    def add_token(self, token: Token, record: ControlRecord) -> None:
        """Create a token. Raises: NotFoundError where its org or app is not there."""

    def set_tokens(self, tokens: Sequence[Token], record: ControlRecord, *, added: Token | None = None) -> None:
        """Change tokens (revoke, rotate), and add one in the same transaction."""


class CredentialStore(Protocol):
    """The entries of provider credentials. Every write takes its record and is one transaction with it."""

    def entries(self) -> tuple[CredentialEntry, ...]:
        """Return all entries, by provider, org and id."""

    def put(self, entry: CredentialEntry, record: ControlRecord) -> None:
        """Create or replace an entry."""

    def remove(self, entry_id: str, record: ControlRecord) -> None:
        """Remove an entry. Raises: NotFoundError."""


class BearerVerifier(Protocol):
    """Tokens of somebody else that prove an identity here (JWTs). Pure: keys are in memory."""

    def recognises(self, token: str) -> bool:
        """Tell whether `token` claims to be of this issuer: then it must prove itself, and never goes upstream."""

    def verify(self, token: str, now: datetime) -> Identity | NotProven:
        """Return what `token` proves. Never raises."""
