"""Edits of OpenAI-dialect requests, spliced into the body.

Rules:
1. Every spelling of a limit that the request already has is set; only where there is none, the API's own is inserted.
2. Azure's deployment path names the model: there the target is edited, and the body too where it names one.
3. `stream_options` is merged into what the client sent, never replaced.
4. A field that can mean nothing to an operation (a cap on an embedding's output) is left out silently; one that the
   operation has under no name known here raises NotEditableError.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from llmcp.engine.jsonspan import apply, find, members, set_members
from llmcp.errors import NotEditableError
from llmcp.providers import openai_tools
from llmcp.providers.lenient import loads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmcp.core.messages import RequestEdits
    from llmcp.ports import Endpoint

_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_DEPLOYMENT = re.compile(r"(/deployments/)([^/?]+)")
# These refuse `max_tokens` on chat completions.
_REASONING_MODEL = re.compile(r"(?:.*/)?(?:o\d|gpt-[5-9]|codex-)")
_OUTPUT_FIELDS = frozenset({"max_tokens", "temperature", "top_p", "stream_options"})


@dataclass(frozen=True, slots=True)
class Editable:
    """What one API lets rules set. `limit` is the name to insert a cap under, '' where the API has no output to cap."""

    fields: frozenset[str]
    limit: str = ""
    modern_limit: str = ""


CHAT = Editable(
    frozenset({"max_tokens", "temperature", "top_p", "model", "stream_options"}), "max_tokens", "max_completion_tokens"
)
COMPLETIONS = Editable(frozenset({"max_tokens", "temperature", "top_p", "model", "stream_options"}), "max_tokens")
RESPONSES = Editable(frozenset({"max_tokens", "temperature", "top_p", "model"}), "max_output_tokens")
MODEL_ONLY = Editable(frozenset({"model"}))


def edit(endpoint: Endpoint, body: bytes, edits: RequestEdits, editable: Editable) -> tuple[str, bytes]:
    """Return target and body with `edits`. Raises NotEditableError where the body does not allow them."""
    target = endpoint.target
    wanted = {k: v for k, v in edits.fields if k in editable.fields}
    unknown = [k for k, _ in edits.fields if k not in editable.fields and k not in _OUTPUT_FIELDS]
    if unknown:
        raise NotEditableError(f"`{unknown[0]}` cannot be set on this operation", why=f"{endpoint.operation} has no such field")
    try:
        if "model" in wanted and endpoint.model and _DEPLOYMENT.search(target):
            target = _DEPLOYMENT.sub(lambda m: m[1] + quote(str(wanted["model"]), safe=""), target, count=1)
            if find(body, ("model",)) is None:
                del wanted["model"]
        if wanted:
            body = apply(body, set_members(body, _spell(body, endpoint, wanted, editable)))
        if edits.strip_tools:
            body = apply(body, openai_tools.strip(body, edits.strip_tools))
    except ValueError as error:
        what = "the request body cannot be edited"
        raise NotEditableError(what, why="it is not plain JSON", fix="send one JSON object") from error
    return target, body


def _spell(body: bytes, endpoint: Endpoint, wanted: Mapping[str, Any], editable: Editable) -> dict[str, Any]:
    """Translate the `set` effect's names into the request's own."""
    values = {k: v for k, v in wanted.items() if k not in {"max_tokens", "stream_options"}}
    if "max_tokens" in wanted and editable.limit:
        present = [m.key for m in members(body) if m.key in _LIMITS]
        values |= dict.fromkeys(present or [_limit_name(body, endpoint, wanted, editable)], wanted["max_tokens"])
    if "stream_options" in wanted:
        values["stream_options"] = _merged(body, wanted["stream_options"])
    return values


def _limit_name(body: bytes, endpoint: Endpoint, wanted: Mapping[str, Any], editable: Editable) -> str:
    if not editable.modern_limit:
        return editable.limit
    span = find(body, ("model",))
    model = (
        wanted.get("model")
        or (body[span.start : span.end].decode("utf-8", "replace").strip('"') if span else "")
        or endpoint.model
    )
    return editable.modern_limit if _REASONING_MODEL.match(str(model).lower()) else editable.limit


def _merged(body: bytes, options: object) -> object:
    span = find(body, ("stream_options",))
    present = loads(body[span.start : span.end]) if span else None
    return {**present, **options} if isinstance(present, dict) and isinstance(options, dict) else options
