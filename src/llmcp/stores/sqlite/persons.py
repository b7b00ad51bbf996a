"""Persons by reference: a record names `person:…`, and a side table says who that is until somebody erases it.

Rules:
1. A reference is HMAC-SHA256 of the value under a random salt of its own, kept beside the value. Without the row the value can
   neither be read nor guessed and tried; two orgs never share a reference.
2. References stand where a person can stand: a decision's `user` and `facts.client_ip` (loopback is nobody), a control record's
   `user` and the name in its `actor`. They are resolved there and nowhere else, whatever a client writes into a label.
   The place is found in the canonical bytes, whose keys are sorted and whose quotes inside texts are escaped: before `facts` and
   after `user` there are only objects with keys of ours, so the first `"facts":{"client_ip":"` and the last `"user":"` are the
   record's own. The same holds for a control record's first `"actor":"`. What is not in that form (somebody altered the row) is
   passed on as it is: `audit verify` names it.
3. Whoever writes the table overwrites what he no longer needs, also when a page is split: deleting could not reach stray copies.
4. What is erased comes back under a new reference when it is met again; the old one stays unknown for ever.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from itertools import batched
from typing import TYPE_CHECKING, Final

import msgspec

from llmcp.stores.sqlite.many import find_rows, write_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Iterator

    from llmcp.core.control_records import ControlRecord

type Person = tuple[str, str, str]
"""Org, kind and value."""

PREFIX: Final = "person:"
USER: Final = "user"
ADDRESS: Final = "address"
OPERATOR: Final = "operator"
"""The kinds. An operator belongs to no org."""

_SALT_BYTES: Final = 32
_REF_BYTES: Final = 16
_READ_AT_ONCE: Final = 256
_USER: Final = b'"user":"'
_ADDRESS: Final = b'"facts":{"client_ip":"'
_ACTOR: Final = b'"actor":"'
_REF: Final = re.compile(rb"(?:[a-z]+:)??(" + PREFIX.encode() + rb"[0-9a-f]{32})\"")
_FORM: Final = re.compile(PREFIX + "[0-9a-f]{32}")
_FIND: Final = "WITH wanted (org, kind, value) AS ("
_FIND_TAIL: Final = ") SELECT org, kind, value, ref FROM wanted JOIN persons USING (org, kind, value)"


def conceal(connection: sqlite3.Connection, org: str, kind: str, value: str) -> str:
    """Return the reference of a person, made if need be; "" is nobody. In the caller's transaction."""
    if not value:
        return ""
    return conceal_all(connection, {(org, kind, value)})[org, kind, value]


def conceal_all(connection: sqlite3.Connection, persons: Collection[Person]) -> dict[Person, str]:
    """Return the references of many, as `conceal` does. Values are not empty."""
    mended = {person: (_mend(person[0]), person[1], _mend(person[2])) for person in persons}
    asked = [text for person in set(mended.values()) for text in person]
    refs = {(org, kind, value): ref for org, kind, value, ref in find_rows(connection, _FIND, 3, asked, _FIND_TAIL)}
    rows: list[str | bytes] = []
    for person in mended.values():
        if person not in refs:
            salt = os.urandom(_SALT_BYTES)
            refs[person] = ref = PREFIX + hmac.digest(salt, person[2].encode(), hashlib.sha256)[:_REF_BYTES].hex()
            rows += (ref, *person, salt)
    if rows:
        _overwrite(connection)
        write_rows(connection, "INSERT INTO persons (ref, org, kind, value, salt)", 5, rows)
    return {person: refs[known] for person, known in mended.items()}


def conceal_control(connection: sqlite3.Connection, record: ControlRecord) -> None:
    """Put references in the place of the persons whom a control record names. In the caller's transaction."""
    record.user = conceal(connection, record.org, USER, record.user)
    who, colon, name = record.actor.partition(":")
    record.actor = who + colon + conceal(connection, "", OPERATOR, name)


def reveal(connection: sqlite3.Connection, refs: Collection[str]) -> dict[str, str]:
    """Return who the references are; those that were erased (or never were) are missing."""
    wanted = list(refs)
    return dict(find_rows(connection, "SELECT ref, value FROM persons WHERE ref IN (", 1, wanted, ")"))


def looks_like_reference(text: str) -> bool:
    """Tell whether a text has the form of a reference."""
    return _FORM.fullmatch(text) is not None


def is_reference(ref: bytes, value: bytes, salt: bytes) -> bool:
    """Tell whether `ref` is the reference of `value` under `salt`."""
    return ref == (PREFIX + hmac.digest(salt, value, hashlib.sha256)[:_REF_BYTES].hex()).encode()


def references(connection: sqlite3.Connection, org: str | None, value: str) -> list[str]:
    """Return the references by which `value` is known, whatever the kind, in one org or in all."""
    where = "value = ?1 AND (?2 IS NULL OR org = ?2)"
    return [ref for (ref,) in connection.execute(f"SELECT ref FROM persons WHERE {where} ORDER BY ref", (value, org))]  # noqa: S608


def erase(connection: sqlite3.Connection, org: str | None, value: str) -> list[str]:
    """Forget `value`, in one org or in all; return the references that nobody can resolve from now on.

    In a `change`: its new change number is what tells other writers to forget too. The bytes are overwritten in the pages; the
    caller folds and truncates the write-ahead log afterwards.
    """
    _overwrite(connection)
    gone = references(connection, org, value)
    connection.executemany("DELETE FROM persons WHERE ref = ?", [(ref,) for ref in gone])
    return gone


def revealed(connection: sqlite3.Connection, rows: Iterable[bytes]) -> Iterator[bytes]:
    """Yield decision records with the persons who are still known: JSON in the same order of keys, no longer the leaf's bytes."""
    return _revealed(connection, rows, lambda data: (data.find(_ADDRESS) + len(_ADDRESS), data.rfind(_USER) + len(_USER)))


def revealed_control(connection: sqlite3.Connection, rows: Iterable[bytes]) -> Iterator[bytes]:
    """Yield control records with the persons who are still known; as `revealed`."""
    return _revealed(connection, rows, lambda data: (data.find(_ACTOR) + len(_ACTOR), data.rfind(_USER) + len(_USER)))


def _revealed(
    connection: sqlite3.Connection, rows: Iterable[bytes], places: Callable[[bytes], tuple[int, ...]]
) -> Iterator[bytes]:
    for batch in batched(rows, _READ_AT_ONCE):
        found = [[match for place in places(data) if (match := _REF.match(data, place))] for data in batch]
        refs = {match[1].decode() for matches in found for match in matches}
        known = {ref.encode(): msgspec.json.encode(name)[1:-1] for ref, name in reveal(connection, refs).items()}
        for data, matches in zip(batch, found, strict=True):
            shown = data
            for match in reversed(matches):  # from the end, so that places before it stay where they are
                if (name := known.get(match[1])) is not None:
                    shown = shown[: match.start(1)] + name + shown[match.end(1) :]
            yield shown


def _overwrite(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA secure_delete = ON")


def _mend(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
