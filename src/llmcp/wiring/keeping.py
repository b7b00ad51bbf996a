"""The store of a home as something to look after.

Rules:
1. What replaces or rewrites the store holds the home's lock meanwhile: no daemon runs, none starts.
2. A store is not upgraded under a daemon of an older version: whoever would, is told to stop that daemon.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from llmcp.config import lock
from llmcp.control import store as control
from llmcp.errors import ConflictError
from llmcp.stores import keeper as keeper_at
from llmcp.wiring import home, load_settings
from llmcp.wiring.changes import change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llmcp.config.home import Home
    from llmcp.control.store import Plan
    from llmcp.core.settings import Settings
    from llmcp.core.store_facts import Migrated, Restored, StoreFacts
    from llmcp.ports.stores import StoreKeeper


def keeper_of(of: Home, settings: Settings | None = None) -> StoreKeeper:
    """Return what looks after the store of a home. Touches nothing."""
    return keeper_at((settings or load_settings(of)).store, of.data)


def refuse_upgrade_in_use(of: Home, settings: Settings) -> None:
    """Refuse to open a store that would be upgraded under a running daemon. Raises: ConflictError, and what `version` says.

    Only an older daemon leaves an older store as it is, and it could write no more records afterwards.
    """
    keeper = keeper_of(of, settings)
    pid = lock.holder(of)
    if pid is None:
        return
    version = keeper.version()
    if version and version < keeper.newest:
        raise ConflictError(
            f"a daemon of an older llmcp uses the store (pid {pid})",
            why=f"its schema is {version}; opening it would bring it to {keeper.newest}, and that daemon could record no more",
            fix="stop it with `llmcp stop`, then try again",
            code="home-locked",
        )


def plan_migration(to: int | None) -> Plan:
    """Say what leading the home's store to `to` means."""
    return control.plan(keeper_of(home()), to)


def migrate(planned: Plan, *, agreed: bool, keep: bool) -> Migrated:
    """Do it, while no daemon runs. Raises: ConflictError where one does."""
    the_home = home()
    keeper = keeper_of(the_home)
    with _alone(the_home):
        return control.migrate(keeper, planned, agreed=agreed, keep=keep, change=change())


def backup(target: Path | None, *, replace: bool, progress: Callable[[int, int], None] | None) -> StoreFacts:
    """Write a backup; a daemon may run."""
    return control.backup(keeper_of(home()), target, replace=replace, progress=progress)


def restore(source: Path) -> Restored:
    """Put a backup in the store's place, while no daemon runs. Raises: ConflictError where one does."""
    the_home = home()
    keeper = keeper_of(the_home)
    with _alone(the_home):
        return control.restore(keeper, source, change())


@contextmanager
def _alone(of: Home) -> Iterator[None]:
    of.create()
    held = lock.HomeLock(of)
    held.acquire()
    try:
        yield
    finally:
        held.release()
