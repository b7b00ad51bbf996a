"""The members of a request's object, decoded one by one, and strictly where rules decide on them.

Rules:
1. A member is decoded on demand: schemas, images and unknown members are skipped, not built.
2. A *governed* member (one that rules decide on: model, stream, max_tokens, temperature …) is read, or the request is refused:
   it may stand once only, and a value of another type is not taken for an absent one. Numbers in strings count as numbers,
   because some providers take them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.engine import jsonspan
from llmcp.errors import MalformedRequestError
from llmcp.providers import loose

if TYPE_CHECKING:
    from collections.abc import Iterable

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_SHORTEST_MEMBER = len(b',"n":1')
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


class Members:
    """The members of one object of a request. Raises MalformedRequestError where a governed one cannot be read."""

    __slots__ = ("_raw", "_values", "body")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._values: dict[str, Any] = {}
        try:
            self._raw = _decode_members(body)
        except loose.REFUSED:
            value = loose.decode_leniently(body)
            if not isinstance(value, dict):
                what = "the request body cannot be read"
                raise MalformedRequestError(
                    what,
                    why="expected a JSON object in UTF-8",
                    fix="send the body as the provider's documentation has it",
                ) from None
            self._raw = {}
            self._values = value

    def once(self, names: frozenset[str]) -> None:
        """Refuse the object where a governed member stands twice. `names` as spelled."""
        if self._has_each_once():
            return
        try:
            keys = [m.key for m in jsonspan.members(self.body)]
        except ValueError:
            keys = []
        for name in names:
            if keys.count(name) > 1:
                raise _repeated(name)

    def once_in_any_case(self, names: frozenset[str]) -> None:
        """Refuse the object where a governed member stands twice or in another letter case. `names` in lower case."""
        if self._has_each_once() and not any(k not in names and k.casefold() in names for k in self._raw):
            return
        try:
            doubtful = jsonspan.doubtful_keys(self.body, names)
        except ValueError:
            doubtful = ()
        if doubtful:
            raise _repeated(doubtful[0])

    def _has_each_once(self) -> bool:
        """Tell whether the text is plainly the members as decoded; False means only that nobody knows.

        Compact text: they account for every byte but fewer than another member would take. Text with the usual spaces
        (`", "`, `": "`): written anew it is the same.
        """
        size = len(self.body) - 4 * len(self._raw) - 1
        if self._raw and size - sum(len(k) + len(v) for k, v in self._raw.items()) < _SHORTEST_MEMBER:
            return True
        members = b", ".join([b'"%b": %b' % (k.encode("utf-8", "surrogatepass"), v) for k, v in self._raw.items()])
        return self.body == b"{" + members + b"}"

    def __contains__(self, name: str) -> bool:
        """Tell whether the object has this member."""
        return name in self._raw or name in self._values

    def names(self) -> Iterable[str]:
        """Return all member names."""
        return dict.fromkeys((*self._raw, *self._values))

    def raw(self, name: str) -> bytes:
        """Return a member's own text, or b''."""
        return bytes(self._raw[name]) if name in self._raw else b""

    def value(self, name: str) -> object:
        """Return a member decoded, None where there is none."""
        if name not in self._values:
            raw = self.raw(name)
            if not raw:
                return None
            value = loose.decode(raw)
            if value is None and raw != b"null":
                raise MalformedRequestError(
                    f"`{name}` cannot be read", why="its text is not valid JSON in UTF-8", fix="send valid JSON"
                )
            self._values[name] = value
        return self._values[name]

    def inner(self, name: str) -> Members:
        """Return the members of an object inside; empty where there is none. Governed: anything but an object or null is refused."""
        value = self._raw.get(name)
        if value is None and name not in self._values:
            return Members(b"{}")
        raw = bytes(value) if value is not None else loose.json_fallback(self._values[name]).encode("utf-8", "surrogatepass")
        if raw == b"null":
            return Members(b"{}")
        if raw[:1] != b"{":
            raise _wrong_type(name, "an object")
        if value is not None:
            return Members(raw)
        inner = Members(b"{}")
        inner._values = loose.mapping(self._values[name])
        return inner

    def string(self, name: str) -> str:
        """Return a governed string; '' where it is absent or null."""
        value = self.value(name)
        if value is None or isinstance(value, str):
            return value or ""
        raise _wrong_type(name, "a string")

    def whole(self, name: str) -> int | None:
        """Return a governed whole number; None where it is absent or null."""
        value = self.number(name)
        if value is not None and abs(value) > loose.MAX_INT:
            raise _wrong_type(name, "a whole number")
        return None if value is None else int(value)

    def number(self, name: str) -> float | None:
        """Return a governed number; None where it is absent or null."""
        value = self.value(name)
        if isinstance(value, str):
            value = _number_in(value)
            if value is None:
                raise _wrong_type(name, "a number")
        if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            return value
        raise _wrong_type(name, "a number")

    def flag(self, name: str) -> bool | None:
        """Return a governed boolean; None where it is absent or null."""
        value = self.value(name)
        if value is None or isinstance(value, bool):
            return value
        read = _BOOLEANS.get(str(value).lower())
        if read is None:
            raise _wrong_type(name, "true or false")
        return read


def _number_in(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) <= loose.MAX_INT else None


def _repeated(name: str) -> MalformedRequestError:
    return MalformedRequestError(
        f"`{name}` is ambiguous",
        why="it stands more than once in the request, or in another letter case, and readers disagree about which one counts",
        fix=f"send `{name}` once",
    )


def _wrong_type(name: str, expected: str) -> MalformedRequestError:
    return MalformedRequestError(f"`{name}` has the wrong type", why=f"expected {expected}", fix=f"send `{name}` as {expected}")
