"""Edit JSON text without rewriting it: find where values stand, splice some of them, keep every other byte.

Rules:
1. Outside the edited spans the bytes are equal; members keep their order, spacing and spelling.
2. The text must have been accepted by a JSON decoder before; on other text these functions raise ValueError or return
   spans of no meaning, but they never loop.
3. A key that stands twice is edited at each place: readers disagree about which one counts.

Source: RFC 8259. Why not parse and render: providers' prompt caches compare bytes.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_KEY = re.compile(rb"[\s,]*(" + _STRING + rb")\s*:\s*", re.DOTALL)
_TOKEN = re.compile(rb'[^"{}\[\]]*(' + _STRING + rb"|[{}\[\]])", re.DOTALL)
_SCALAR = re.compile(_STRING + rb"|[^\s,\]}\[{\"]+", re.DOTALL)
_GAP = re.compile(rb"[\s,]*")
_SPACE = re.compile(rb"\s*")
_AFTER_NUMBER = frozenset((b",", b"}", b" ", b"\t", b"\r", b"\n"))
_SHORTEST_MEMBER = len(b',"n":1')
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Member(NamedTuple):
    """One `"key": value` of an object: where the key begins, where the value begins and ends."""

    key: str
    start: int
    value: int
    end: int


class Span(NamedTuple):
    """Half-open range of a value."""

    start: int
    end: int


class Edit(NamedTuple):
    """Replace the bytes from `start` to `end`; equal: insert."""

    start: int
    end: int
    data: bytes


def members(text: bytes, at: int = 0) -> list[Member]:
    """Return the members of the object that begins at or after `at`. Raises ValueError where there is none."""
    position = _enter(text, at, b"{")
    known = {} if at else _decoded(text)
    found: list[Member] = []
    while (match := _KEY.match(text, position)) is not None:
        key = _decode_key(match[1])
        position = _end_of_known(text, match.end(), known.get(key)) or _value_end(text, match.end())
        found.append(Member(key, match.start(1), match.end(), position))
    if text[_gap(text, position) : _gap(text, position) + 1] != b"}":
        raise ValueError(f"no object at {at}")
    return found


def elements(text: bytes, at: int) -> list[Span]:
    """Return the elements of the array that begins at or after `at`. Raises ValueError where there is none."""
    position = _gap(text, _enter(text, at, b"["))
    found: list[Span] = []
    while position < len(text) and text[position] != 0x5D:  # noqa: PLR2004 - a closing bracket
        end = _value_end(text, position)
        found.append(Span(position, end))
        position = _gap(text, end)
    if position >= len(text):
        raise ValueError(f"no array at {at}")
    return found


def find(text: bytes, path: Sequence[str | int], at: int = 0) -> Span | None:
    """Return where the value at `path` stands (object keys and array indexes), or None. The last of equal keys counts."""
    span = Span(_SPACE.match(text, at).end(), len(text))  # type: ignore[union-attr] # matches the empty string
    for step in path:
        try:
            if isinstance(step, int):
                span = elements(text, span.start)[step]
            else:
                member = next(m for m in reversed(members(text, span.start)) if m.key == step)
                span = Span(member.value, member.end)
        except (ValueError, IndexError, StopIteration):
            return None
    return Span(span.start, _value_end(text, span.start)) if path else span


def apply(text: bytes, edits: Iterable[Edit]) -> bytes:
    """Return `text` with all `edits`, which must not overlap; inserts at one place keep their order."""
    pieces: list[bytes] = []
    position = 0
    for edit in sorted(edits, key=lambda e: (e.start, e.end)):
        if edit.start < position:
            raise ValueError(f"edits overlap at {edit.start}")
        pieces += (text[position : edit.start], edit.data)
        position = edit.end
    pieces.append(text[position:])
    return b"".join(pieces)


def set_members(text: bytes, values: dict[str, Any], at: int = 0) -> list[Edit]:
    """Give members of the object at `at` new values, adding at its end those it does not have."""
    present = members(text, at)
    edits = [Edit(m.value, m.end, msgspec.json.encode(values[m.key])) for m in present if m.key in values]
    known = {m.key for m in present}
    added = [msgspec.json.encode(k) + b":" + msgspec.json.encode(v) for k, v in values.items() if k not in known]
    if added:
        end = present[-1].end if present else _enter(text, at, b"{")
        edits.append(Edit(end, end, (b"," if present else b"") + b",".join(added)))
    return edits


def remove_members(text: bytes, keys: frozenset[str] | set[str], at: int = 0) -> list[Edit]:
    """Take members out of the object at `at`."""
    present = members(text, at)
    return _removals([Span(m.start, m.end) for m in present], lambda i: present[i].key in keys)


def remove_elements(text: bytes, at: int, indexes: frozenset[int] | set[int]) -> list[Edit]:
    """Take elements out of the array at `at`."""
    return _removals(elements(text, at), lambda i: i in indexes)


def doubtful_keys(text: bytes, names: frozenset[str]) -> tuple[str, ...]:
    """Return the `names` (lower case) that two readers of this object could read differently.

    That is a key which stands twice, also where one is spelled with escapes, or which stands in another letter case (Go's
    decoder, and so several model servers, ignore case). Cheap where the text is compact JSON. Raises ValueError where the text
    is no JSON object.
    """
    values = _decoded(text)
    if values and _has_each_key_once(text, values):
        others = values.keys() - names
        if not others or not any(k.casefold() in names for k in others):
            return ()
    keys = [m.key for m in members(text)]
    folded = [k.casefold() for k in keys]
    return tuple(sorted(n for n in names if (c := folded.count(n)) > 1 or (c == 1 and n not in keys)))


def _has_each_key_once(text: bytes, values: dict[str, msgspec.Raw]) -> bool:
    """Tell whether the decoded members account for the whole text, so that no second one of a name was lost.

    False means only that nobody knows: unusual spacing looks like a lost member.
    """
    known = sum(map(len, values)) + sum(map(len, values.values())) + 4 * len(values) + 1
    rest = len(text) - known
    if rest == 2 * len(values) - 1:
        rebuilt = b", ".join([b'"%b": %b' % (k.encode(), v) for k, v in values.items()])
        return text[1:-1] == rebuilt
    return rest < _SHORTEST_MEMBER


def _removals(spans: list[Span], gone: Callable[[int], bool]) -> list[Edit]:
    """Remove spans of a comma-separated list, each with one comma beside it."""
    edits: list[Edit] = []
    index = 0
    while index < len(spans):
        if not gone(index):
            index += 1
            continue
        first = index
        while index < len(spans) and gone(index):
            index += 1
        if first:
            edits.append(Edit(spans[first - 1].end, spans[index - 1].end, b""))
        elif index < len(spans):
            edits.append(Edit(spans[0].start, spans[index].start, b""))
        else:
            edits.append(Edit(spans[0].start, spans[-1].end, b""))
    return edits


def _decoded(text: bytes) -> dict[str, msgspec.Raw]:
    """Decode an object's members without looking into them; empty where msgspec refuses the text (it is stricter than others)."""
    try:
        return _decode_members(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _end_of_known(text: bytes, at: int, value: msgspec.Raw | None) -> int:
    """Return where the value at `at` ends if it is `value`, else 0. Comparing is many times faster than scanning."""
    if value is None or not text.startswith(raw := bytes(value), at):
        return 0
    end = at + len(raw)
    # A number may be the beginning of another one; everything else ends where it ends.
    return end if raw[-1:] in b'"}]' or text[end : end + 1] in _AFTER_NUMBER else 0


def _enter(text: bytes, at: int, bracket: bytes) -> int:
    start = _SPACE.match(text, at).end()  # type: ignore[union-attr] # matches the empty string
    if text[start : start + 1] != bracket:
        raise ValueError(f"no `{bracket.decode()}` at {at}")
    return start + 1


def _gap(text: bytes, at: int) -> int:
    return _GAP.match(text, at).end()  # type: ignore[union-attr] # matches the empty string


def _value_end(text: bytes, at: int) -> int:
    """Return where the value that begins at `at` ends."""
    if text[at : at + 1] not in {b"{", b"["}:
        scalar = _SCALAR.match(text, at)
        if scalar is None:
            raise ValueError(f"no value at {at}")
        return scalar.end()
    depth = 0
    position = at
    while (match := _TOKEN.match(text, position)) is not None:
        position = match.end()
        token = text[match.start(1)]
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
            if depth == 0:
                return position
    raise ValueError(f"unclosed value at {at}")


def _decode_key(raw: bytes) -> str:
    if b"\\" in raw:
        return str(json.loads(raw))
    return raw[1:-1].decode("utf-8", "surrogateescape")
