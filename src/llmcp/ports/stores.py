"""The seams behind which stores lie: records and their tree, identities, credentials, secrets.

Rules:
1. Everything here blocks. On the request path only snapshots of it are used; the recorder's own thread appends.
2. A write that an operator asked for is one transaction with its control record and a new change number.
3. A read that takes `org` returns that org's rows and no others; `None` is the operator's view of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from llmcp.core.bodies import Body, Kept
    from llmcp.core.control_records import ControlRecord
    from llmcp.core.credentials import CredentialEntry
    from llmcp.core.erasure import Erased
    from llmcp.core.identity import App, Identity, NotProven, Org, Token
    from llmcp.core.record_filter import RecordFilter, RecordPage
    from llmcp.core.records import Bodies, DecisionRecord
    from llmcp.core.store_facts import Migrated, Restored, StoreFacts
    from llmcp.core.usage import UsageAnswer, UsageQuery, UsageRow


class AuditLog(Protocol):
    """Append-only records of the store. Blocking: on the request path it is called by the recorder's own thread only."""

    def append(self, records: Sequence[DecisionRecord]) -> int:
        """Give each record its `seq` (no gaps) and commit all of them in one transaction; return the last `seq`.

        A record whose `id` is already stored is skipped. Raises: UnreachableError, with nothing written; ValueError for a record
        that is no decision's own (`id` is not `decision_id`).
        """

    def query(self, wanted: RecordFilter) -> Iterator[bytes]:
        """Yield the records of the stream that `wanted` names (the decision stream where it names none), newest last: JSON with the persons who are still known, keys in canonical order."""

    def page(self, wanted: RecordFilter) -> RecordPage:
        """Return a page of what `query` yields (`wanted.limit` is its size), and where the next one begins."""

    def follow(self) -> Follower:
        """Return a reader of what is appended from now on."""

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


class Follower(Protocol):
    """A reader of decision records that goes on; for one thread, and to be closed."""

    def last_seq(self) -> int:
        """Return the newest record's `seq`, 0 where there never was one."""

    def changed(self) -> bool:
        """Tell at no cost whether anything was written since this was asked last; True when it is asked first."""

    def page(self, wanted: RecordFilter, after_seq: int) -> tuple[list[bytes], int, bool]:
        """Return what passes of the next rows, where to ask next, and whether there may be more at once. Bounded."""

    def close(self) -> None:
        """Let go of the store."""


class UsageLog(Protocol):
    """Who used how much, from rollups that are always equal to the sum of the records."""

    def answer(self, query: UsageQuery) -> UsageAnswer:
        """Return the rows of `query` and the bounds they really have."""

    def rows(self, query: UsageQuery) -> Iterator[UsageRow]:
        """Yield the rows of `answer`."""


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

    def seen(self) -> object:
        """Return what tells one state of the store from another, be it another store in the place of the first."""


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


class BodyStore(Protocol):
    """Kept bodies, sealed. Blocking; called by the recorder's thread and by the CLI."""

    def keep(self, time: str, kept: Kept) -> Bodies:
        """Seal and store the bodies; return their names. Raises: UnreachableError, with nothing stored."""

    def read(self, ref: str) -> Body | None:
        """Return the body of that name; None where it was pruned. Raises: ConflictError where it is not what its name says."""


class BearerVerifier(Protocol):
    """Tokens of somebody else that prove an identity here (JWTs). Pure: keys are in memory."""

    def recognises(self, token: str) -> bool:
        """Tell whether `token` claims to be of this issuer: then it must prove itself, and never goes upstream."""

    def verify(self, token: str, now: datetime) -> Identity | NotProven:
        """Return what `token` proves. Never raises."""


class StoreKeeper(Protocol):
    """A store as something to look after: opened, migrated, backed up, restored, checked. Blocking; never on the request path.

    Raises: ConflictError for a newer or a foreign store, UnreachableError for one that is damaged, busy, full or read-only.
    Whatever is refused is left as it was, byte for byte.
    """

    path: Path
    """Where the store is, for messages."""

    @property
    def newest(self) -> int:
        """The schema that this program writes."""

    def version(self) -> int:
        """Return the store's schema, 0 where there is none yet. Changes nothing."""

    def open(self) -> None:
        """Create the store, or upgrade it after a backup."""

    def losses(self, to: int) -> tuple[str, ...]:
        """Return what going down to schema `to` would lose, in words."""

    def migrate(self, to: int, *, keep: bool) -> Migrated:
        """Lead the store to schema `to`, all or nothing, after a backup where `keep`. Raises: NotFoundError, UsageError besides."""

    def backup_name(self) -> Path:
        """Return a name for a backup beside the store that no file has."""

    def backup(self, target: Path, *, replace: bool = False, progress: Callable[[int, int], None] | None = None) -> StoreFacts:
        """Write a verified copy while others write; `progress` is told what is done and all there is.

        Raises: ConflictError where `target` is there and not to be replaced.
        """

    def restore(self, source: Path, record: ControlRecord) -> Restored:
        """Put a copy of `source` in the store's place, `record` its newest change. Raises: NotFoundError, UsageError besides."""

    def note(self, record: ControlRecord) -> None:
        """Add a control record of a change that was made elsewhere (a settings file, a backup). Opens the store."""

    def check(self, *, quick: bool) -> tuple[StoreFacts, list[str]]:
        """Return what the store is and what is wrong with it. Raises: NotFoundError where there is none."""
