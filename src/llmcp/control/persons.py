"""Erasing a person from the records: the use case behind `audit erase`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.errors import UsageError

if TYPE_CHECKING:
    from llmcp.control.change import Change
    from llmcp.core.erasure import Erased
    from llmcp.ports.stores import AuditLog


def erase(log: AuditLog, change: Change, *, person: str, org: str) -> Erased:
    """Forget `person` in `org` ("": in all). What stays is a control record of the references. Raises: NotFoundError, UsageError."""
    if not person:
        raise UsageError("nobody to erase", why="the name is empty", fix="give a user, as `llmcp audit query` shows it")
    return log.erase_person(org or None, person, change.record("person.erase", "", org=org))
