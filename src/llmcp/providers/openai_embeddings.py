"""Embeddings: texts in, vectors out; the vectors are skipped, never built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.core.messages import Operation, RequestFacts
from llmcp.providers import openai_edit, openai_errors
from llmcp.providers.lenient import Reader, request_model
from llmcp.providers.openai_chat import read_chunk, read_payload
from llmcp.providers.openai_completions import read_inputs
from llmcp.providers.route import Route

if TYPE_CHECKING:
    from llmcp.core.http import Headers, Respond
    from llmcp.core.messages import Observation, RequestEdits
    from llmcp.ports import Endpoint, Frame, Framing, Refusal

GOVERNED = frozenset({"model", "input"})


class EmbeddingRequest(msgspec.Struct):
    """The parts of a request that rules may ask about."""

    model: Any = None
    input: Any = None


_REQUEST = Reader(EmbeddingRequest)


class OpenAiEmbeddings:
    """The embeddings dialect."""

    name = "openai_embeddings"

    def read_request(self, endpoint: Endpoint, body: bytes) -> RequestFacts:
        """See `ProviderDialect.read_request`."""
        wire, lost = _REQUEST.read_request(body, GOVERNED)
        texts, skipped = read_inputs(wire.input, "input")
        model = request_model(wire.model) or endpoint.model
        return RequestFacts(model=model, texts=texts, turns=len(texts), skipped=skipped + lost)

    def edit_request(self, endpoint: Endpoint, body: bytes, edits: RequestEdits) -> tuple[str, bytes]:
        """See `ProviderDialect.edit_request`."""
        return openai_edit.edit(endpoint, body, edits, openai_edit.MODEL_ONLY)

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


_POST = frozenset({"POST"})
DIALECT = OpenAiEmbeddings()
ROUTES: tuple[Route, ...] = (
    Route(r".*/deployments/(?P<model>[^/]+)/embeddings", Operation.EMBEDDINGS, "embeddings", methods=_POST),
    Route(r".*/embeddings", Operation.EMBEDDINGS, "embeddings", methods=_POST),
)
