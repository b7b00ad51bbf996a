"""Persons by reference: a record names `person:…`, and a side table says who that is until somebody erases it.

Rules:
1. A reference is HMAC-SHA256 of the value under a random salt of its own, kept beside the value. Without the row the value can
   neither be read nor guessed and tried; two orgs never share a reference.
2. References stand where a person can stand: a decision's `user` and `facts.client_ip` (loopback is nobody), a control record's
   `user` and the name in its `actor`. They are resolved there and nowhere else, whatever a client writes elsewhere.
3. What is erased comes back under a new reference when it is met again; the old one stays unknown for ever.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmcp.stores.sqlite_many import find_rows, write_rows

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
_MARK: Final = f'"{PREFIX}'.encode()
_ACTOR_MARK: Final = f":{PREFIX}".encode()
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


def references(connection: sqlite3.Connection, org: str | None, value: str) -> list[str]:
    """Return the references by which `value` is known, whatever the kind, in one org or in all."""
    where = "value = ?1 AND (?2 IS NULL OR org = ?2)"
    return [ref for (ref,) in connection.execute(f"SELECT ref FROM persons WHERE {where} ORDER BY ref", (value, org))]  # noqa: S608


def erase(connection: sqlite3.Connection, org: str | None, value: str) -> list[str]:
    """Forget `value`, in one org or in all; return the references that nobody can resolve from now on.

    In a `change`: its new change number is what tells other writers to forget too. The bytes are overwritten in the pages; the
    caller folds and truncates the write-ahead log afterwards.
    """
    connection.execute("PRAGMA secure_delete = ON")
    gone = references(connection, org, value)
    connection.executemany("DELETE FROM persons WHERE ref = ?", [(ref,) for ref in gone])
    return gone


def revealed(connection: sqlite3.Connection, rows: Iterable[bytes]) -> Iterator[bytes]:
    """Yield decision records with the persons who are still known. Same order of keys; no longer the leaf's bytes."""
    return _revealed(connection, rows, lambda data: _MARK in data, _show_decision)


def revealed_control(connection: sqlite3.Connection, rows: Iterable[bytes]) -> Iterator[bytes]:
    """Yield control records with the persons who are still known; as `revealed`."""
    return _revealed(connection, rows, lambda data: _MARK in data or _ACTOR_MARK in data, _show_control)


def _revealed(
    connection: sqlite3.Connection,
    rows: Iterable[bytes],
    may_name: Callable[[bytes], bool],
    show: Callable[[dict[str, Any], Callable[[str], str]], None],
) -> Iterator[bytes]:
    for batch in batched(rows, _READ_AT_ONCE):
        documents = [msgspec.json.decode(data) if may_name(data) else data for data in batch]
        refs: set[str] = set()
        for document in documents:
            if not isinstance(document, bytes):
                show(document, _noting(refs))
        known = reveal(connection, refs)
        for document in documents:
            if isinstance(document, bytes):
                yield document
            else:
                show(document, lambda ref: known.get(ref, ref))  # noqa: B023 - called here and now
                yield msgspec.json.encode(document)


def _noting(refs: set[str]) -> Callable[[str], str]:
    def note(ref: str) -> str:
        refs.add(ref)
        return ref

    return note


def _show_decision(document: dict[str, Any], name: Callable[[str], str]) -> None:
    document["user"] = name(document["user"])
    document["facts"]["client_ip"] = name(document["facts"]["client_ip"])


def _show_control(document: dict[str, Any], name: Callable[[str], str]) -> None:
    document["user"] = name(document["user"])
    who, colon, ref = document["actor"].partition(":")
    document["actor"] = who + colon + name(ref)


def _mend(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
