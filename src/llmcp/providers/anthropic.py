"""Anthropic's dialect: Messages over HTTP and SSE, at Anthropic, on Vertex and Azure, and at hosts that copy it.

Rules:
1. The format of messages lives in `anthropic_messages`; here are paths, governed fields, edits and refusals.
2. A batch may name one model only: rules bind models, and a batch is one request.
3. An error in a stream is `event: error`; the SDKs pass over a bare `data:` error.

Source: Anthropic API reference ("Errors", "Message Batches"), Vertex AI partner models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from llmcp.core.http import Respond
from llmcp.core.messages import Channel, Operation, RequestFacts
from llmcp.errors import MalformedRequestError
from llmcp.ports import Framing, RefusalKind
from llmcp.providers import anthropic_messages, loose, splice
from llmcp.providers.members import Members
from llmcp.providers.route import Route

if TYPE_CHECKING:
    from llmcp.core.http import Headers
    from llmcp.core.messages import Observation, RequestEdits
    from llmcp.ports import Endpoint, Frame, Refusal

MESSAGES, COUNT_TOKENS, COMPLETE, BATCH, RESOURCE = "messages", "count_tokens", "complete", "batch", "resource"
_GOVERNED = frozenset(
    {"model", "models", "stream", "max_tokens", "max_tokens_to_sample", "temperature", "top_p", "tools", "messages", "system"}
)
_POST = frozenset({"POST"})
_READ = frozenset({"GET", "HEAD"})
_PLACES = {"max_tokens": (("max_tokens",),), "temperature": (("temperature",),), "top_p": (("top_p",),), "model": (("model",),)}
_COMPLETE_PLACES = _PLACES | {"max_tokens": (("max_tokens_to_sample",),)}
_COUNT_PLACES = {"model": (("model",),)}


class _BatchItem(msgspec.Struct):
    params: msgspec.Raw = msgspec.Raw(b"{}")


_decode_batch = msgspec.json.Decoder(list[_BatchItem]).decode
_VERTEX = r".*/publishers/anthropic/models/(?P<model>[^/:]+)"

ROUTES: tuple[Route, ...] = (
    Route(r".*/messages", Operation.CHAT, MESSAGES, methods=_POST),
    Route(r".*/messages/count_tokens", Operation.COUNT_TOKENS, COUNT_TOKENS, methods=_POST),
    Route(r".*/messages/batches", Operation.BATCHES, BATCH, methods=_POST),
    Route(r".*/messages/batches(?:/.*)?", Operation.BATCHES, RESOURCE, json_body=False),
    Route(r".*/publishers/anthropic/models/count-tokens:rawpredict", Operation.COUNT_TOKENS, COUNT_TOKENS, methods=_POST),
    Route(_VERTEX + r":rawpredict", Operation.CHAT, MESSAGES, stream=False, methods=_POST),
    Route(_VERTEX + r":streamrawpredict", Operation.CHAT, MESSAGES, stream=True, methods=_POST),
    Route(r".*/complete", Operation.TEXT_COMPLETION, COMPLETE, methods=_POST),
    Route(r".*/files(?:/.*)?", Operation.FILES, RESOURCE, json_body=False),
    Route(r".*/models(?:/[^:]*)?", Operation.MODELS, RESOURCE, json_body=False, methods=_READ),
)

_ERROR_TYPES = {
    RefusalKind.POLICY: "permission_error",
    RefusalKind.APPROVAL: "permission_error",
    RefusalKind.RATE: "rate_limit_error",
    RefusalKind.BUDGET: "billing_error",
    RefusalKind.UNAVAILABLE: "api_error",
    RefusalKind.UNAUTHENTICATED: "authentication_error",
    RefusalKind.BAD_REQUEST: "invalid_request_error",
    RefusalKind.NOT_FOUND: "not_found_error",
    RefusalKind.UNSUPPORTED_MEDIA_TYPE: "invalid_request_error",
    RefusalKind.TOO_LARGE: "request_too_large",
    RefusalKind.UPSTREAM_FAILED: "api_error",
    RefusalKind.UPSTREAM_TIMEOUT: "timeout_error",
}
_FINAL = frozenset({RefusalKind.POLICY, RefusalKind.APPROVAL, RefusalKind.BUDGET})


class AnthropicDialect:
    """See the module's rules."""

    name = "anthropic"

    def read_request(self, endpoint: Endpoint, body: bytes) -> RequestFacts:
        """See `ports.ProviderDialect`."""
        if endpoint.kind == RESOURCE or not endpoint.inspectable:
            return loose.unread(endpoint, body)
        fields = Members(body)
        fields.once_in_any_case(_GOVERNED)
        return _read_batch(endpoint, fields) if endpoint.kind == BATCH else _read_one(endpoint, fields)

    def edit_request(self, endpoint: Endpoint, body: bytes, edits: RequestEdits) -> tuple[str, bytes]:
        """See `ports.ProviderDialect`."""
        places = {MESSAGES: _PLACES, COMPLETE: _COMPLETE_PLACES, COUNT_TOKENS: _COUNT_PLACES}.get(endpoint.kind)
        if places is None:
            raise splice.not_editable(next((name for name, _ in edits.fields), "tools"))
        target, edits = splice.model_in_path(endpoint, edits)
        body = splice.set_fields(body, edits, places)
        if edits.strip_tools:
            body = splice.strip_named(body, edits.strip_tools, anthropic_messages.tool_name)
        return target, body

    def read_event(self, endpoint: Endpoint, frame: Frame, seen: Observation) -> None:  # noqa: ARG002 - one format only
        """See `ports.ProviderDialect`."""
        if not frame.data:
            return
        seen.events += 1
        event = loose.decode_object(frame.data)
        if event is None:
            seen.unreadable += 1
        elif "type" in event:
            anthropic_messages.read_stream_event(event, seen)
        elif "completion" in event:
            _read_completion(event, seen)
        elif "error" in event:
            seen.error = loose.error_in(event)

    def read_body(self, endpoint: Endpoint, status: int, headers: Headers, body: bytes, seen: Observation) -> None:  # noqa: ARG002
        """See `ports.ProviderDialect`."""
        if status >= loose.FIRST_ERROR_STATUS:
            seen.error = loose.provider_error(body)
            return
        value = loose.decode_object(body)
        if value is None:
            seen.unreadable += 1 if body.strip() and endpoint.kind != RESOURCE else 0
        elif value.get("type") == "error":
            seen.error = loose.error_in(value)
        elif endpoint.kind == MESSAGES:
            anthropic_messages.read_message(value, seen)
        elif endpoint.kind == COMPLETE:
            _read_completion(value, seen)
        else:
            loose.read_resource(value, seen)

    def refuse(self, refusal: Refusal) -> Respond:
        """See `ports.ProviderDialect`."""
        headers: list[tuple[bytes, bytes]] = [
            (b"content-type", b"application/json"),
            (b"request-id", refusal.decision_id.encode("ascii", "replace")),
        ]
        if refusal.kind in _FINAL:
            headers.append((b"x-should-retry", b"false"))
        return Respond(refusal.status, tuple(headers), _error_body(refusal))

    def refuse_in_stream(self, endpoint: Endpoint, refusal: Refusal, framing: Framing) -> bytes:  # noqa: ARG002
        """See `ports.ProviderDialect`."""
        return b"event: error\ndata: " + _error_body(refusal) + b"\n\n" if framing is Framing.SSE else b""


