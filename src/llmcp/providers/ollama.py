"""Ollama's own dialect (`/api/…`): JSON bodies, newline-delimited JSON streams.

Rules:
1. Ollama streams unless told not to: an absent `stream` means true for chat and generate.
2. Its decoder ignores the case of member names: a governed member in another letter case is refused.
3. Limits stand in `options`: `num_predict`, `temperature`, `top_p`; a negative `num_predict` is no limit.

Source: Ollama, `docs/api.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.core.http import Respond
from llmcp.core.messages import Channel, Operation, RequestFacts, ToolCall
from llmcp.ports import Framing
from llmcp.providers import loose, splice
from llmcp.providers.members import Members
from llmcp.providers.route import Route

if TYPE_CHECKING:
    from llmcp.core.http import Headers
    from llmcp.core.messages import Observation, RequestEdits
    from llmcp.ports import Endpoint, Frame, Refusal

CHAT, GENERATE, EMBED, RESOURCE = "chat", "generate", "embed", "resource"
_POST = frozenset({"POST"})

ROUTES: tuple[Route, ...] = (
    Route(r".*/api/chat", Operation.CHAT, CHAT, methods=_POST),
    Route(r".*/api/generate", Operation.TEXT_COMPLETION, GENERATE, methods=_POST),
    Route(r".*/api/embed(?:dings)?", Operation.EMBEDDINGS, EMBED, stream=False, methods=_POST),
    Route(r".*/api/(?:tags|ps|show)", Operation.MODELS, RESOURCE, json_body=False),
    Route(r".*/api/blobs/.*", Operation.FILES, RESOURCE, json_body=False),
    Route(r".*/api/(?:version|pull|push|create|copy|delete)", Operation.OTHER, RESOURCE, json_body=False),
)

_GOVERNED = frozenset({"model", "stream", "options", "tools", "messages", "prompt", "system", "input", "suffix"})
_GOVERNED_OPTIONS = frozenset({"num_predict", "temperature", "top_p"})
_OPTIONS = ("options",)
_PLACES: dict[str, splice.Place] = {
    "max_tokens": (_OPTIONS, ("num_predict",)),
    "temperature": (_OPTIONS, ("temperature",)),
    "top_p": (_OPTIONS, ("top_p",)),
    "model": (("model",),),
}


class OllamaDialect:
    """See the module's rules."""

    name = "ollama"

    def read_request(self, endpoint: Endpoint, body: bytes) -> RequestFacts:
        """See `ports.ProviderDialect`."""
        if endpoint.kind == RESOURCE or not endpoint.inspectable:
            return loose.unread(endpoint, body)
        fields = Members(body)
        fields.once_in_any_case(_GOVERNED)
        options = fields.inner("options")
        options.once(_GOVERNED_OPTIONS)
        limit = options.whole("num_predict")
        texts = loose.Texts()
        turns = _read_texts(fields, texts)
        stream = fields.flag("stream") if endpoint.stream is None else endpoint.stream
        return RequestFacts(
            model=fields.string("model"),
            stream=True if stream is None else stream,
            max_tokens=limit if limit is not None and limit >= 0 else None,
            temperature=options.number("temperature"),
            tools=tuple(name for t in loose.objects(fields.value("tools")) if (name := tool_name(t))),
            texts=texts.texts(),
            turns=turns,
            skipped=texts.skipped(),
        )

    def edit_request(self, endpoint: Endpoint, body: bytes, edits: RequestEdits) -> tuple[str, bytes]:
        """See `ports.ProviderDialect`."""
        if endpoint.kind == RESOURCE or not endpoint.inspectable:
            raise splice.not_editable(next((name for name, _ in edits.fields), "tools"))
        body = splice.set_fields(body, edits, _PLACES)
        return endpoint.target, splice.strip_named(body, edits.strip_tools, tool_name) if edits.strip_tools else body

    def read_event(self, endpoint: Endpoint, frame: Frame, seen: Observation) -> None:  # noqa: ARG002 - one format only
        """See `ports.ProviderDialect`."""
        if not frame.data:
            return
        seen.events += 1
        value = loose.decode_object(frame.data)
        if value is None:
            seen.unreadable += 1
        else:
            _read_chunk(value, seen)

    def read_body(self, endpoint: Endpoint, status: int, headers: Headers, body: bytes, seen: Observation) -> None:  # noqa: ARG002
        """See `ports.ProviderDialect`."""
        if status >= loose.FIRST_ERROR_STATUS:
            seen.error = loose.provider_error(body)
            return
        if endpoint.kind == EMBED:
            _read_embedding(body, seen)
            return
        value = loose.decode_object(body)
        if value is not None:
            _read_chunk(value, seen)
        elif endpoint.kind != RESOURCE:
            seen.unreadable += 1

    def refuse(self, refusal: Refusal) -> Respond:
        """See `ports.ProviderDialect`."""
        return Respond(refusal.status, ((b"content-type", b"application/json; charset=utf-8"),), _error_body(refusal))

    def refuse_in_stream(self, endpoint: Endpoint, refusal: Refusal, framing: Framing) -> bytes:  # noqa: ARG002
        """See `ports.ProviderDialect`."""
        return _error_body(refusal) + b"\n" if framing is Framing.NDJSON else b""


