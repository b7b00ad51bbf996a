"""Finds objects deep inside a request that two readers would read differently: one key twice, or in two letter cases.

Rules:
1. Only keys that rules are asked about count; a tool's own arguments may have what keys they like.
2. A request without such an object costs one reading and one writing in C; the exact look is taken only where they differ.
3. What is no JSON is nobody's double: the dialect says what is wrong with it.
"""

from __future__ import annotations

import json
import re

import msgspec

_NAMES = frozenset(("content", "text", "name", "function", "parts", "output"))
# An escaped letter may be part of a key, an escaped quote would be counted twice.
_ESCAPED = re.compile(rb"\\u00(?:22|[4-7])")
_UNREADABLE = (ValueError, RecursionError)

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class _FoundError(Exception):
    """Carries the name that stands twice."""


def double_inside(body: bytes) -> str:
    """Name a governed key that some object of `body` has twice, in whatever letter case; '' where there is none."""
    if _plainly_single(body):
        return ""
    try:
        json.loads(body.decode("utf-8"), object_pairs_hook=_check)
    except _FoundError as found:
        return str(found)
    except _UNREADABLE:
        pass
    return ""


def _plainly_single(body: bytes) -> bool:
    """Tell whether no key of any object is lost when all are in lower case: decoding keeps one of each, and with it two quotes."""
    if b"\\u00" in body and _ESCAPED.search(body):
        return False
    try:
        anew = _encode(_decode(body.lower()))
    except (*_UNREADABLE, msgspec.MsgspecError):
        return False
    return anew.count(b'"') == body.count(b'"')


def _check(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        folded = key.lower()
        if folded in _NAMES:
            if folded in seen:
                raise _FoundError(folded)
            seen.add(folded)
