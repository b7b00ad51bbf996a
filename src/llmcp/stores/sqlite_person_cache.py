"""The writer's memory of persons, so that a record costs a look into a dictionary.

Rules:
1. It is bounded: past its bound it forgets everything.
2. It holds only what is committed or part of the transaction under way; when that fails, its owner makes it `forget`.
3. A record is never changed: who is concealed stands in a copy.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final

import msgspec

from llmcp.stores.sqlite_persons import ADDRESS, USER, Person, conceal_all

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from llmcp.core.records import DecisionRecord

_MOST: Final = 20_000
_LOOPBACK: Final = ("127.", "::ffff:127.")


class PersonCache:
    """References of persons that were met before."""

    def __init__(self) -> None:
        self._refs: dict[Person, str] = {}

    def forget(self) -> None:
        """Know nothing any more."""
        self._refs.clear()

    def learn(self, connection: sqlite3.Connection, records: Iterable[DecisionRecord]) -> None:
        """Make sure that everybody in `records` has a reference. In the caller's transaction."""
        refs = self._refs
        if len(refs) > _MOST:
            refs.clear()
        missing: set[Person] = set()
        for record in records:
            if (user := record.user) and (person := (record.org, USER, user)) not in refs:
                missing.add(person)
            if (address := _address(record)) and (person := (record.org, ADDRESS, address)) not in refs:
                missing.add(person)
        if missing:
            refs.update(conceal_all(connection, missing))

    def concealed(self, record: DecisionRecord) -> DecisionRecord:
        """Return `record`, or where it names a person a copy that does not. It was learnt before."""
        user, address = record.user, _address(record)
        if not user and not address:
            return record
        shown = copy(record)
        if user:
            shown.user = self._refs[record.org, USER, user]
        if address:
            shown.facts = facts = copy(record.facts)
            msgspec.structs.force_setattr(facts, "client_ip", self._refs[record.org, ADDRESS, address])
        return shown


def _address(record: DecisionRecord) -> str:
    """Return whence the request came; "" for this very machine."""
    address = record.facts.client_ip
    return "" if address.startswith(_LOOPBACK) or address == "::1" else address
