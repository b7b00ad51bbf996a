"""Reading JSON that may have any shape: what fits is read, what does not fit is left, nothing raises by accident.

Rules:
1. A value of an unexpected type is as good as absent. What rules decide on is read more strictly: see `members`.
2. Ids, kinds, binary, signed and encrypted parts are no texts. In JSON of a tool's own making every string is one, whatever
   its key.
3. Text that msgspec refuses and lenient readers accept (lone surrogates) is read by the standard library: providers may accept it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.core.messages import Channel, ProviderError, RequestFacts, Text

if TYPE_CHECKING:
    from llmcp.core.messages import Observation
    from llmcp.ports import Endpoint

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode
# What msgspec raises on text that it refuses.
REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_UNREADABLE = (ValueError, RecursionError)
MAX_INT = 2**63 - 1
_MESSAGE_CHARS = 500
FIRST_ERROR_STATUS = 400

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
    except REFUSED:
        return decode_leniently(data)


def decode_object(data: bytes) -> dict[str, Any] | None:
    """Decode a JSON object; None for everything else."""
    value = decode(data)
    return value if isinstance(value, dict) else None


def decode_leniently(data: bytes) -> Any:  # noqa: ANN401 - JSON is any
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
    return int(value) if 0 <= value <= MAX_INT else None


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

    def add_own(self, role: str, channel: Channel, value: object) -> None:
        """Add every string of JSON that a tool or a user made up: no key means anything there."""
        self.add_all(role, channel, value, frozenset())

    def skip(self, what: str, why: str) -> None:
        """Note something that was not read."""
        self._skipped[(what, why)] = None

    def texts(self) -> tuple[Text, ...]:
        """Return what was added."""
        return tuple(self._texts)

    def skipped(self) -> tuple[tuple[str, str], ...]:
        """Return what was noted, each once."""
        return tuple(self._skipped)


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