def _error_body(refusal: Refusal) -> bytes:
    return msgspec.json.encode({"error": refusal.message})


def tool_name(tool: dict[str, Any]) -> str:
    """Return the name of an offered tool: `function.name`, else its own `name`, else its type."""
    function = loose.mapping(tool.get("function"))
    return loose.text(function.get("name")) or loose.text(tool.get("name")) or loose.text(tool.get("type"))


def _read_texts(fields: Members, texts: loose.Texts) -> int:
    texts.add("system", Channel.TEXT, fields.value("system"))
    messages = [_folded(m) for m in loose.objects(fields.value("messages"))]
    for message in messages:
        _read_message(message, texts)
    turns = len(messages)
    for name in ("prompt", "suffix", "input"):
        value = fields.value(name)
        if value:
            texts.add_all("user", Channel.TEXT, value)
            turns += name != "suffix"
    if fields.value("images"):
        texts.skip("images", "binary")
    return turns


def _folded(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with its member names in lower case: the server reads them in any case."""
    return message if all(map(str.islower, message)) else {k.lower(): v for k, v in message.items()}


def _read_message(message: dict[str, Any], texts: loose.Texts) -> None:
    role = loose.text(message.get("role"))
    channel = Channel.TOOL_RESULT if role == "tool" else Channel.TEXT
    texts.add_all(role, channel, message.get("content"))
    texts.add(role, Channel.REASONING, message.get("thinking"))
    for call in loose.objects(message.get("tool_calls")):
        texts.add_json(role, Channel.TOOL_ARGUMENTS, loose.mapping(_folded(call).get("function")).get("arguments"))
    if message.get("images"):
        texts.skip("images", "binary")


def _read_chunk(value: dict[str, Any], seen: Observation) -> None:
    """Read a whole answer or one line of a stream: they have one form."""
    if value.get("error"):
        seen.error = loose.error_in(value)
        return
    seen.model = seen.model or loose.text(value.get("model"))
    message = loose.mapping(value.get("message"))
    loose.heard(seen, Channel.TEXT, loose.text(message.get("content")) or loose.text(value.get("response")))
    loose.heard(seen, Channel.REASONING, loose.text(message.get("thinking")) or loose.text(value.get("thinking")))
    for call in loose.objects(message.get("tool_calls")):
        function = loose.mapping(call.get("function"))
        arguments = loose.json_text(function.get("arguments") or {})
        seen.tools.append(ToolCall(loose.text(function.get("name")), len(arguments.encode("utf-8", "surrogatepass"))))
    if value.get("done"):
        seen.terminal = True
        seen.usage.input_tokens = loose.count(value.get("prompt_eval_count"))
        seen.usage.output_tokens = loose.count(value.get("eval_count"))
        if loose.text(value.get("done_reason")):
            seen.finish_reasons[0] = value["done_reason"]


class _Embedding(msgspec.Struct):
    model: Any = None
    prompt_eval_count: Any = None


_decode_embedding = msgspec.json.Decoder(_Embedding).decode


def _read_embedding(body: bytes, seen: Observation) -> None:
    """Read what an answer says beside its vectors."""
    try:
        value = _decode_embedding(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        seen.unreadable += 1
        return
    seen.model = loose.text(value.model)
    seen.usage.input_tokens = loose.count(value.prompt_eval_count)


DIALECT = OllamaDialect()
