"""Looking after the store: back it up, put a backup back, lead it to another schema.

Rules:
1. Going down loses what the older schema cannot hold: it is said first, and done only with a yes.
2. What is done leaves a control record wherever the store can hold one (schema 1 cannot).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmcp.core.store_facts import Migrated
from llmcp.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmcp.control.change import Change
    from llmcp.core.store_facts import Restored, StoreFacts
    from llmcp.ports.stores import StoreKeeper

_WITH_CONTROL: Final = 2
"""The first schema that holds control records."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a migration would do."""

    before: int
    after: int
    lost: tuple[str, ...]


def plan(keeper: StoreKeeper, to: int | None) -> Plan:
    """Say what leading the store to `to` (None: the newest) means. Raises: NotFoundError, UsageError."""
    after = keeper.newest if to is None else to
    if not 1 <= after <= keeper.newest:
        raise UsageError(
            f"there is no schema {after}", why=f"this program knows 1 to {keeper.newest}", fix=f"say `--to {keeper.newest}`"
        )
    before = keeper.version()
    if not before:
        raise NotFoundError(f"there is no store {keeper.path}", fix="the daemon makes it at its first start")
    return Plan(before, after, keeper.losses(after))


def migrate(keeper: StoreKeeper, planned: Plan, *, agreed: bool, keep: bool, change: Change) -> Migrated:
    """Do what was planned. Raises: UsageError where something would be lost and nobody `agreed`."""
    if planned.before == planned.after:
        return Migrated(planned.before, planned.after)
    if planned.lost and not agreed:
        raise UsageError(
            f"schema {planned.after} cannot hold all that is in the store",
            why=f"lost would be: {'; '.join(planned.lost)}",
            fix="say `--yes`; a backup is made first",
            code="would-lose",
        )
    done = keeper.migrate(planned.after, keep=keep)
    if done.after >= _WITH_CONTROL and done.before != done.after:
        keeper.note(change.record("store.migrate", keeper.path.name, before=str(done.before), after=str(done.after)))
    return done


def backup(
    keeper: StoreKeeper, target: Path | None, *, replace: bool, progress: Callable[[int, int], None] | None = None
) -> StoreFacts:
    """Write a backup to `target`: a file, a directory to put it in, or None for a name beside the store."""
    if not keeper.version():
        raise NotFoundError(f"there is no store {keeper.path}", fix="the daemon makes it at its first start")
    name = keeper.backup_name()
    if target is not None:
        name = target / name.name if target.is_dir() else target
    return keeper.backup(name, replace=replace, progress=progress)


def restore(keeper: StoreKeeper, source: Path, change: Change) -> Restored:
    """Put the backup `source` in the store's place. The caller holds the home."""
    return keeper.restore(source, change.record("store.restore", keeper.path.name, file=source.name))
