"""The admin listener's read paths put together: the stores, the threads that ask them, and whose key a bearer's is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.admin.app import Reads
from llmcp.admin.later import LaterAnswers
from llmcp.admin.reading import Reading
from llmcp.core.virtual_keys import PREFIX
from llmcp.engine.access import Caller
from llmcp.engine.credentials import Claim
from llmcp.errors import UnreachableError
from llmcp.stores import open_identities, open_usage_log

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from datetime import datetime

    from llmcp.config.home import Home
    from llmcp.core.settings import Settings
    from llmcp.engine.access import Access
    from llmcp.ports.stores import AuditLog
    from llmcp.runtime.changes import Changes


def open_reads(
    home: Home, settings: Settings, records: AuditLog, scope_of: Callable[[bytes], str | None], now: Callable[[], datetime]
) -> Reads:
    """Open what read paths need."""
    identities, usage = open_identities(settings.store, home.data), open_usage_log(settings.store, home.data)
    return Reads(Reading(identities, records, usage, now), LaterAnswers(), scope_of)


def scopes(changes: Changes[Access], now: Callable[[], datetime]) -> Callable[[bytes], str | None]:
    """Return what tells the org of a bearer by the snapshot of this moment. It raises UnreachableError while there is none."""
    ours = PREFIX.encode()

    def scope_of(key: bytes) -> str | None:
        access = changes.value
        if access is None:
            raise UnreachableError("who asks cannot be told", why=changes.closed, fix="see `llmcp status`", code="access-unknown")
        found = access.identify((Claim(key, virtual=key.startswith(ours)),), now())
        return found.subject.org if isinstance(found, Caller) else None

    return scope_of


class ReadsPart:
    """The threads of the read paths; they end after the listener that asks them."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def start(self) -> None:
        """Nothing is begun before somebody asks."""

    async def stop(self, cut: asyncio.Event) -> None:
        """Let go of the threads."""
        del cut
        self._reads.later.close()
