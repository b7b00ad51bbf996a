"""Orgs, apps and tokens in the SQLite store.

Rules:
1. A write is one transaction with its control record and the change number (`change`); what makes it refused is asked
   under the same lock.
2. Lists and maps are JSON texts with sorted keys; a digest is the only column that is no text or number.
3. Of a token only its end changes (`expires`, `revoked`, `replaced_by`), and a revoked token never again: two who change the same
   token at once cannot bring it back to life.
4. "Still valid" is judged at the record's time.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmcp.core.identity import DEFAULT_ORG, App, Org, Token
from llmcp.errors import ConflictError, NotFoundError
from llmcp.stores.sqlite.change import change
from llmcp.stores.sqlite.file import connect, prepare, translated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmcp.core.control_records import ControlRecord

_JSON: Final = msgspec.json.Encoder(order="deterministic", enc_hook=dict)
_TEXTS: Final = msgspec.json.Decoder(tuple[str, ...])
_LABELS: Final = msgspec.json.Decoder(dict[str, str])
_TOKEN: Final = "SELECT id, prefix, digest, org, app, user, groups, labels, providers, models, created, expires, revoked, replaced_by FROM tokens"  # noqa: S105
_VALID: Final = "revoked = '' AND (expires = '' OR expires > ?)"


class SqliteIdentities:
    """An `IdentityStore` in one file. Opening creates or migrates it; errors are those of `file.prepare`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        prepare(path)

    def orgs(self, org: str | None = None) -> tuple[Org, ...]:
        """Return all orgs (or the one), by name."""
        rows = self._rows("SELECT name, title, time_zone, enabled, created FROM orgs", "name", org, "name")
        return tuple(
            Org(name=name, title=title, time_zone=zone, enabled=bool(enabled), created=created)
            for name, title, zone, enabled, created in rows
        )

    def apps(self, org: str | None = None) -> tuple[App, ...]:
        """Return all apps (of one org), by org and name."""
        rows = self._rows("SELECT org, name, title, enabled, created FROM apps", "org", org, "org, name")
        return tuple(
            App(org=of, name=name, title=title, enabled=bool(enabled), created=created)
            for of, name, title, enabled, created in rows
        )

    def tokens(self, org: str | None = None) -> tuple[Token, ...]:
        """Return all tokens (of one org), oldest first."""
        return tuple(map(_token, self._rows(_TOKEN, "org", org, "created, id")))

    def add_org(self, org: Org, record: ControlRecord) -> None:
        """Create an org. Raises: ConflictError."""
        with change(self.path, record) as connection:
            if _there(connection, "orgs WHERE name = ?", org.name):
                raise _taken(f"the org `{org.name}`")
            connection.execute(
                "INSERT INTO orgs (name, title, time_zone, enabled, created) VALUES (?, ?, ?, ?, ?)",
                (org.name, org.title, org.time_zone, org.enabled, org.created),
            )

    def set_org(self, org: Org, record: ControlRecord) -> None:
        """Change an org. Raises: NotFoundError; ConflictError where `default` would be disabled."""
        if org.name == DEFAULT_ORG and not org.enabled:
            raise _default_stays()
        with change(self.path, record) as connection:
            done = connection.execute(
                "UPDATE orgs SET title = ?, time_zone = ?, enabled = ? WHERE name = ?",
                (org.title, org.time_zone, org.enabled, org.name),
            )
            if not done.rowcount:
                raise _missing(f"org `{org.name}`", "llmcp org list")

    def remove_org(self, name: str, record: ControlRecord) -> None:
        """Remove an org, and its tokens that are not valid any more. Raises: NotFoundError, ConflictError."""
        if name == DEFAULT_ORG:
            raise _default_stays()
        with change(self.path, record) as connection:
            if not _there(connection, "orgs WHERE name = ?", name):
                raise _missing(f"org `{name}`", "llmcp org list")
            if _there(connection, "apps WHERE org = ?", name):
                raise _in_use(f"the org `{name}`", "has apps", f"`llmcp app list --org {name}`, then `llmcp app remove`")
            if _there(connection, f"tokens WHERE org = ? AND {_VALID}", name, record.time):
                raise _in_use(
                    f"the org `{name}`",
                    "has tokens that are still valid",
                    f"`llmcp token list --org {name}`, then `llmcp token revoke`",
                )
            if _there(connection, "credentials WHERE org = ?", name):
                raise _in_use(
                    f"the org `{name}`", "has provider credentials of its own", "`llmcp key list`, then `llmcp key remove`"
                )
            connection.execute("DELETE FROM tokens WHERE org = ?", (name,))
            connection.execute("DELETE FROM orgs WHERE name = ?", (name,))

    def add_app(self, app: App, record: ControlRecord) -> None:
        """Create an app. Raises: ConflictError, NotFoundError where its org is not there."""
        with change(self.path, record) as connection:
            _demand_org(connection, app.org)
            if _there(connection, "apps WHERE org = ? AND name = ?", app.org, app.name):
                raise _taken(f"the app `{app.name}` of `{app.org}`")
            connection.execute(
                "INSERT INTO apps (org, name, title, enabled, created) VALUES (?, ?, ?, ?, ?)",
                (app.org, app.name, app.title, app.enabled, app.created),
            )

    def set_app(self, app: App, record: ControlRecord) -> None:
        """Change an app. Raises: NotFoundError."""
        with change(self.path, record) as connection:
            done = connection.execute(
                "UPDATE apps SET title = ?, enabled = ? WHERE org = ? AND name = ?", (app.title, app.enabled, app.org, app.name)
            )
            if not done.rowcount:
                raise _missing_app(app.org, app.name)

    def remove_app(self, org: str, name: str, record: ControlRecord) -> None:
        """Remove an app. Raises: NotFoundError, ConflictError while it has tokens that are still valid."""
        with change(self.path, record) as connection:
            if _there(connection, f"tokens WHERE org = ? AND app = ? AND {_VALID}", org, name, record.time):
                raise _in_use(
                    f"the app `{name}`",
                    "has tokens that are still valid",
                    f"`llmcp token list --org {org}`, then `llmcp token revoke`",
                )
            if not connection.execute("DELETE FROM apps WHERE org = ? AND name = ?", (org, name)).rowcount:
                raise _missing_app(org, name)

    def add_token(self, token: Token, record: ControlRecord) -> None:
        """Create a token. Raises: ConflictError, NotFoundError where its org or app is not there."""
        with change(self.path, record) as connection:
            _add_token(connection, token)

    def set_tokens(self, tokens: Sequence[Token], record: ControlRecord, *, added: Token | None = None) -> None:
        """Change the end of tokens, and add one in the same transaction.

        Raises: NotFoundError; ConflictError where one of them was revoked or replaced meanwhile.
        """
        with change(self.path, record) as connection:
            for token in tokens:
                done = connection.execute(
                    "UPDATE tokens SET expires = ?, revoked = ?, replaced_by = ?"
                    " WHERE id = ? AND revoked = '' AND replaced_by IN ('', ?)",
                    (token.expires, token.revoked, token.replaced_by, token.id, token.replaced_by),
                )
                if not done.rowcount:
                    if not _there(connection, "tokens WHERE id = ?", token.id):
                        raise _missing(f"token `{token.id}`", "llmcp token list")
                    raise ConflictError(
                        f"the token `{token.id}` was changed meanwhile",
                        why="it is revoked or replaced already",
                        fix=f"see `llmcp token show {token.id}`",
                        code="token-changed",
                    )
            if added is not None:
                _add_token(connection, added)

    def _rows(self, select: str, column: str, value: str | None, order: str) -> list[tuple[Any, ...]]:
        where, values = ("", ()) if value is None else (f" WHERE {column} = ?", (value,))
        with translated(self.path), closing(connect(self.path, read_only=True)) as connection:
            return connection.execute(f"{select}{where} ORDER BY {order}", values).fetchall()


