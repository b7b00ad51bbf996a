"""Cohere's own dialect: chat (v1, v2), generate, embed, rerank; SSE and newline-delimited JSON streams.

Rules:
1. The texts, answers and events of both versions are read in `cohere_chat`.
2. `top_p` is called `p` here.
3. A v2 stream may end with `[DONE]`, which says nothing.

Source: Cohere API reference v1 and v2 ("Chat with streaming", "Errors").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.core.http import Respond
from llmcp.core.messages import Operation, RequestFacts
from llmcp.ports import Framing, RefusalKind
from llmcp.providers import cohere_chat, loose, splice
from llmcp.providers.members import Members
from llmcp.providers.route import Route

if TYPE_CHECKING:
    from llmcp.core.http import Headers
    from llmcp.core.messages import Observation, RequestEdits
    from llmcp.ports import Endpoint, Frame, Refusal

CHAT, GENERATE, EMBED, RERANK, RESOURCE = "chat", "generate", "embed", "rerank", "resource"
_POST = frozenset({"POST"})
_READ = frozenset({"GET", "HEAD"})
_V = r".*/v[12]"

ROUTES: tuple[Route, ...] = (
    Route(_V + r"/chat", Operation.CHAT, CHAT, methods=_POST),
    Route(_V + r"/(?:generate|summarize)", Operation.TEXT_COMPLETION, GENERATE, methods=_POST),
    Route(_V + r"/embed", Operation.EMBEDDINGS, EMBED, stream=False, methods=_POST),
    Route(_V + r"/(?:rerank|classify|tokenize|detokenize)", Operation.OTHER, RERANK, stream=False, methods=_POST),
    Route(_V + r"/embed-jobs(?:/.*)?", Operation.BATCHES, RESOURCE, json_body=False),
    Route(_V + r"/datasets(?:/.*)?", Operation.FILES, RESOURCE, json_body=False),
    Route(_V + r"/models(?:/.*)?", Operation.MODELS, RESOURCE, json_body=False, methods=_READ),
)

_GOVERNED = frozenset(
    {"model", "stream", "max_tokens", "temperature", "p", "tools", "messages", "message", "prompt", "chat_history"}
)
_PLACES: dict[str, splice.Place] = {
    "max_tokens": (("max_tokens",),),
    "temperature": (("temperature",),),
    "top_p": (("p",),),
    "model": (("model",),),
}
_MODEL_ONLY = {"model": _PLACES["model"]}
_FINAL = frozenset({RefusalKind.POLICY, RefusalKind.APPROVAL, RefusalKind.BUDGET})


class CohereDialect:
    """See the module's rules."""

    name = "cohere"

    def read_request(self, endpoint: Endpoint, body: bytes) -> RequestFacts:
        """See `ports.ProviderDialect`."""
        if endpoint.kind == RESOURCE or not endpoint.inspectable:
            return loose.unread(endpoint, body)
        fields = Members(body)
        fields.once_in_any_case(_GOVERNED)
        texts = loose.Texts()
        turns = cohere_chat.read_texts(fields, texts)
        return RequestFacts(
            model=fields.string("model"),
            stream=bool(fields.flag("stream")) if endpoint.stream is None else endpoint.stream,
            max_tokens=fields.whole("max_tokens"),
            temperature=fields.number("temperature"),
            tools=tuple(name for t in loose.objects(fields.value("tools")) if (name := cohere_chat.tool_name(t))),
            texts=texts.texts(),
            turns=turns,
            skipped=texts.skipped(),
        )

    def edit_request(self, endpoint: Endpoint, body: bytes, edits: RequestEdits) -> tuple[str, bytes]:
        """See `ports.ProviderDialect`."""
        if endpoint.kind == RESOURCE or not endpoint.inspectable:
            raise splice.not_editable(next((name for name, _ in edits.fields), "tools"))
        body = splice.set_fields(body, edits, _PLACES if endpoint.kind in {CHAT, GENERATE} else _MODEL_ONLY)
        return endpoint.target, splice.strip_named(body, edits.strip_tools, cohere_chat.tool_name) if edits.strip_tools else body

    def read_event(self, endpoint: Endpoint, frame: Frame, seen: Observation) -> None:  # noqa: ARG002 - its own `type` says all
        """See `ports.ProviderDialect`."""
        if not frame.data:
            return
        seen.events += 1
        if frame.data.strip() == b"[DONE]":
            return
        value = loose.decode_object(frame.data)
        if value is None:
            seen.unreadable += 1
        else:
            cohere_chat.read_stream_event(value, seen)

    def read_body(self, endpoint: Endpoint, status: int, headers: Headers, body: bytes, seen: Observation) -> None:  # noqa: ARG002
        """See `ports.ProviderDialect`."""
        if status >= loose.FIRST_ERROR_STATUS:
            seen.error = loose.provider_error(body)
            return
        if endpoint.kind == EMBED:
            _read_head(body, seen)
            return
        value = loose.decode_object(body)
        if value is not None:
            cohere_chat.read_answer(value, seen)
        elif endpoint.kind != RESOURCE:
            seen.unreadable += 1

    def refuse(self, refusal: Refusal) -> Respond:
        """See `ports.ProviderDialect`."""
        headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),)
        if refusal.kind in _FINAL:
            headers += ((b"x-should-retry", b"false"),)
        return Respond(refusal.status, headers, msgspec.json.encode({"id": refusal.decision_id, "message": refusal.message}))

    def refuse_in_stream(self, endpoint: Endpoint, refusal: Refusal, framing: Framing) -> bytes:
        """See `ports.ProviderDialect`: the last event of a stream, with the reason `ERROR`."""
        if "/v1/" in endpoint.target:
            last: dict[str, Any] = {"event_type": "stream-end", "is_finished": True, "finish_reason": "ERROR"}
            last["response"] = {"text": "", "message": refusal.message}
        else:
            last = {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": refusal.message}}
        data = msgspec.json.encode(last)
        if framing is Framing.NDJSON:
            return data + b"\n"
        name = str(last.get("type") or last["event_type"]).encode()
        return b"event: " + name + b"\ndata: " + data + b"\n\n" if framing is Framing.SSE else b""


class _Head(msgspec.Struct):
    id: Any = None
    meta: Any = None


_decode_head = msgspec.json.Decoder(_Head).decode


def _read_head(body: bytes, seen: Observation) -> None:
    """Read what an embedding answer says beside its vectors."""
    try:
        head = _decode_head(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        seen.unreadable += 1
        return
    seen.response_id = loose.text(head.id)
    cohere_chat.read_usage(head.meta, seen)


DIALECT = CohereDialect()
