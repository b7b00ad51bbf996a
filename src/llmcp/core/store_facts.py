"""What is known of a store as a whole: how big it is, of which version, and what came of looking after it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """One store or one backup of it. `bytes` counts everything that belongs to it (SQLite: the write-ahead log too)."""

    path: str
    schema: int
    bytes: int
    records: int
    control_records: int


@dataclass(frozen=True, slots=True)
class Migrated:
    """A store was led from one schema to another. `backup` is '' where none was made; `lost` says what the old schema cannot hold."""

    before: int
    after: int
    backup: str = ""
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Restored:
    """A backup stands in the store's place. `set_aside` is where the store before lies, '' where there was none.

    `from_schema` is the backup's; where it is older the restored copy was upgraded. `before` is what was set aside, where it
    could be read.
    """

    facts: StoreFacts
    set_aside: str
    from_schema: int
    before: StoreFacts | None = None
