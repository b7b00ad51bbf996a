"""Reading JSON that may have any shape: what fits is read, what does not fit is left, nothing raises by accident.

Rules:
1. A request is decoded member by member, on demand: schemas, images and unknown members are skipped, not built.
2. A *governed* member (one that rules decide on: model, stream, max_tokens, temperature) is read, or the request is refused:
   it may stand once only, and a value of another type is not taken for an absent one. Numbers in strings count as numbers,
   because some providers take them.
3. Everything else is lenient: a value of an unexpected type is as good as absent.
4. Text that msgspec refuses and lenient readers accept (lone surrogates) is read by the standard library: providers may accept it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.core.messages import Channel, ProviderError, RequestFacts, Text
from llmcp.engine import jsonspan
from llmcp.errors import MalformedRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmcp.core.messages import Observation
    from llmcp.ports import Endpoint

_decode = msgspec.json.Decoder().decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.encode
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_UNREADABLE = (ValueError, RecursionError)
_MAX_INT = 2**63 - 1
_MESSAGE_CHARS = 500
_SHORTEST_MEMBER = len(b',"n":1')
FIRST_ERROR_STATUS = 400
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}

# Members whose strings are no text that a person or a model wrote: ids, kinds, binary parts, signed or encrypted parts.
OPAQUE = frozenset(
    {
        *("type", "id", "tool_use_id", "toolUseId", "tool_call_id", "role", "cache_control", "cachePoint"),
        *("data", "bytes", "media_type", "mimeType", "mime_type", "format", "file_id", "fileUri", "file_uri"),
        *("signature", "thoughtSignature", "thought_signature", "redactedContent"),
        *("encrypted_content", "encrypted_index", "encrypted_stdout"),
    }
)


def decode(data: bytes) -> object:
    """Decode any JSON text; None where it is none (and for `null`)."""
    try:
        return _decode(data)
    except _REFUSED:
        return _decode_leniently(data)


def decode_object(data: bytes) -> dict[str, Any] | None:
    """Decode a JSON object; None for everything else."""
    value = decode(data)
    return value if isinstance(value, dict) else None


def _decode_leniently(data: bytes) -> Any:  # noqa: ANN401 - JSON is any
    """Decode what msgspec refuses. Lone surrogates become `?`: nothing behind this line can encode them."""
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
        return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), parse_constant=_refuse_constant)
    except _UNREADABLE:
        return None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def text(value: object) -> str:
    """Return a string, or '' for anything else."""
    return value if isinstance(value, str) else ""


def mapping(value: object) -> dict[str, Any]:
    """Return an object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """Return an array; a lone object or string counts as an array of it, as several providers have it."""
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, (dict, str)) else []


def objects(value: object) -> list[dict[str, Any]]:
    """Return the objects of an array (or the lone object)."""
    return [item for item in items(value) if isinstance(item, dict)]


def count(value: object) -> int | None:
    """Return a token count: a number from 0 to 2**63-1; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    # The comparison also keeps out NaN and the infinities.
    return int(value) if 0 <= value <= _MAX_INT else None


def total(*counts: int | None) -> int | None:
    """Add counts; None where nobody said anything."""
    known = [c for c in counts if c is not None]
    return sum(known) if known else None


def json_text(value: object) -> str:
    """Render a value as compact JSON without needless escapes, so that nothing hides behind one."""
    try:
        return str(_encode(value), "utf-8")
    except (TypeError, ValueError, RecursionError):
        return json_fallback(value)


def json_fallback(value: object) -> str:
    """Render what msgspec refuses (lone surrogates, huge integers)."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except _UNREADABLE:
        return ""


def strings(value: object, *, opaque: frozenset[str] = OPAQUE) -> list[str]:
    """Return every text inside `value`, in order, but for those under `opaque` keys. Never recurses."""
    found: list[str] = []
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if item:
                found.append(item)
        elif isinstance(item, list):
            stack.extend(reversed(item))
        elif isinstance(item, dict):
            stack.extend(v for k, v in reversed(item.items()) if k not in opaque)
    return found


