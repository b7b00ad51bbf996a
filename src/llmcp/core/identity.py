"""Orgs, apps and tokens (virtual keys) as values, and what a token proves.

Rules:
1. An org is the tenant; `default` always exists and owns what names no other. An app belongs to one org.
2. A token's secret is never here: `digest` is its keyed hash, `prefix` what may be shown.
3. Times are `records.timestamp` texts; "" means never. A token is valid while it is neither revoked nor expired and its org and
   app are enabled.
4. Empty `providers` or `models` mean all; they are globs as in policies.
5. An org's or app's name is `[a-z0-9][a-z0-9_.-]{0,63}`: it stands in records, globs and URLs.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from llmcp.core.subject import NO_LABELS, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_ORG: Final = "default"
NAME_FORM: Final = "[a-z0-9][a-z0-9_.-]{0,63}"
_NAME: Final = re.compile(NAME_FORM, re.ASCII)


def is_name(text: str) -> bool:
    """Tell whether `text` may be the name of an org or an app."""
    return _NAME.fullmatch(text) is not None


class Org(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant. `time_zone` is an IANA name; calendar windows begin by it."""

    name: str
    title: str = ""
    time_zone: str = "UTC"
    enabled: bool = True
    created: str = ""


class App(msgspec.Struct, frozen=True, kw_only=True):
    """A program of an org. `name` is unique within the org."""

    org: str
    name: str
    title: str = ""
    enabled: bool = True
    created: str = ""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual key without its secret. `replaced_by` is the id of the token that `token rotate` made."""

    id: str
    prefix: str
    digest: bytes
    org: str = DEFAULT_ORG
    app: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    labels: Mapping[str, str] = NO_LABELS
    providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    created: str = ""
    expires: str = ""
    revoked: str = ""
    replaced_by: str = ""

    def __repr__(self) -> str:
        """Leave the digest out of logs and tracebacks."""
        return f"Token(id={self.id!r}, org={self.org!r})"


class TokenState(StrEnum):
    """What a token is good for now. `disabled`: its org or its app is, and it will be valid again with them."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"
    DISABLED = "disabled"


def state_of(token: Token, now: str, *, enabled: bool = True) -> TokenState:
    """Return the state of `token` at `now` (a timestamp); `enabled` says whether its org and app are."""
    if token.revoked:
        return TokenState.REVOKED
    if token.expires and token.expires <= now:
        return TokenState.EXPIRED
    return TokenState.VALID if enabled else TokenState.DISABLED


class DirectoryData(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a daemon must know to tell who asks: a snapshot of the store, and the key of the digests.

    `pepper` is b"" where there is none (no token was ever made, or it was lost): then no token proves anything.
    """

    tokens: tuple[Token, ...] = ()
    orgs: tuple[Org, ...] = ()
    apps: tuple[App, ...] = ()
    pepper: bytes = b""

    def __repr__(self) -> str:
        """Say how much it is; the pepper is a secret."""
        return f"DirectoryData({len(self.tokens)} tokens, {len(self.orgs)} orgs, {len(self.apps)} apps)"


class Identity(msgspec.Struct, frozen=True, gc=False):
    """What a credential of ours proves: who asks, and which providers and models it is good for. `expires` as in a token."""

    subject: Subject
    providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    expires: str = ""


class NotProven(msgspec.Struct, frozen=True, gc=False):
    """Why a credential proves nothing, in words for its bearer. `again` says that asking anew in a moment may help."""

    why: str
    again: bool = False
