"""The SQLite store as something to look after: the `StoreKeeper` port over the functions beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.stores.sqlite import schema as sqlite_schema
from llmcp.stores.sqlite.backup import backup, fresh_name, stamp
from llmcp.stores.sqlite.change import change
from llmcp.stores.sqlite.check import look
from llmcp.stores.sqlite.file import prepare
from llmcp.stores.sqlite.migrate import losses, migrate_to, version_of
from llmcp.stores.sqlite.restore import restore

if TYPE_CHECKING:
    from pathlib import Path

    from llmcp.core.control_records import ControlRecord
    from llmcp.core.store_facts import Migrated, Restored, StoreFacts
    from llmcp.stores.sqlite.backup import Progress


class SqliteKeeper:
    """See `ports.stores.StoreKeeper`. Making one touches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def newest(self) -> int:
        """The schema that this program writes."""
        return sqlite_schema.SCHEMA_VERSION

    def version(self) -> int:
        """Return the store's schema, 0 where there is none yet."""
        return version_of(self.path)

    def open(self) -> None:
        """Create the store, or upgrade it."""
        prepare(self.path)

    def losses(self, to: int) -> tuple[str, ...]:
        """Return what going down to `to` would lose."""
        return losses(self.version(), to)

    def migrate(self, to: int, *, keep: bool) -> Migrated:
        """Lead the store to schema `to`."""
        return migrate_to(self.path, to, keep=keep)

    def backup_name(self) -> Path:
        """Return a name for a backup beside the store that no file has."""
        return fresh_name(self.path, stamp())

    def backup(self, target: Path, *, replace: bool = False, progress: Progress | None = None) -> StoreFacts:
        """Write a verified copy."""
        return backup(self.path, target, replace=replace, progress=progress)

    def restore(self, source: Path, record: ControlRecord) -> Restored:
        """Put a backup in the store's place."""
        return restore(self.path, source, record)

    def note(self, record: ControlRecord) -> None:
        """Add a control record."""
        prepare(self.path)
        with change(self.path, record):
            pass

    def check(self, *, quick: bool) -> tuple[StoreFacts, list[str]]:
        """Look at the store without changing it."""
        return look(self.path, quick=quick)