class Texts:
    """Collects the texts of a request and what of it was not read."""

    __slots__ = ("_skipped", "_texts")

    def __init__(self) -> None:
        self._texts: list[Text] = []
        self._skipped: dict[tuple[str, str], None] = {}

    def add(self, role: str, channel: Channel, value: object) -> None:
        """Add a non-empty string; everything else is passed over."""
        if isinstance(value, str) and value:
            self._texts.append(Text(role, channel, value))

    def add_all(self, role: str, channel: Channel, value: object, opaque: frozenset[str] = OPAQUE) -> None:
        """Add every text inside `value`, but for those under `opaque` keys."""
        if isinstance(value, str):
            self.add(role, channel, value)
            return
        for found in strings(value, opaque=opaque):
            self._texts.append(Text(role, channel, found))

    def add_json(self, role: str, channel: Channel, value: object) -> None:
        """Add `value` as JSON text; a string as it is."""
        if value is not None:
            self.add(role, channel, value if isinstance(value, str) else json_text(value))

    def skip(self, what: str, why: str) -> None:
        """Note something that was not read."""
        self._skipped[(what, why)] = None

    def texts(self) -> tuple[Text, ...]:
        """Return what was added."""
        return tuple(self._texts)

    def skipped(self) -> tuple[tuple[str, str], ...]:
        """Return what was noted, each once."""
        return tuple(self._skipped)


class Members:
    """The members of one object of a request. Raises MalformedRequestError where a governed one cannot be read."""

    __slots__ = ("_raw", "_values", "body")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._values: dict[str, Any] = {}
        try:
            self._raw = _decode_members(body)
        except _REFUSED:
            value = _decode_leniently(body)
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
            value = decode(raw)
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
        raw = bytes(value) if value is not None else json_fallback(self._values[name]).encode("utf-8", "surrogatepass")
        if raw == b"null":
            return Members(b"{}")
        if raw[:1] != b"{":
            raise _wrong_type(name, "an object")
        if value is not None:
            return Members(raw)
        inner = Members(b"{}")
        inner._values = mapping(self._values[name])
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
        if value is not None and abs(value) > _MAX_INT:
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
    return number if abs(number) <= _MAX_INT else None


def _repeated(name: str) -> MalformedRequestError:
    return MalformedRequestError(
        f"`{name}` is ambiguous",
        why="it stands more than once in the request, or in another letter case, and readers disagree about which one counts",
        fix=f"send `{name}` once",
    )


def _wrong_type(name: str, expected: str) -> MalformedRequestError:
    return MalformedRequestError(f"`{name}` has the wrong type", why=f"expected {expected}", fix=f"send `{name}` as {expected}")


def provider_error(body: bytes) -> ProviderError:
    """Read an error body of any provider, JSON or not."""
    value = decode(body)
    if value is None:
        return ProviderError("", "", body[:_MESSAGE_CHARS].decode("utf-8", "replace"))
    return error_in(value) or ProviderError("", "", "")


def error_in(value: object) -> ProviderError | None:
    """Read the error that an object (or the first of an array) tells of, or None."""
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    if isinstance(error, dict):
        return ProviderError(
            _word(error.get("type") or error.get("status")), _word(error.get("code")), _word(error.get("message"))
        )
    if isinstance(error, str):
        return ProviderError("", _word(value.get("code")), error)
    for key in ("message", "detail", "Message"):
        if key in value:
            return ProviderError(_word(value.get("type") or value.get("__type")), _word(value.get("code")), _word(value[key]))
    return None


def _word(value: object) -> str:
    if value is None:
        return ""
    return (value if isinstance(value, str) else json_text(value))[:_MESSAGE_CHARS]


def heard(seen: Observation, channel: Channel, value: object) -> None:
    """Add a text of a response, if it is one and not empty."""
    if value and isinstance(value, str):
        seen.add_text(channel, value)


def read_resource(value: dict[str, Any], seen: Observation) -> None:
    """Read what any JSON resource may say of itself: its model and its id."""
    seen.model = text(value.get("model")) or seen.model
    seen.response_id = text(value.get("id")) or seen.response_id


def unread(endpoint: Endpoint, body: bytes) -> RequestFacts:
    """Return what the path alone says of a request; a body that nobody read is noted."""
    skipped = (("body", "no dialect reads this endpoint"),) if body else ()
    return RequestFacts(model=endpoint.model, stream=bool(endpoint.stream), inspected=not body, skipped=skipped)
