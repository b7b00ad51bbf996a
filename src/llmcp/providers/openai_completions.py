"""Legacy text completions: `prompt` in, `choices[].text` out, everything else as in chat completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.core.messages import Channel, Operation, RequestFacts, Text
from llmcp.providers import openai_edit, openai_errors
from llmcp.providers.lenient import Reader, number, request_model, truth
from llmcp.providers.openai_chat import ChatExtra, StreamOptions, highest, read_chunk, read_payload
from llmcp.providers.route import Route

if TYPE_CHECKING:
    from llmcp.core.http import Headers, Respond
    from llmcp.core.messages import Observation, RequestEdits
    from llmcp.ports import Endpoint, Frame, Framing, Refusal

GOVERNED = frozenset(
    {
        "model",
        "models",
        "prompt",
        "suffix",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "n",
    }
)


class CompletionRequest(msgspec.Struct):
    """The parts of a request that rules may ask about. A prompt may be text, texts, tokens or lists of tokens."""

    model: Any = None
    models: list[str] | None = None
    prompt: Any = None
    suffix: str | None = None
    stream: Any = None
    stream_options: StreamOptions | None = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    temperature: Any = None


_REQUEST = Reader(CompletionRequest)


class OpenAiCompletions:
    """The text completions dialect."""

    name = "openai_completions"

    def read_request(self, endpoint: Endpoint, body: bytes) -> RequestFacts:
        """See `ProviderDialect.read_request`."""
        wire, lost = _REQUEST.read_request(body, GOVERNED)
        texts, skipped = read_inputs(wire.prompt, "prompt")
        if wire.suffix:
            texts += (Text("user", Channel.TEXT, wire.suffix),)
        return RequestFacts(
            model=request_model(wire.model) or endpoint.model,
            stream=truth(wire.stream),
            max_tokens=highest(wire.max_tokens, wire.max_completion_tokens),
            temperature=number(wire.temperature),
            texts=texts,
            turns=1,
            skipped=skipped + lost,
            fallback_models=tuple(wire.models or ()),
            extra=ChatExtra(wire.stream_options.include_usage) if wire.stream_options else None,
        )

    def edit_request(self, endpoint: Endpoint, body: bytes, edits: RequestEdits) -> tuple[str, bytes]:
        """See `ProviderDialect.edit_request`."""
        return openai_edit.edit(endpoint, body, edits, openai_edit.COMPLETIONS)

    def read_event(self, endpoint: Endpoint, frame: Frame, seen: Observation) -> None:  # noqa: ARG002
        """See `ProviderDialect.read_event`."""
        read_chunk(frame, seen)

    def read_body(self, endpoint: Endpoint, status: int, headers: Headers, body: bytes, seen: Observation) -> None:  # noqa: ARG002
        """See `ProviderDialect.read_body`."""
        read_payload(status, body, seen)

    def refuse(self, refusal: Refusal) -> Respond:
        """See `ProviderDialect.refuse`."""
        return openai_errors.refuse(refusal)

    def refuse_in_stream(self, endpoint: Endpoint, refusal: Refusal, framing: Framing) -> bytes:  # noqa: ARG002
        """See `ProviderDialect.refuse_in_stream`."""
        return openai_errors.refuse_in_stream(refusal, framing)


def read_inputs(value: object, what: str) -> tuple[tuple[Text, ...], tuple[tuple[str, str], ...]]:
    """Return the texts of a prompt or an embedding's input, and what in it is no text."""
    texts: list[Text] = []
    skipped: dict[str, str] = {}
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            texts.append(Text("user", Channel.TEXT, item))
        elif isinstance(item, dict) and isinstance(text := item.get("text") or item.get("content"), str):
            texts.append(Text("user", Channel.TEXT, text))
        elif item is not None:
            skipped[what] = "token ids" if isinstance(item, int | list) else "not text"
    return tuple(texts), tuple(skipped.items())


_POST = frozenset({"POST"})
DIALECT = OpenAiCompletions()
ROUTES: tuple[Route, ...] = (
    Route(r".*/deployments/(?P<model>[^/]+)/completions", Operation.TEXT_COMPLETION, "completions", methods=_POST),
    Route(r".*(?<!/chat)/completions", Operation.TEXT_COMPLETION, "completions", methods=_POST),
)
