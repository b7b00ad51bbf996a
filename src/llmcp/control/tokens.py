"""The use cases behind `token create|list|show|revoke|rotate`, and the snapshot that a daemon works with.

Rules:
1. The key is returned once, by the call that made it. The store holds its keyed digest, which no document shows.
2. Every token belongs to an org that is there, and to an app of that org where one is named.
3. A rotated token hands everything on to its successor and ends at once, or after a grace; its life begins anew, as long as before.
4. Only tokens that have not ended can be rotated. Revoking twice is revoking once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.control.apps import find_app
from llmcp.control.naming import no_such, shown
from llmcp.control.orgs import find_org
from llmcp.core import virtual_keys
from llmcp.core.identity import DEFAULT_ORG, DirectoryData, Token, TokenState, state_of
from llmcp.core.records import timestamp
from llmcp.core.subject import NO_LABELS
from llmcp.core.virtual_keys import RANDOM_BYTES
from llmcp.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmcp.control.change import Change
    from llmcp.core.control_records import ControlRecord
    from llmcp.core.identity import App, Org
    from llmcp.ports.stores import IdentityStore

__all__ = [
    "RANDOM_BYTES", "Issued", "TokenWish", "create_token", "find_token", "list_tokens", "load_directory", "owners", "revoke_token",
    "rotate_token", "show_token", "state_of", "token_document", "token_documents",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenWish:
    """What a new token is to be, every part checked by `token_words`. `expires` is a timestamp or ""."""

    org: str = DEFAULT_ORG
    app: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    labels: Mapping[str, str] = NO_LABELS
    providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    expires: str = ""


@dataclass(frozen=True, slots=True)
class Issued:
    """A token that was just made, and its key: the only place where it ever stands."""

    token: Token
    key: str
    state: TokenState = TokenState.VALID

    def __repr__(self) -> str:
        """Leave the key out of logs and tracebacks."""
        return f"Issued({self.token!r})"

    def document(self) -> dict[str, Any]:
        """Return what `token create --json` writes."""
        return {"token": self.key} | token_document(self.token, self.state)


def create_token(store: IdentityStore, change: Change, wish: TokenWish, *, pepper: bytes, random_bytes: bytes) -> Issued:
    """Make a token. `random_bytes` are `virtual_keys.RANDOM_BYTES` fresh ones. Raises: NotFoundError for org or app."""
    enabled = owners(store, wish.org, wish.app)
    issued = _issue(
        {name: getattr(wish, name) for name in TokenWish.__slots__},
        change,
        pepper=pepper,
        random_bytes=random_bytes,
        enabled=enabled,
    )
    store.add_token(issued.token, _record(change, "token.create", issued.token))
    return issued


def owners(store: IdentityStore, org: str, app: str) -> bool:
    """Tell whether an org and, where one is named, its app are enabled. Raises: NotFoundError."""
    enabled = find_org(store, org).enabled
    return (find_app(store, org, app).enabled and enabled) if app else enabled


def rotate_token(  # noqa: PLR0913 - the ends are two, and the secrets are passed in
    store: IdentityStore,
    change: Change,
    spelt: str,
    *,
    ends: str,
    expires: str | None = None,
    pepper: bytes,
    random_bytes: bytes,
) -> tuple[Token, Issued]:
    """Make the successor of a token; return the old one as it is now, and the new. The old ends at `ends` (a timestamp).

    `expires` None gives the new one as long a life as the old one had. Raises: NotFoundError, ConflictError (rule 4).
    """
    old = find_token(store, spelt)
    if state_of(old, change.time) is not TokenState.VALID:
        raise _ended(old)
    if old.replaced_by:
        raise ConflictError(
            f"the token `{old.id}` was rotated before",
            why=f"`{old.replaced_by}` took its place",
            fix=f"`llmcp token rotate {old.replaced_by}`",
            code="token-changed",
        )
    kept = msgspec.structs.asdict(old) | {"expires": _as_long_again(old, change) if expires is None else expires}
    enabled = owners(store, old.org, old.app)
    issued = _issue(kept, change, pepper=pepper, random_bytes=random_bytes, enabled=enabled)
    at_once = ends <= change.time
    left = msgspec.structs.replace(
        old,
        replaced_by=issued.token.id,
        revoked=change.time if at_once else "",
        expires=old.expires if at_once else min(filter(None, (old.expires, ends))),
    )
    record = _record(change, "token.rotate", old, replaced_by=issued.token.id, ends=change.time if at_once else left.expires)
    store.set_tokens((left,), record, added=issued.token)
    return left, issued


def revoke_token(store: IdentityStore, change: Change, spelt: str) -> tuple[Token, bool]:
    """Revoke a token; return it, and whether it was not revoked before. Raises: NotFoundError, ConflictError."""
    token = find_token(store, spelt)
    if token.revoked:
        return token, False
    revoked = msgspec.structs.replace(token, revoked=change.time)
    store.set_tokens((revoked,), _record(change, "token.revoke", token))
    return revoked, True


def find_token(store: IdentityStore, spelt: str) -> Token:
    """Return the token that an id, a shown prefix or a whole key names. Raises: NotFoundError, which repeats no secret."""
    tokens = store.tokens()
    token_id = virtual_keys.named(spelt)
    found = next((token for token in tokens if token.id == token_id), None)
    if found is None:
        # What has more than an id in it may be a secret: only the part that may be shown is repeated.
        name = "_".join(shown(spelt).split("_", 2)[:2])[: len("llmcp_") + 16]
        raise no_such("token", name, (token.id for token in tokens), "llmcp token list")
    return found


def show_token(store: IdentityStore, spelt: str, now: str) -> dict[str, Any]:
    """Return the document of one token. Raises: NotFoundError."""
    token = find_token(store, spelt)
    return token_documents((token,), store.orgs(token.org), store.apps(token.org), now)[0]


def list_tokens(
    store: IdentityStore,
    now: str,
    *,
    org: str | None = None,
    app: str | None = None,
    user: str | None = None,
    state: str | None = None,
) -> list[dict[str, Any]]:
    """Return the documents of all tokens that pass, oldest first. Raises: NotFoundError for the org."""
    if org is not None:
        find_org(store, org)
    tokens = [t for t in store.tokens(org) if app in {None, t.app} and user in {None, t.user}]
    documents = token_documents(tokens, store.orgs(org), store.apps(org), now)
    return [document for document in documents if state in {None, document["state"]}]


def token_documents(tokens: Sequence[Token], orgs: Iterable[Org], apps: Iterable[App], now: str) -> list[dict[str, Any]]:
    """Return what is shown of `tokens`, with their states at `now`."""
    live = {org.name for org in orgs if org.enabled}
    off = {(app.org, app.name) for app in apps if not app.enabled}
    return [
        token_document(token, state_of(token, now, enabled=token.org in live and (token.org, token.app) not in off))
        for token in tokens
    ]


def token_document(token: Token, state: TokenState) -> dict[str, Any]:
    """Return what is shown of a token: never the digest."""
    return {
        "id": token.id, "prefix": token.prefix, "state": str(state), "org": token.org, "app": token.app, "user": token.user,
        "groups": list(token.groups), "labels": dict(token.labels), "providers": list(token.providers),
        "models": list(token.models), "created": token.created, "expires": token.expires, "revoked": token.revoked,
        "replaced_by": token.replaced_by,
    }  # fmt: skip


def load_directory(store: IdentityStore, pepper: bytes) -> DirectoryData:
    """Return everything a daemon must know to tell who asks. Read the change number first, then this: a change between is seen next time."""
    tokens = store.tokens()
    return DirectoryData(tokens=tokens, apps=store.apps(), orgs=store.orgs(), pepper=pepper)


def _issue(fields: dict[str, Any], change: Change, *, pepper: bytes, random_bytes: bytes, enabled: bool = True) -> Issued:
    token_id, prefix, key = virtual_keys.make(random_bytes)
    own = {"id": token_id, "prefix": prefix, "digest": virtual_keys.digest(pepper, key), "created": change.time}
    token = Token(**(fields | own | {"revoked": "", "replaced_by": ""}))
    return Issued(token, key, state_of(token, change.time, enabled=enabled))


def _as_long_again(old: Token, change: Change) -> str:
    if not old.expires:
        return ""
    life = datetime.fromisoformat(old.expires) - datetime.fromisoformat(old.created)
    return timestamp(change.now + life)


def _record(change: Change, action: str, token: Token, **detail: str) -> ControlRecord:
    scope = {"app": token.app, "providers": " ".join(token.providers), "models": " ".join(token.models), "expires": token.expires}
    if action != "token.create":
        scope = {"app": token.app}
    return change.record(action, token.id, org=token.org, user=token.user, **(scope | detail))


def _ended(token: Token) -> ConflictError:
    how = f"it was revoked at {token.revoked}" if token.revoked else f"it ended at {token.expires}"
    return ConflictError(
        f"the token `{token.id}` cannot be rotated", why=how, fix="make a new one with `llmcp token create`", code="token-ended"
    )
