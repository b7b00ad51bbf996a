"""Bedrock's dialect: Converse, Invoke and CountTokens; JSON bodies, AWS event-streams.

Rules:
1. Requests are inspected and refused, never edited: the body is covered by the signature.
2. The path names the model (an id or an ARN). An Invoke body has the form of the model's vendor: see `bedrock_invoke`.
3. `inputTokens` excludes cache reads and writes; `Usage` includes them.
4. An exception in a stream ends it.

Source: Amazon Bedrock Runtime API reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from llmcp.core.http import Respond
from llmcp.core.messages import Operation, ProviderError, RequestFacts
from llmcp.engine.aws_eventstream import exception_message
from llmcp.errors import NotEditableError
from llmcp.ports import Framing, RefusalKind
from llmcp.providers import bedrock_converse, bedrock_invoke, loose
from llmcp.providers.members import Members
from llmcp.providers.route import Route

if TYPE_CHECKING:
    from llmcp.core.http import Headers
    from llmcp.core.messages import Observation, RequestEdits
    from llmcp.ports import Endpoint, Frame, Refusal

CONVERSE, INVOKE, COUNT_TOKENS, RESOURCE, OPAQUE = "converse", "invoke", "count_tokens", "resource", "opaque"
_POST = frozenset({"POST"})
_READ = frozenset({"GET", "HEAD"})
_MODEL = r".*/model/(?P<model>.+)"

ROUTES: tuple[Route, ...] = (
    Route(_MODEL + r"/converse", Operation.CHAT, CONVERSE, stream=False, methods=_POST),
    Route(_MODEL + r"/converse-stream", Operation.CHAT, CONVERSE, stream=True, methods=_POST),
    Route(_MODEL + r"/invoke", Operation.CHAT, INVOKE, stream=False, methods=_POST),
    Route(_MODEL + r"/invoke-with-response-stream", Operation.CHAT, INVOKE, stream=True, methods=_POST),
    Route(_MODEL + r"/count-tokens", Operation.COUNT_TOKENS, COUNT_TOKENS, stream=False, methods=_POST),
    Route(_MODEL + r"/invoke-with-bidirectional-stream", Operation.REALTIME, OPAQUE, json_body=False, inspectable=False),
    Route(r".*/async-invoke(?:/.*)?", Operation.BATCHES, OPAQUE, inspectable=False),
    Route(r".*/guardrail/.*", Operation.MODERATION, OPAQUE, inspectable=False),
    Route(
        r".*/(?:foundation-models|inference-profiles|custom-models)(?:/.*)?",
        Operation.MODELS,
        RESOURCE,
        json_body=False,
        methods=_READ,
    ),
)

_ERROR_TYPES = {
    RefusalKind.POLICY: "AccessDeniedException",
    RefusalKind.APPROVAL: "AccessDeniedException",
    RefusalKind.RATE: "ThrottlingException",
    RefusalKind.BUDGET: "ServiceQuotaExceededException",
    RefusalKind.UNAVAILABLE: "ServiceUnavailableException",
    RefusalKind.UNAUTHENTICATED: "UnrecognizedClientException",
    RefusalKind.BAD_REQUEST: "ValidationException",
    RefusalKind.NOT_FOUND: "ResourceNotFoundException",
    RefusalKind.UNSUPPORTED_MEDIA_TYPE: "ValidationException",
    RefusalKind.TOO_LARGE: "ValidationException",
    RefusalKind.UPSTREAM_FAILED: "ServiceUnavailableException",
    RefusalKind.UPSTREAM_TIMEOUT: "ModelTimeoutException",
}
# Only these exist as members of the response streams; SDKs raise others without a type of their own.
_STREAM_EXCEPTIONS = {
    RefusalKind.RATE: "throttlingException",
    RefusalKind.BUDGET: "throttlingException",
    RefusalKind.UNAVAILABLE: "serviceUnavailableException",
    RefusalKind.UPSTREAM_FAILED: "modelStreamErrorException",
    RefusalKind.UPSTREAM_TIMEOUT: "modelStreamErrorException",
}
_INPUT_HEADER, _OUTPUT_HEADER = b"x-amzn-bedrock-input-token-count", b"x-amzn-bedrock-output-token-count"


class BedrockDialect:
    """See the module's rules."""

    name = "bedrock"

    def read_request(self, endpoint: Endpoint, body: bytes) -> RequestFacts:
        """See `ports.ProviderDialect`."""
        if endpoint.kind in {RESOURCE, OPAQUE} or not endpoint.inspectable:
            return loose.unread(endpoint, body)
        fields = Members(body)
        if endpoint.kind == CONVERSE:
            return bedrock_converse.read_request(endpoint, fields)
        if endpoint.kind == COUNT_TOKENS:
            return bedrock_invoke.read_count_tokens(endpoint, fields)
        return bedrock_invoke.read_request(endpoint, fields)

    def edit_request(self, endpoint: Endpoint, body: bytes, edits: RequestEdits) -> tuple[str, bytes]:
        """Return the request as it is. Raises: NotEditableError for every edit (rule 1)."""
        if edits:
            what = "a request to Bedrock cannot be edited"
            raise NotEditableError(
                what,
                why="its body is signed, and any change breaks the signature",
                fix="use `deny` for this provider, or exclude it from the rule's `match`",
            )
        return endpoint.target, body

    def read_event(self, endpoint: Endpoint, frame: Frame, seen: Observation) -> None:
        """See `ports.ProviderDialect`."""
        name = frame.name
        seen.events += 1
        value = loose.decode_object(frame.data)
        if name.endswith(("Exception", "Error")):
            seen.error = ProviderError(name, "", loose.text((value or {}).get("message")))
        elif value is None:
            seen.unreadable += 1
        elif name == "chunk" or endpoint.kind == INVOKE:
            bedrock_invoke.read_chunk(value, seen)
        else:
            bedrock_converse.read_event(name, value, seen)

    def read_body(self, endpoint: Endpoint, status: int, headers: Headers, body: bytes, seen: Observation) -> None:
        """See `ports.ProviderDialect`."""
        if status >= loose.FIRST_ERROR_STATUS:
            seen.error = _error(headers, body)
            return
        if endpoint.kind in {CONVERSE, INVOKE}:
            value = loose.decode_object(body)
            if value is None:
                seen.unreadable += 1
            elif endpoint.kind == CONVERSE:
                bedrock_converse.read_answer(value, seen)
            else:
                bedrock_invoke.read_answer(value, seen)
        _read_headers(headers, seen)

    def refuse(self, refusal: Refusal) -> Respond:
        """See `ports.ProviderDialect`."""
        headers = (
            (b"content-type", b"application/json"),
            (b"x-amzn-errortype", _ERROR_TYPES[refusal.kind].encode()),
            (b"x-amzn-requestid", refusal.decision_id.encode("ascii", "replace")),
        )
        return Respond(refusal.status, headers, _message(refusal))

    def refuse_in_stream(self, endpoint: Endpoint, refusal: Refusal, framing: Framing) -> bytes:  # noqa: ARG002
        """See `ports.ProviderDialect`."""
        if framing is not Framing.AWS_EVENTSTREAM:
            return b""
        return exception_message(_STREAM_EXCEPTIONS.get(refusal.kind, "validationException"), _message(refusal))


def _message(refusal: Refusal) -> bytes:
    return msgspec.json.encode({"message": refusal.message})


def _error(headers: Headers, body: bytes) -> ProviderError:
    """Read an error; its type stands in a header, as `NAME` or `NAME:address`."""
    error = loose.provider_error(body)
    kind = next((value for name, value in headers if name == b"x-amzn-errortype"), b"")
    named = kind.partition(b":")[0].decode("latin-1")
    return ProviderError(error.type or named, error.code, error.message)


def _read_headers(headers: Headers, seen: Observation) -> None:
    """Take the counts of the headers where the body had none."""
    for name, value in headers:
        if name in {_INPUT_HEADER, _OUTPUT_HEADER} and value.isdigit() and len(value) < 19:  # noqa: PLR2004 - below 2**63
            if name == _INPUT_HEADER and seen.usage.input_tokens is None:
                seen.usage.input_tokens = int(value)
            elif name == _OUTPUT_HEADER and seen.usage.output_tokens is None:
                seen.usage.output_tokens = int(value)


DIALECT = BedrockDialect()
