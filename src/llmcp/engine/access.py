"""Who may ask, and with which stored credential they are served: one immutable snapshot of both.

Rules:
1. A virtual key is looked up by the id in it, then its keyed hash is compared in constant time; a key whose id nobody has is
   compared with a hash of nothing, so that time tells nothing.
2. Why a credential is refused stands in the record; its bearer hears one sentence for unknown, expired and revoked ones.
3. Expiry is looked at with every request. Everything else changes with the snapshot, which is swapped whole: nothing that was
   found out with one is remembered beyond it.
4. A token of an issuer counts only in an org that exists and is enabled, and for an app that is not disabled.
"""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from llmcp.core.globs import GlobSet, compile_globs, model_names
from llmcp.core.identity import DirectoryData, NotProven
from llmcp.core.messages import Operation
from llmcp.core.subject import Subject
from llmcp.core.virtual_keys import PREFIX, digest, named, parse
from llmcp.engine.compiled import names_model
from llmcp.engine.credential_book import CredentialBook

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmcp.core.credentials import Credential, CredentialEntry
    from llmcp.core.identity import Identity, Token
    from llmcp.engine.credentials import Claim
    from llmcp.ports import Endpoint, Surface
    from llmcp.ports.stores import BearerVerifier

_NOTHING: Final = bytes(32)
_NOT_GOOD: Final = "this virtual key is not known here, has expired or was revoked"
_SHOWN_ID: Final = len(PREFIX) + 11
_SHOWN_MODEL: Final = 100
# Operations that may use a model without naming it: whoever may use some models only may not use these unseen.
_MAY_HIDE: Final = frozenset((Operation.BATCHES, Operation.OTHER))
ANONYMOUS: Final = Subject()


class Scope(msgspec.Struct, frozen=True, gc=False):
    """Which providers and models a token is good for."""

    providers: GlobSet
    models: GlobSet


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who was proven to ask. `shown` is what may be said of the credential; `scope` None: it is good for everything.

    From `until` on it proves nothing any more; None: there is no such time.
    """

    subject: Subject
    shown: str
    scope: Scope | None = None
    until: datetime | None = None


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A credential that proves nothing. `subject` is whose it is as far as that is known; `again`: asking anew may help."""

    error_type: str
    why: str = _NOT_GOOD
    subject: Subject = ANONYMOUS
    again: bool = False


class _Known(msgspec.Struct, frozen=True, gc=False):
    """A token as it is asked about. `ended` says why it is good for nothing any more, whatever the time."""

    digest: bytes
    caller: Caller
    ended: str = ""


_DIFFERENT: Final = Rejected("virtual_keys_differ", "this request carries two different keys of llmcp: send one")
_MALFORMED: Final = Rejected("virtual_key_malformed")
_UNKNOWN: Final = Rejected("virtual_key_unknown")


