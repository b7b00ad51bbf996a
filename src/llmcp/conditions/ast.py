"""Reads a checked CEL expression back from its serialised form, to lint it.

The library has no way to walk an expression, but it serialises one as `cel.expr.CheckedExpr` (cel-spec, checked.proto and
syntax.proto). This is the little of protobuf's wire format that reading it takes.

Rules:
1. A node keeps its own bytes, so that any sub-expression can be put back into an expression of its own.
2. Positions are character offsets into the source.
3. The caller trusts the bytes: they come from the library, never from a user.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

type Field = tuple[int, int | bytes]

_ANY_VALUE, _CHECKED_EXPR, _CHECKED_SOURCE, _POSITIONS = 2, 4, 5, 4
_TYPE_URL = b"type.googleapis.com/cel.expr.CheckedExpr"


@dataclass(frozen=True, slots=True)
class Node:
    """One expression. `kind` is `const ident select call list struct comprehension`; `name` its identifier, field or function.

    `text` is the value of a string constant. `binds` are the variables that a comprehension introduces for its children but the
    first, which is what it ranges over.
    """

    kind: str
    offset: int
    raw: bytes
    name: str = ""
    text: str | None = None
    children: tuple[Node, ...] = ()
    has_target: bool = False
    test_only: bool = False
    binds: frozenset[str] = frozenset()

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole expression, and what is needed to put a part of it back together."""

    root: Node
    rest: bytes

    def alone(self, node: Node) -> bytes:
        """Return the serialised form of `node` as an expression of its own."""
        checked = self.rest + _length_delimited(_CHECKED_EXPR, node.raw)
        return _length_delimited(1, _TYPE_URL) + _length_delimited(_ANY_VALUE, checked)


def read_tree(serialized: bytes) -> Tree:
    """Read the serialised form of a checked expression."""
    checked = next(value for number, value in _fields(serialized) if number == _ANY_VALUE and isinstance(value, bytes))
    expr, rest, positions = b"", b"", dict[int, int]()
    for number, value in _fields(checked):
        if not isinstance(value, bytes):
            continue
        if number == _CHECKED_EXPR:
            expr = value
        else:
            rest += _length_delimited(number, value)
            if number == _CHECKED_SOURCE:
                positions = _positions(value)
    return Tree(_node(expr, positions), rest)


def _positions(source_info: bytes) -> dict[int, int]:
    found: dict[int, int] = {}
    for number, value in _fields(source_info):
        if number == _POSITIONS and isinstance(value, bytes):
            pair = dict(_fields(value))
            key, offset = pair.get(1, 0), pair.get(2, 0)
            if isinstance(key, int) and isinstance(offset, int):
                found[key] = offset
    return found


def _node(raw: bytes, positions: dict[int, int]) -> Node:
    ident, kind, body = 0, "const", b""
    for number, value in _fields(raw):
        if number == 2 and isinstance(value, int):  # noqa: PLR2004 - Expr.id
            ident = value
        elif isinstance(value, bytes) and number in _KINDS:
            kind, body = _KINDS[number], value
    return _READERS[kind](raw, body, positions.get(ident, 0), positions)


def _const(raw: bytes, body: bytes, offset: int, _positions: dict[int, int]) -> Node:
    text = next((value.decode() for number, value in _fields(body) if number == 6 and isinstance(value, bytes)), None)  # noqa: PLR2004 - string_value
    return Node("const", offset, raw, text=text)


def _ident(raw: bytes, body: bytes, offset: int, _positions: dict[int, int]) -> Node:
    return Node("ident", offset, raw, name=_text(body, 1))


def _select(raw: bytes, body: bytes, offset: int, positions: dict[int, int]) -> Node:
    test_only = any(number == 3 and value for number, value in _fields(body))  # noqa: PLR2004 - test_only
    return Node("select", offset, raw, _text(body, 2), children=_children(body, (1,), positions), test_only=test_only)


def _call(raw: bytes, body: bytes, offset: int, positions: dict[int, int]) -> Node:
    has_target = any(number == 1 for number, _ in _fields(body))
    return Node("call", offset, raw, _text(body, 2), children=_children(body, (1, 3), positions), has_target=has_target)


def _list(raw: bytes, body: bytes, offset: int, positions: dict[int, int]) -> Node:
    return Node("list", offset, raw, children=_children(body, (1,), positions))


def _struct(raw: bytes, body: bytes, offset: int, positions: dict[int, int]) -> Node:
    entries = [value for number, value in _fields(body) if number == 2 and isinstance(value, bytes)]  # noqa: PLR2004 - entries
    children = tuple(child for entry in entries for child in _children(entry, (3, 4), positions))
    return Node("struct", offset, raw, children=children)


def _comprehension(raw: bytes, body: bytes, offset: int, positions: dict[int, int]) -> Node:
    binds = frozenset(_text(body, number) for number in (1, 3, 8)) - {""}
    return Node("comprehension", offset, raw, children=_children(body, (2, 4, 5, 6, 7), positions), binds=binds)


_KINDS = {3: "const", 4: "ident", 5: "select", 6: "call", 7: "list", 8: "struct", 9: "comprehension"}
_READERS = {
    "const": _const,
    "ident": _ident,
    "select": _select,
    "call": _call,
    "list": _list,
    "struct": _struct,
    "comprehension": _comprehension,
}


def _text(body: bytes, wanted: int) -> str:
    return next((value.decode() for number, value in _fields(body) if number == wanted and isinstance(value, bytes)), "")


def _children(body: bytes, wanted: tuple[int, ...], positions: dict[int, int]) -> tuple[Node, ...]:
    return tuple(_node(value, positions) for number, value in _fields(body) if number in wanted and isinstance(value, bytes))


def _fields(data: bytes) -> Iterator[Field]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire == 2:  # noqa: PLR2004 - length-delimited
            size, at = _varint(data, at)
            yield number, data[at : at + size]
            at += size
        else:
            size = 8 if wire == 1 else 4
            yield number, data[at : at + size]
            at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a varint
            return value, at
        shift += 7


def _length_delimited(number: int, value: bytes) -> bytes:
    return _encode_varint(number << 3 | 2) + _encode_varint(len(value)) + value


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
