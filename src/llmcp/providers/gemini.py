"""Gemini's dialect, at Google AI and on Vertex.

Rules:
1. The path names the model and the verb; whether a stream is SSE or one JSON array is the query's business (`alt=sse`).
2. Governed fields stand in `generationConfig`; where both spellings of one field are sent the request is refused.
3. The Interactions API is another format: see `gemini_interactions`. `predict` and the live API are known but not read.
4. A refusal in a JSON-array stream is a last element and the closing bracket; it begins with the comma that parts it from the
   elements before, so at least one must have been sent.

Source: Gemini API reference, "Generating content", "Troubleshooting"; Google's error model (`google.rpc.Status`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.core.http import Respond
from llmcp.core.messages import Operation, RequestFacts
from llmcp.errors import MalformedRequestError
from llmcp.ports import Framing
from llmcp.providers import gemini_contents, gemini_interactions, gemini_tools, loose, splice
from llmcp.providers.members import Members
from llmcp.providers.route import Route

if TYPE_CHECKING:
    from llmcp.core.http import Headers
    from llmcp.core.messages import Observation, RequestEdits
    from llmcp.ports import Endpoint, Frame, Refusal

GENERATE, EMBED, COUNT_TOKENS, INTERACTION = "generate", "embed", "count_tokens", "interaction"
CACHE, BATCH, RESOURCE, OPAQUE = "cache", "batch", "resource", "opaque"
_POST = frozenset({"POST"})
_READ = frozenset({"GET", "HEAD"})
# Other publishers' models on Vertex, and the OpenAI-like paths, are other dialects' business.
_OWN = r"(?!.*/publishers/(?!google/))(?!.*/openai/)"
_MODEL = _OWN + r".*/(?:models|tunedmodels|endpoints)/(?P<model>[^/:]+)"
_WRITES = frozenset({"POST", "PATCH"})

ROUTES: tuple[Route, ...] = (
    Route(_MODEL + r":generatecontent", Operation.CHAT, GENERATE, stream=False, methods=_POST),
    Route(_MODEL + r":streamgeneratecontent", Operation.CHAT, GENERATE, stream=True, methods=_POST),
    Route(_MODEL + r":generateanswer", Operation.CHAT, OPAQUE, inspectable=False, methods=_POST),
    Route(_MODEL + r":(?:embedcontent|batchembedcontents)", Operation.EMBEDDINGS, EMBED, methods=_POST),
    Route(_MODEL + r":counttokens", Operation.COUNT_TOKENS, COUNT_TOKENS, methods=_POST),
    Route(_MODEL + r":(?:batchgeneratecontent|asyncbatchembedcontent)", Operation.BATCHES, BATCH, methods=_POST),
    Route(_MODEL + r":(?:raw|streamraw)?predict", Operation.OTHER, OPAQUE, inspectable=False, methods=_POST),
    Route(_MODEL + r":predictlongrunning", Operation.IMAGES, OPAQUE, inspectable=False, methods=_POST),
    Route(_MODEL + r":.*", Operation.OTHER, OPAQUE, inspectable=False),
    Route(r".*/publishers/(?!google/|anthropic/)[^/]+/models/(?P<model>[^/:]+):.*", Operation.CHAT, OPAQUE, inspectable=False),
    Route(_OWN + r".*/interactions", Operation.CHAT, INTERACTION, methods=_POST),
    Route(_OWN + r".*/interactions(?:/.*)?", Operation.OTHER, RESOURCE, json_body=False),
    Route(_OWN + r".*/cachedcontents(?:/[^/]+)?", Operation.OTHER, CACHE, methods=_WRITES),
    Route(_OWN + r".*/cachedcontents(?:/.*)?", Operation.OTHER, RESOURCE, json_body=False),
    Route(_OWN + r".*/(?:batches|batchpredictionjobs|operations)(?:/.*)?", Operation.BATCHES, RESOURCE, json_body=False),
    Route(_OWN + r".*/files(?:[/:].*)?", Operation.FILES, RESOURCE, json_body=False),
    Route(_OWN + r".*/(?:models|tunedmodels)(?:/[^:]*)?", Operation.MODELS, RESOURCE, json_body=False, methods=_READ),
)

_GOVERNED = frozenset(
    {
        *("model", "contents", "content", "requests", "tools", "generationConfig", "generation_config"),
        *("systemInstruction", "system_instruction", "generateContentRequest", "generate_content_request"),
    }
)
_GOVERNED_CONFIG = frozenset({"maxOutputTokens", "max_output_tokens", "temperature", "topP", "top_p"})
_CONFIG = ("generationConfig", "generation_config")
_PLACES: dict[str, splice.Place] = {
    "max_tokens": (_CONFIG, ("maxOutputTokens", "max_output_tokens")),
    "temperature": (_CONFIG, ("temperature",)),
    "top_p": (_CONFIG, ("topP", "top_p")),
}
_INTERACTION_CONFIG = ("generation_config",)
_INTERACTION_PLACES: dict[str, splice.Place] = {
    "model": (("model",),),
    "max_tokens": (_INTERACTION_CONFIG, ("max_output_tokens",)),
    "temperature": (_INTERACTION_CONFIG, ("temperature",)),
    "top_p": (_INTERACTION_CONFIG, ("top_p",)),
}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class GeminiDialect:
    """See the module's rules."""

    name = "gemini"

    def read_request(self, endpoint: Endpoint, body: bytes) -> RequestFacts:
        """See `ports.ProviderDialect`."""
        if endpoint.kind in {RESOURCE, OPAQUE} or not endpoint.inspectable:
            return loose.unread(endpoint, body)
        fields = Members(body)
        if endpoint.kind == INTERACTION:
            return gemini_interactions.read_request(fields)
        fields.once(_GOVERNED)
        return _read_request(endpoint, fields)

    def edit_request(self, endpoint: Endpoint, body: bytes, edits: RequestEdits) -> tuple[str, bytes]:
        """See `ports.ProviderDialect`."""
        if endpoint.kind == INTERACTION:
            return endpoint.target, _edit_interaction(body, edits)
        if endpoint.kind not in {GENERATE, EMBED, COUNT_TOKENS} or not endpoint.inspectable:
            raise splice.not_editable(next((name for name, _ in edits.fields), "tools"))
        target, edits = splice.model_in_path(endpoint, edits)
        if edits.fields and endpoint.kind != GENERATE:
            raise splice.not_editable(edits.fields[0][0])
        body = splice.set_fields(body, edits, _PLACES)
        return target, gemini_tools.strip(body, edits.strip_tools) if edits.strip_tools else body

    def read_event(self, endpoint: Endpoint, frame: Frame, seen: Observation) -> None:
        """See `ports.ProviderDialect`."""
        if not frame.data:
            return
        seen.events += 1
        value = loose.decode_object(frame.data)
        if value is None:
            seen.unreadable += frame.data != b"[DONE]"
        elif endpoint.kind == INTERACTION or "event_type" in value:
            gemini_interactions.read_event(value, seen)
        else:
            gemini_contents.read_response(value, seen)

    def read_body(self, endpoint: Endpoint, status: int, headers: Headers, body: bytes, seen: Observation) -> None:  # noqa: ARG002
        """See `ports.ProviderDialect`."""
        if status >= loose.FIRST_ERROR_STATUS:
            seen.error = loose.provider_error(body)
        elif endpoint.kind == EMBED:
            gemini_contents.read_usage(_usage_alone(body), seen)
        else:
            self._read_value(endpoint, body, seen)

    def _read_value(self, endpoint: Endpoint, body: bytes, seen: Observation) -> None:
        value = loose.decode(body)
        if not isinstance(value, (dict, list)):
            seen.unreadable += 1 if endpoint.kind == GENERATE else 0
        elif endpoint.kind == GENERATE:
            for part in loose.objects(value):
                gemini_contents.read_response(part, seen)
        elif isinstance(value, dict) and endpoint.kind == INTERACTION:
            gemini_interactions.read_answer(value, seen)
        elif isinstance(value, dict):
            loose.read_resource(value, seen)

    def refuse(self, refusal: Refusal) -> Respond:
        """See `ports.ProviderDialect`."""
        return Respond(refusal.status, ((b"content-type", b"application/json; charset=UTF-8"),), _error_body(refusal))

    def refuse_in_stream(self, endpoint: Endpoint, refusal: Refusal, framing: Framing) -> bytes:
        """See `ports.ProviderDialect` and rule 4."""
        if endpoint.kind == INTERACTION and framing is Framing.SSE:
            error = {"code": refusal.kind.value, "message": refusal.message}
            return b"event: error\ndata: " + msgspec.json.encode({"event_type": "error", "error": error}) + b"\n\n"
        if framing is Framing.JSON_ARRAY:
            return b",\n" + _error_body(refusal) + b"\n]"
        return b"data: " + _error_body(refusal) + b"\n\n" if framing is Framing.SSE else b""


