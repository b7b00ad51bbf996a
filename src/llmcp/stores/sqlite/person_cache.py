"""The writer's memory of persons, so that a record costs a look into a dictionary.

Rules:
1. It is bounded: past its bound it forgets everything.
2. It holds only what is committed or part of the transaction under way; when that fails, its owner makes it `forget`.
3. A record is never changed: who is concealed stands in a copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from llmcp.stores.sqlite.persons import ADDRESS, USER, Person, conceal_all, looks_like_reference

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from llmcp.core.records import DecisionRecord

_MOST: Final = 20_000
_LOOPBACK: Final = ("127.", "::ffff:127.")


class PersonCache:
    """References of persons that were met before. `again`: the records may have gone through this already, so references stay."""

    def __init__(self, *, again: bool = False) -> None:
        self._refs: dict[Person, str] = {}
        self._again = again

    def forget(self) -> None:
        """Know nothing any more."""
        self._refs.clear()

    def concealed(self, connection: sqlite3.Connection, records: Sequence[DecisionRecord]) -> list[DecisionRecord]:
        """Return the records, those that name a person as copies that do not. In the caller's transaction."""
        refs = self._refs
        if len(refs) > _MOST:
            refs.clear()
        found: list[DecisionRecord] = []
        late: list[int] = []
        missing: set[Person] = set()
        for record in records:
            persons = self._persons(record)
            if not persons:
                found.append(record)
                continue
            unknown = [person for person in persons if person not in refs]
            if unknown:
                missing.update(unknown)
                late.append(len(found))
                found.append(record)
            else:
                found.append(_without(record, persons, refs))
        if missing:
            refs.update(conceal_all(connection, missing))
        for index in late:
            found[index] = _without(records[index], self._persons(records[index]), refs)
        return found

    def _persons(self, record: DecisionRecord) -> tuple[Person, ...]:
        persons = _persons(record)
        return tuple(person for person in persons if not looks_like_reference(person[2])) if self._again else persons


def _persons(record: DecisionRecord) -> tuple[Person, ...]:
    """Return whom a record names."""
    user, address = record.user, record.facts.client_ip
    if address.startswith(_LOOPBACK) or address == "::1":
        address = ""
    if not address:
        return ((record.org, USER, user),) if user else ()
    there = (record.org, ADDRESS, address)
    return ((record.org, USER, user), there) if user else (there,)


def _without(record: DecisionRecord, persons: tuple[Person, ...], refs: dict[Person, str]) -> DecisionRecord:
    # msgspec's structs copy themselves in a tenth of the time of `copy.copy`; its stubs do not say so.
    shown: DecisionRecord = record.__copy__()  # type: ignore[attr-defined]
    for person in persons:
        if person[1] is USER:
            shown.user = refs[person]
        else:
            shown.facts = facts = record.facts.__copy__()  # type: ignore[attr-defined]
            msgspec.structs.force_setattr(facts, "client_ip", refs[person])
    return shown
