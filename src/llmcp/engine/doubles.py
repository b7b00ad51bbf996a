"""Finds objects deep inside a request that two readers would read differently: one key twice, or in two letter cases.

Rules:
1. Only keys that rules are asked about count; a tool's own arguments may have what keys they like.
2. A plain conversation costs a few counts; any other request one reading and one writing in C. The exact look is taken only
   where these leave a doubt.
3. What is no JSON is nobody's double: the dialect says what is wrong with it.
"""

from __future__ import annotations

import json
import re

import msgspec

_NAMES = frozenset(("content", "text", "name", "function", "parts", "output"))
# One pass; its literal first byte is searched for in C.
_GOVERNED = re.compile(b'"(?:%b)"' % "|".join(sorted(_NAMES)).encode())
_CONTENT = b'"content"'
# An escaped letter may be part of a key, an escaped quote would be counted twice.
_ESCAPED = re.compile(rb"\\u00(?:22|[4-7])")
_UNREADABLE = (ValueError, RecursionError)

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class _FoundError(Exception):
    """Carries the name that stands twice."""


def double_inside(body: bytes, contents: int = 0) -> str:
    """Name a governed key that some object of `body` has twice, in whatever letter case; '' where there is none.

    `contents` is the number of objects in which a dialect read a `content` (`RequestFacts.contents`).
    """
    if _plainly_single(body, contents):
        return ""
    try:
        json.loads(body.decode("utf-8"), object_pairs_hook=_check)
    except _FoundError as found:
        return str(found)
    except _UNREADABLE:
        pass
    return ""


def _plainly_single(body: bytes, contents: int) -> bool:
    """Tell whether no key of any object is lost when all are in lower case."""
    if b"\\u00" in body and _ESCAPED.search(body):
        return False
    lowered = body.lower()
    # Each object with a `content` accounts for one such key: are there no more than that, none has two.
    governed = _GOVERNED.findall(lowered)
    if len(governed) <= contents and governed.count(_CONTENT) == len(governed):
        return True
    try:
        anew = _encode(_decode(lowered))
    except (*_UNREADABLE, msgspec.MsgspecError):
        return False
    # Decoding keeps one key of each name; every key that it loses takes two quotes with it.
    return anew.count(b'"') == body.count(b'"')


def _check(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        folded = key.lower()
        if folded in _NAMES:
            if folded in seen:
                raise _FoundError(folded)
            seen.add(folded)