def _error_body(refusal: Refusal) -> bytes:
    reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": refusal.kind.value, "domain": "llmcp"}
    error = {"code": refusal.status, "message": refusal.message, "status": _STATUSES[refusal.status], "details": [reason]}
    return msgspec.json.encode({"error": error})


class _UsageAlone(msgspec.Struct):
    usageMetadata: Any = None  # noqa: N815 - the wire's spelling


_decode_usage = msgspec.json.Decoder(_UsageAlone).decode


def _usage_alone(body: bytes) -> object:
    """Read the usage of a response whose vectors nobody needs."""
    try:
        return _decode_usage(body).usageMetadata
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _spelling(fields: Members, name: str, snake: str) -> str:
    """Return which spelling of a member stands in the request. Raises MalformedRequestError for both."""
    if snake not in fields:
        return name
    if name in fields:
        raise MalformedRequestError(f"`{name}` is ambiguous", why=f"it also stands there as `{snake}`", fix=f"send `{name}` once")
    return snake


def _read_request(endpoint: Endpoint, fields: Members) -> RequestFacts:
    wrapped = _spelling(fields, "generateContentRequest", "generate_content_request")
    if endpoint.kind == COUNT_TOKENS and fields.value(wrapped) is not None:
        inner = fields.inner(wrapped)
        inner.once(_GOVERNED)
        return _facts(endpoint, inner)
    return _facts(endpoint, fields)


