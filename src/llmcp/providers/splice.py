"""Carry out the rules' edits on a request body: set governed fields, take out offered tools, keep every other byte.

Rules:
1. A field has one place per dialect; where the provider takes two spellings the one that stands there is kept.
2. What the dialect has no place for raises NotEditableError; nothing is dropped silently.
3. Each edit is applied to whole text, one after the other, so that no two can overlap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from llmcp.core.messages import RequestEdits
from llmcp.engine import jsonspan
from llmcp.errors import NotEditableError
from llmcp.providers import loose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmcp.ports import Endpoint

type Step = tuple[str, ...]
type Place = tuple[Step, ...]


def set_fields(body: bytes, edits: RequestEdits, places: Mapping[str, Place]) -> bytes:
    """Set every field of `edits` at its place: one or two steps, each with its accepted spellings, the usual one first."""
    for name, value in edits.fields:
        if name not in places:
            raise not_editable(name)
        body = _set(body, places[name], value)
    return body


def _set(body: bytes, place: Place, value: object) -> bytes:
    try:
        present = jsonspan.members(body)
        keys = {m.key for m in present}
        name = next((n for n in place[0] if n in keys), place[0][0])
        if len(place) == 1:
            return jsonspan.apply(body, jsonspan.set_members(body, {name: value}))
        outer = next((m for m in present if m.key == name), None)
        if outer is None or body[outer.value : outer.value + 1] != b"{":
            return jsonspan.apply(body, jsonspan.set_members(body, {name: {place[1][0]: value}}))
        inner_keys = {m.key for m in jsonspan.members(body, outer.value)}
        inner = next((n for n in place[1] if n in inner_keys), place[1][0])
        return jsonspan.apply(body, jsonspan.set_members(body, {inner: value}, outer.value))
    except ValueError:
        raise unreadable() from None


def strip_named(body: bytes, stripped: frozenset[str], name_of: Callable[[dict[str, Any]], str]) -> bytes:
    """Take the tools with these names out of `tools`; without any left, `tools` and `tool_choice` go too.

    A `tool_choice` that names a stripped tool goes as well: the provider would refuse the request.
    """
    try:
        span = jsonspan.find(body, ("tools",))
        if span is None or body[span.start : span.start + 1] != b"[":
            return body
        spans = jsonspan.elements(body, span.start)
        gone = {i for i, s in enumerate(spans) if name_of(loose.mapping(loose.decode(body[s.start : s.end]))) in stripped}
        if not gone:
            return body
        choice = jsonspan.find(body, ("tool_choice",))
        named = choice is not None and not stripped.isdisjoint(
            loose.strings(loose.decode(body[choice.start : choice.end]), opaque=frozenset())
        )
        if len(gone) == len(spans):
            return jsonspan.apply(body, jsonspan.remove_members(body, {"tools", "tool_choice"}))
        body = jsonspan.apply(body, jsonspan.remove_elements(body, span.start, gone))
        return jsonspan.apply(body, jsonspan.remove_members(body, {"tool_choice"})) if named else body
    except ValueError:
        raise unreadable() from None


def replace_model(target: str, old: str, new: str) -> str:
    """Put another model into a target whose path names one (`…/models/NAME:verb`, `…/model/NAME/verb`)."""
    path, mark, query = target.partition("?")
    for spelling in dict.fromkeys((old, quote(old, safe=""), quote(old, safe=":"), quote(old, safe="@"), quote(old, safe="@:"))):
        at = path.rfind(f"/{spelling}")
        if spelling and at >= 0 and path[at + 1 + len(spelling) :][:1] in {":", "/", ""}:
            return path[: at + 1] + quote(new, safe="@") + path[at + 1 + len(spelling) :] + mark + query
    what = "model"
    raise not_editable(what)


def not_editable(field: str) -> NotEditableError:
    """Word the refusal of an edit that the dialect has no place for."""
    return NotEditableError(
        f"`{field}` cannot be set in this request",
        why="this endpoint has no such field",
        fix="give the rule a `match` with the operations and providers that have it",
    )


def unreadable() -> NotEditableError:
    """Word the refusal to edit a body whose text cannot be taken apart."""
    return NotEditableError("the request body cannot be edited", why="it is not a JSON object", fix="send a JSON object")


def model_in_path(endpoint: Endpoint, edits: RequestEdits) -> tuple[str, RequestEdits]:
    """Where the path names the model, carry out a change of model there; return the target and the edits that are left."""
    new = dict(edits.fields).get("model")
    if new is None or not endpoint.model:
        return endpoint.target, edits
    left = tuple((name, value) for name, value in edits.fields if name != "model")
    return replace_model(endpoint.target, endpoint.model, str(new)), RequestEdits(left, edits.strip_tools)