def _error_body(refusal: Refusal) -> bytes:
    error = {"type": _ERROR_TYPES[refusal.kind], "message": refusal.message}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": refusal.decision_id})


def _read_one(endpoint: Endpoint, fields: Members) -> RequestFacts:
    texts = loose.Texts()
    turns = anthropic_messages.read_prompt(fields.value("system"), fields.value("messages"), texts)
    if "prompt" in fields:
        texts.add("user", Channel.TEXT, fields.value("prompt"))
        turns += 1
    limit = "max_tokens_to_sample" if endpoint.kind == COMPLETE else "max_tokens"
    return RequestFacts(
        model=endpoint.model or fields.string("model"),
        stream=bool(fields.flag("stream")) if endpoint.stream is None else endpoint.stream,
        max_tokens=fields.whole(limit),
        temperature=fields.number("temperature"),
        tools=anthropic_messages.tool_names(fields),
        texts=texts.texts(),
        turns=turns,
        skipped=texts.skipped(),
        fallback_models=anthropic_messages.other_models(fields),
    )


def _read_batch(endpoint: Endpoint, fields: Members) -> RequestFacts:
    """Read all requests of a batch as one."""
    texts = loose.Texts()
    models: set[str] = set()
    tools: dict[str, None] = {}
    limits: list[int] = []
    turns = 0
    for inner in _batch_params(fields.raw("requests")):
        models.update((inner.string("model"), *anthropic_messages.other_models(inner)))
        turns += anthropic_messages.read_prompt(inner.value("system"), inner.value("messages"), texts)
        tools |= dict.fromkeys(anthropic_messages.tool_names(inner))
        limits += [n for n in (inner.whole("max_tokens"),) if n is not None]
    if len(models) > 1:
        what = "the batch names several models"
        raise MalformedRequestError(
            what,
            why="rules bind models, and a batch is one request",
            fix="send one batch for each model",
        )
    return RequestFacts(
        model=endpoint.model or next(iter(models), ""),
        max_tokens=max(limits, default=None),
        tools=tuple(tools),
        texts=texts.texts(),
        turns=turns,
        skipped=texts.skipped(),
    )


def _batch_params(requests: bytes) -> list[Members]:
    """Return the members of each `params` of a batch."""
    try:
        found = [Members(bytes(item.params)) for item in _decode_batch(requests or b"[]")]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        what = "`requests` cannot be read"
        raise MalformedRequestError(what, why="expected an array of objects with `params`", fix="send valid JSON") from None
    for params in found:
        params.once_in_any_case(_GOVERNED)
    return found


def _read_completion(value: dict[str, object], seen: Observation) -> None:
    """Read the old text completion: whole, or one event of its stream."""
    loose.read_resource(value, seen)
    loose.heard(seen, Channel.TEXT, value.get("completion"))
    reason = loose.text(value.get("stop_reason"))
    if reason:
        seen.finish_reasons[0] = reason
        seen.terminal = True


DIALECT = AnthropicDialect()