def _facts(endpoint: Endpoint, fields: Members) -> RequestFacts:
    texts = loose.Texts()
    gemini_contents.read_contents("system", fields.value(_spelling(fields, "systemInstruction", "system_instruction")), texts)
    turns = gemini_contents.read_contents("user", fields.value("contents"), texts)
    turns += gemini_contents.read_contents("user", fields.value("content"), texts)
    tools = gemini_contents.tool_names(fields.value("tools"))
    for request in loose.objects(fields.value("requests")) + _batched(fields):
        tools += gemini_contents.tool_names(request.get("tools"))
        turns += gemini_contents.read_contents("user", request.get("content"), texts)
        turns += gemini_contents.read_contents("user", request.get("contents"), texts)
        gemini_contents.read_contents("system", gemini_contents.respelled(request).get("systemInstruction"), texts)
    if "cachedContent" in fields or "cached_content" in fields:
        texts.skip("cachedContent", "kept by the provider")
    config = fields.inner(_spelling(fields, *_CONFIG))
    config.once(_GOVERNED_CONFIG)
    return RequestFacts(
        model=endpoint.model or fields.string("model").rpartition("/")[2],
        stream=bool(endpoint.stream),
        max_tokens=config.whole(_spelling(config, "maxOutputTokens", "max_output_tokens")),
        temperature=config.number("temperature"),
        tools=tuple(tools),
        texts=texts.texts(),
        turns=turns,
        skipped=texts.skipped(),
    )


def _edit_interaction(body: bytes, edits: RequestEdits) -> bytes:
    body = splice.set_fields(body, edits, _INTERACTION_PLACES)
    return splice.strip_named(body, edits.strip_tools, gemini_interactions.tool_name) if edits.strip_tools else body


def _batched(fields: Members) -> list[dict[str, Any]]:
    """Return the requests of a batch that carries them inline."""
    batch = gemini_contents.respelled(loose.mapping(fields.value("batch")))
    source = gemini_contents.respelled(loose.mapping(batch.get("inputConfig")))
    return [loose.mapping(r.get("request")) for r in loose.objects(loose.mapping(source.get("requests")).get("requests"))]


DIALECT = GeminiDialect()
