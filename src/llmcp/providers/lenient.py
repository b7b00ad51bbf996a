"""Decode a provider's JSON into typed structs, and make the best of what does not fit.

Rules:
1. The fast path is one typed decode; fields nobody asked for are skipped, not built.
2. Where a value has another type than the dialect documents, that value alone is dropped and counted, never the rest.
3. A request body must be a JSON object in UTF-8, and no governed key may be readable in two ways: else MalformedRequestError.
   A response is never refused here: what cannot be read is None.
"""

from __future__ import annotations

import json
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from llmcp.engine.jsonspan import doubtful_keys
from llmcp.errors import MalformedRequestError

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_BOM = b"\xef\xbb\xbf"
# What names models and tools, and what holds messages, must be lists; the former of sound items.
_NAMING = frozenset({"models", "tools", "functions"})
_LISTS = _NAMING | {"messages"}
_TOKEN_CEILING = 2**63 - 1


class _UnfitError(Exception):
    """A value has no place in the wanted type."""


type Lost = tuple[tuple[str, str], ...]


class Reader[T: msgspec.Struct]:
    """Reads JSON texts of one kind. `read` gives the struct and how many values had to be dropped."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._decode = msgspec.json.Decoder(kind).decode

    def read(self, data: bytes) -> tuple[T | None, int]:
        """Decode `data`, or return None where it is no JSON object."""
        try:
            return self._decode(data), 0
        except _UNREADABLE:
            return self._read_softly(data)

    def read_request(self, body: bytes, governed: frozenset[str]) -> tuple[T, Lost]:
        """Decode a request body; what could not be read comes beside it. Raises MalformedRequestError: see the module's rule 3."""
        if not body.isascii():
            _check_utf8(body)
        value, dropped = self.read(body)
        if dropped and value is not None:
            self._check_containers(loads(body), governed)
        if value is None:
            what = "the request body is not a JSON object"
            raise MalformedRequestError(
                what,
                why="this operation takes one JSON object in UTF-8" + (", got an empty body" if not body.strip() else ""),
                fix="send the body that the provider's API reference shows",
                code="malformed-json",
            )
        try:
            doubtful = doubtful_keys(body, governed)
        except ValueError as error:
            raise _not_readable() from error
        if doubtful:
            raise MalformedRequestError(
                f"the request body names `{doubtful[0]}` in more than one way",
                why="a key stands twice or in another letter case, and readers disagree about which one counts",
                fix=f"send `{doubtful[0]}` once, in lower case",
                code="duplicate-key",
            )
        return value, (("body", f"{dropped} values have a form that is not read"),) if dropped else ()

    def _check_containers(self, value: dict[str, Any], governed: frozenset[str]) -> None:
        """Refuse what rules ask about by name, where it has another form than documented: a host may read what was dropped here.

        Raises: MalformedRequestError.
        """
        for field in msgspec.structs.fields(self._kind):
            if field.name not in governed or value.get(field.name) is None:
                continue
            if not self._is_sound(field, value[field.name]):
                raise MalformedRequestError(
                    f"`{field.name}` has the wrong form",
                    why="rules are asked about what stands in it",
                    fix=f"send `{field.name}` as the provider's API reference shows",
                    code="malformed-field",
                )

    @staticmethod
    def _is_sound(field: msgspec.structs.FieldInfo, value: object) -> bool:
        if field.name not in _LISTS:
            return True
        try:
            return isinstance(value, list) and (field.name not in _NAMING or not _soften(value, field.type)[1])
        except (_UnfitError, RecursionError):
            return False

    def _read_softly(self, data: bytes) -> tuple[T | None, int]:
        value = loads(data)
        if not isinstance(value, dict):
            return None, 1
        try:
            return _soften(value, self._kind)
        except (_UnfitError, RecursionError):
            return None, 1


def loads(data: bytes) -> Any:  # noqa: ANN401 - JSON is any
    """Decode JSON as the most forgiving reader would (NaN, lone surrogates), or return None."""
    try:
        return msgspec.json.decode(data)
    except _UNREADABLE:
        pass
    try:
        return json.loads(data.removeprefix(_BOM).decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def count(value: object) -> int | None:
    """Read a token count: whole numbers, floats and digits in a string, as lax servers do. Infinity is the ceiling."""
    if value is None or (type(value) is int and -_TOKEN_CEILING <= value <= _TOKEN_CEILING):
        return value
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        return None
    return int(min(max(value, -_TOKEN_CEILING), _TOKEN_CEILING))


def number(value: object) -> float | None:
    """Read a number: also one in a string."""
    if value is None or type(value) is float:
        return value
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def truth(value: object) -> bool:
    """Read a flag as lax servers do: `"true"` and 1 are true."""
    if value is None or value is False:
        return False
    return (
        value is True or value == 1 or (isinstance(value, str) and value.strip().lower() in {"true", "1", "yes", "on", "t", "y"})
    )


def word(value: object) -> str:
    """Read a short identifier: strings as they are, numbers as digits, everything else as nothing."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def request_model(value: object) -> str:
    """Read the `model` of a request. Raises MalformedRequestError where it is there and no string: no rule could bind it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    what = "`model` is not a string"
    raise MalformedRequestError(
        what,
        why=f"got JSON of type {type(value).__name__}",
        fix="send the model's id as a string",
        code="malformed-model",
    )


def _check_utf8(body: bytes) -> None:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        what = "the request body is not UTF-8"
        raise MalformedRequestError(
            what,
            why=f"byte {error.start} begins no valid character",
            fix="encode the JSON body as UTF-8",
            code="malformed-utf8",
        ) from error


def _not_readable() -> MalformedRequestError:
    return MalformedRequestError(
        "the request body cannot be read safely",
        why="its members cannot be told apart",
        fix="send plain JSON as RFC 8259 defines it",
        code="malformed-json",
    )


def _soften(value: Any, kind: Any) -> tuple[Any, int]:  # noqa: ANN401 - JSON and types are any
    """Convert `value` to `kind`, leaving out what does not fit; the second result counts what was left out."""
    try:
        return msgspec.convert(value, kind), 0
    except (msgspec.ValidationError, RecursionError):
        pass
    kind = getattr(kind, "__value__", kind)  # a `type` alias
    options = get_args(kind) if isinstance(kind, UnionType) or get_origin(kind) is Union else (kind,)
    for option in options:
        if isinstance(value, dict) and isinstance(option, type) and issubclass(option, msgspec.Struct):
            return _soften_struct(value, option)
        if isinstance(value, list) and get_origin(option) is list:
            return _soften_list(value, get_args(option)[0])
    raise _UnfitError


def _soften_struct(value: dict[str, Any], kind: type[msgspec.Struct]) -> tuple[Any, int]:
    fitting: dict[str, Any] = {}
    dropped = 0
    for field in msgspec.structs.fields(kind):
        if field.encode_name not in value:
            continue
        try:
            fitting[field.name], lost = _soften(value[field.encode_name], field.type)
        except _UnfitError:
            dropped += value[field.encode_name] is not None
        else:
            dropped += lost
    return kind(**fitting), dropped


def _soften_list(values: list[Any], kind: Any) -> tuple[list[Any], int]:  # noqa: ANN401
    fitting: list[Any] = []
    dropped = 0
    for value in values:
        try:
            item, lost = _soften(value, kind)
        except _UnfitError:
            dropped += 1
        else:
            fitting.append(item)
            dropped += lost
    return fitting, dropped