def _there(connection: sqlite3.Connection, what: str, *values: str) -> bool:
    return connection.execute(f"SELECT 1 FROM {what} LIMIT 1", values).fetchone() is not None  # noqa: S608 - constants of this file


def _add_token(connection: sqlite3.Connection, token: Token) -> None:
    _demand_org(connection, token.org)
    if token.app and not _there(connection, "apps WHERE org = ? AND name = ?", token.org, token.app):
        raise _missing_app(token.org, token.app)
    try:
        connection.execute(
            "INSERT INTO tokens (id, prefix, digest, org, app, user, groups, labels, providers, models, created, expires, revoked,"
            " replaced_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                token.id, token.prefix, token.digest, token.org, token.app, token.user, _text(token.groups), _text(token.labels),
                _text(token.providers), _text(token.models), token.created, token.expires, token.revoked, token.replaced_by,
            ),
        )  # fmt: skip
    except sqlite3.IntegrityError as error:
        raise _taken(f"the token `{token.id}`") from error


def _token(row: tuple[Any, ...]) -> Token:
    token_id, prefix, digest, org, app, user, groups, labels, providers, models, created, expires, revoked, replaced_by = row
    return Token(
        id=token_id, prefix=prefix, digest=digest, org=org, app=app, user=user, groups=_TEXTS.decode(groups),
        labels=_LABELS.decode(labels), providers=_TEXTS.decode(providers), models=_TEXTS.decode(models), created=created,
        expires=expires, revoked=revoked, replaced_by=replaced_by,
    )  # fmt: skip


def _text(value: object) -> str:
    return _JSON.encode(value).decode()


def _demand_org(connection: sqlite3.Connection, name: str) -> None:
    if not _there(connection, "orgs WHERE name = ?", name):
        raise _missing(f"org `{name}`", "llmcp org list")


def _missing(what: str, list_verb: str) -> NotFoundError:
    return NotFoundError(f"there is no {what}", fix=f"`{list_verb}` names them", code=f"no-such-{what.split(' ', 1)[0]}")


def _missing_app(org: str, name: str) -> NotFoundError:
    return NotFoundError(
        f"the org `{org}` has no app `{name}`", fix=f"`llmcp app list --org {org}` names them", code="no-such-app"
    )


def _taken(what: str) -> ConflictError:
    return ConflictError(f"{what} is there already", fix="choose another name", code="name-taken")


def _in_use(what: str, why: str, fix: str) -> ConflictError:
    return ConflictError(f"{what} is not removed", why=f"it {why}", fix=fix, code="in-use")


def _default_stays() -> ConflictError:
    return ConflictError(
        "the org `default` can be neither removed nor disabled",
        why="it owns what names no other",
        fix="set `auth.require_virtual_key` to refuse requests without a token",
        code="default-org",
    )
