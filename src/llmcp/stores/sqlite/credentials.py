"""The entries of provider credentials in the SQLite store: where a secret comes from and for whom it is, never the secret.

Rules:
1. A write is one transaction with its control record and the change number (`change`).
2. An entry for an org is only taken where that org is there.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

import msgspec

from llmcp.core.credentials import CredentialEntry
from llmcp.errors import NotFoundError
from llmcp.stores.sqlite.change import change
from llmcp.stores.sqlite.file import connect, prepare, translated

if TYPE_CHECKING:
    from pathlib import Path

    from llmcp.core.control_records import ControlRecord

_COLUMNS: Final = "id, provider, org, label, source, weight, resources, hint, created, rotated"
_TEXTS: Final = msgspec.json.Decoder(tuple[str, ...])


class SqliteCredentials:
    """A `CredentialStore` in one file. Opening creates or migrates it; errors are those of `file.prepare`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        prepare(path)

    def entries(self) -> tuple[CredentialEntry, ...]:
        """Return all entries, by provider, org and id."""
        with translated(self.path), closing(connect(self.path, read_only=True)) as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM credentials ORDER BY provider, org, id").fetchall()  # noqa: S608 - constants
        return tuple(
            CredentialEntry(
                id=entry_id, provider=provider, org=org, label=label, source=source, weight=weight,
                resources=_TEXTS.decode(resources), hint=hint, created=created, rotated=rotated,
            )
            for entry_id, provider, org, label, source, weight, resources, hint, created, rotated in rows
        )  # fmt: skip

    def put(self, entry: CredentialEntry, record: ControlRecord) -> None:
        """Create or replace an entry. Raises: NotFoundError where its org is not there."""
        with change(self.path, record) as connection:
            if entry.org and connection.execute("SELECT 1 FROM orgs WHERE name = ?", (entry.org,)).fetchone() is None:
                raise NotFoundError(
                    f"there is no org `{entry.org}`",
                    fix=f"`llmcp org create {entry.org}`, or leave out `--org`",
                    code="no-such-org",
                )
            connection.execute(
                f"INSERT OR REPLACE INTO credentials ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants
                (
                    entry.id, entry.provider, entry.org, entry.label, entry.source, entry.weight,
                    msgspec.json.encode(entry.resources).decode(), entry.hint, entry.created, entry.rotated,
                ),
            )  # fmt: skip

    def remove(self, entry_id: str, record: ControlRecord) -> None:
        """Remove an entry. Raises: NotFoundError."""
        with change(self.path, record) as connection:
            if not connection.execute("DELETE FROM credentials WHERE id = ?", (entry_id,)).rowcount:
                raise NotFoundError(
                    f"there is no credential `{entry_id}`", fix="`llmcp key list` names them", code="no-such-credential"
                )