class Access:
    """See the module's rules. `mark` is what others may remember the snapshot by without keeping it alive.

    `unavailable` are credentials whose secret cannot be had: their org gets no other in their place.
    """

    __slots__ = ("_apps", "_credentials", "_orgs", "_pepper", "_scopes", "_tokens", "_verifier", "mark")

    def __init__(
        self,
        directory: DirectoryData | None = None,
        credentials: Iterable[Credential] = (),
        verifier: BearerVerifier | None = None,
        *,
        unavailable: Iterable[CredentialEntry] = (),
    ) -> None:
        data = directory if directory is not None else DirectoryData()
        self.mark = object()
        self._verifier = verifier
        self._pepper = data.pepper
        self._orgs = {org.name: org.enabled for org in data.orgs}
        self._apps = {(app.org, app.name): app.enabled for app in data.apps}
        self._scopes: dict[tuple[tuple[str, ...], tuple[str, ...]], Scope] = {}
        self._tokens = {token.id: self._known(token) for token in data.tokens} if data.pepper else {}
        self._credentials = CredentialBook(credentials, unavailable)

    def __repr__(self) -> str:
        """Say how much it is."""
        return f"Access({len(self._tokens)} tokens)"

    @property
    def problems(self) -> tuple[str, ...]:
        """What of the credentials cannot be used, in words for the operator."""
        return self._credentials.problems

    def identify(self, claims: tuple[Claim, ...], now: datetime) -> Caller | Rejected | None:
        """Return whom `claims` prove at `now` (aware); None where none of them is meant for llmcp."""
        if len(claims) == 1 and claims[0].virtual:
            return self._bearer_of_key(claims[0].text, now)
        ours = {claim.text: claim.virtual for claim in claims if self.is_ours(claim)}
        if not ours:
            return None
        if len(ours) > 1:
            return _DIFFERENT
        ((text, virtual),) = ours.items()
        return self._bearer_of_key(text, now) if virtual else self._bearer_of_token(text, now)

    def is_ours(self, claim: Claim) -> bool:
        """Tell whether `claim` is made to llmcp: then no provider may see it."""
        if claim.virtual:
            return True
        return self._verifier is not None and self._verifier.recognises(claim.text.decode("latin-1"))

    def credential(self, endpoint: Endpoint, org: str, surface: Surface, *, salt: str) -> Credential | None:
        """Return the stored credential that serves `org` where `endpoint` leads: see `CredentialBook.find`."""
        return self._credentials.find(endpoint, org, surface, salt=salt)

    def _bearer_of_key(self, text: bytes, now: datetime) -> Caller | Rejected:
        token_id = parse(text)
        if token_id is None:
            return self._as_claimed(text, _MALFORMED)
        known = self._tokens.get(token_id)
        same = hmac.compare_digest(digest(self._pepper, text), known.digest if known is not None else _NOTHING)
        if known is None or not same:
            return self._as_claimed(text, _UNKNOWN)
        if known.ended:
            return Rejected(known.ended, subject=known.caller.subject)
        caller = known.caller
        return caller if is_good(caller, now) else Rejected("virtual_key_expired", subject=caller.subject)

    def _as_claimed(self, text: bytes, rejected: Rejected) -> Rejected:
        """Name the token whose id stands in a key that proves nothing: an attempt on it, which its org should see."""
        token_id = named(text[:_SHOWN_ID].decode("latin-1"))
        known = self._tokens.get(token_id) if token_id is not None else None
        if known is None:
            return rejected
        subject = known.caller.subject
        error_type = "virtual_key_mismatch" if rejected is _UNKNOWN else rejected.error_type
        return Rejected(error_type, subject=Subject(org=subject.org, key_id=subject.key_id))

    def _bearer_of_token(self, text: bytes, now: datetime) -> Caller | Rejected:
        verifier = self._verifier
        assert verifier is not None  # noqa: S101 - it recognised the token; narrows the type
        proven = verifier.verify(text.decode("latin-1"), now)
        if isinstance(proven, NotProven):
            error_type = "jwt_keys_not_known" if proven.again else "jwt_not_proven"
            return Rejected(error_type, f"this token proves nothing here: {proven.why}", again=proven.again)
        subject = proven.subject
        ended = self._ended(subject.org, subject.app, registered=False)
        if ended:
            return Rejected(ended, "this token is of an org or an app that is not served here", subject)
        caller = Caller(subject, "token of the issuer", self._scope(proven), _time(proven.expires) if proven.expires else None)
        return (
            caller
            if is_good(caller, now)
            else Rejected("jwt_not_proven", "this token proves nothing here: it has ended", subject)
        )

    def _known(self, token: Token) -> _Known:
        subject = Subject(
            org=token.org, app=token.app, user=token.user, groups=token.groups, key_id=token.id, labels=token.labels
        )
        ended = "virtual_key_revoked" if token.revoked else self._ended(token.org, token.app, registered=True)
        until = None
        if token.expires and not ended:
            until = _time(token.expires)
            ended = "" if until is not None else "virtual_key_expired"  # what nobody can read is not a time to come
        return _Known(token.digest, Caller(subject, f"virtual key `{token.prefix}…`", self._scope(token), until), ended)

    def _ended(self, org: str, app: str, *, registered: bool) -> str:
        """Say why nobody of `org` and `app` is served, or ''. `registered`: the app must be one of the directory's."""
        if not self._orgs.get(org, False):
            return "org_disabled" if org in self._orgs else "org_unknown"
        if app and not self._apps.get((org, app), not registered):
            return "app_disabled"
        return ""

    def _scope(self, of: Token | Identity) -> Scope | None:
        key = (tuple(of.providers), tuple(of.models))
        if key == ((), ()):
            return None
        known = self._scopes.get(key)
        if known is None:
            known = Scope(compile_globs(key[0] or ("*",)), compile_globs(key[1] or ("*",)))
            # Tokens of an issuer come and go; those of the directory are all known when the snapshot is made.
            if len(self._scopes) < 4096:  # noqa: PLR2004 - a bound, not a size that anything depends on
                self._scopes[key] = known
        return known


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


NOBODY: Final = Access()
"""A snapshot without tokens and credentials."""


def is_good(caller: Caller, now: datetime) -> bool:
    """Tell whether what was proven has not expired at `now`."""
    return caller.until is None or now < caller.until


def outside(caller: Caller, endpoint: Endpoint, models: Iterable[str], surface: Surface) -> str:
    """Say what of a request the caller's credential is not good for, in words for the client, or ''."""
    scope = caller.scope
    if scope is None:
        return ""
    provider, operation = endpoint.provider, endpoint.operation
    if not scope.providers.matches(provider):
        return f"the {caller.shown} is not good for the provider `{provider}`"
    if scope.models.everything:
        return ""
    for model in models:
        if not model and operation in _MAY_HIDE:
            return f"the {caller.shown} is good for some models only, and this request does not say which it uses"
        if not names_model(operation, model):
            continue
        names = model_names(model, surface.canonical_model(provider, model), provider, surface.providers())
        if not scope.models.matches_model(names):
            return f"the {caller.shown} is not good for the model `{model[:_SHOWN_MODEL]}`"
    return ""
