"""Every other OpenAI endpoint: images, audio, moderation, realtime, models, files, batches, and the stateful APIs.

Rules:
1. Where a body names a model it is read, from JSON and from multipart forms, so that rules about models bind.
2. Images, audio and moderation are inspected: their texts are `prompt`, `input`, `instructions`. What is stored at the
   provider or comes in files is not, and said to be skipped.
3. A form's boundary stands in a header that a dialect does not see, so a form is searched for its fields wherever they
   stand; one that names `model` twice, or in an encoded form, is refused.
4. An answer's `model`, `id` and `usage` are read where it has them, a stream's from its last event.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.core.messages import Channel, Operation, RequestFacts, Text
from llmcp.errors import MalformedRequestError, NotEditableError
from llmcp.providers import openai_edit, openai_errors
from llmcp.providers.lenient import Reader, count, loads, request_model, truth
from llmcp.providers.openai_completions import read_inputs
from llmcp.providers.openai_tools import Tool, offered
from llmcp.providers.openai_usage import WireUsage, read_error, read_error_body, read_usage
from llmcp.providers.route import Route

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmcp.core.http import Headers, Respond
    from llmcp.core.messages import Observation, RequestEdits
    from llmcp.ports import Endpoint, Frame, Framing, Refusal

GOVERNED = frozenset({"model", "stream", "input", "prompt", "instructions", "tools", "max_completion_tokens"})
_DISPOSITION = re.compile(rb"(?:^|(?<=\r))content-disposition[ \t]*+:([^\r\n]*+)(\r?\n?[ \t])?", re.IGNORECASE | re.MULTILINE)
_PARAMETER = re.compile(rb';\s*+([^=;\s"]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^;\s"]++))')
_PLAIN_NAME = re.compile(rb"[^\\%']*+")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_MOST_PART_HEADERS = 4096
_FORM_END = re.compile(rb"\r?\n--")
# Of a run, its last event; a step's usage is part of its run's. Of audio and images, the event that has it all.
_LAST_EVENT = re.compile(r"thread\.run\.(?:completed|incomplete|failed|cancelled|expired)|(?!thread\.).*\.(?:done|completed)")
_TEXT_FIELDS = frozenset({b"prompt", b"input", b"instructions"})
_READ_FIELDS = _TEXT_FIELDS | {b"model", b"stream"}
_INSPECTED = frozenset({Operation.IMAGES, Operation.AUDIO, Operation.MODERATION})


class MiscRequest(msgspec.Struct):
    """The parts of a JSON request that rules may ask about."""

    model: Any = None
    stream: Any = None
    input: Any = None
    prompt: Any = None
    instructions: str | None = None
    tools: list[Tool] | None = None
    max_completion_tokens: Any = None


class MiscPayload(msgspec.Struct):
    """The parts of an answer that stand in a record."""

    id: str | None = None
    model: str | None = None
    usage: WireUsage | None = None
    error: Any = None


_REQUEST = Reader(MiscRequest)
_PAYLOAD = Reader(MiscPayload)


class OpenAiMisc:
    """The dialect of what is not a chat, a completion, a response or an embedding."""

    name = "openai_misc"

    def read_request(self, endpoint: Endpoint, body: bytes) -> RequestFacts:
        """See `ProviderDialect.read_request`."""
        inspected = endpoint.operation in _INSPECTED
        skipped = () if inspected else ((endpoint.kind or str(endpoint.operation), "endpoint is not inspected"),)
        start = body[:_MOST_PART_HEADERS].lstrip()[:1]
        if not start and not body.strip():
            return RequestFacts(model=endpoint.model, inspected=inspected, skipped=skipped)
        if not endpoint.json_body and not (start == b"{" and (inspected or endpoint.kind == "stateful")):
            return _read_form(endpoint, body, inspected, skipped)
        wire, unread = _REQUEST.read_request(body, GOVERNED)
        texts, lost = read_inputs(wire.input, "input")
        prompts, more = read_inputs(wire.prompt, "prompt")
        texts += prompts
        if wire.instructions:
            texts += (Text("system", Channel.TEXT, wire.instructions),)
        return RequestFacts(
            model=request_model(wire.model) or endpoint.model,
            stream=truth(wire.stream),
            max_tokens=count(wire.max_completion_tokens),
            tools=offered(wire.tools),
            texts=texts,
            turns=len(texts),
            inspected=inspected,
            skipped=skipped + lost + more + unread,
        )

    def edit_request(self, endpoint: Endpoint, body: bytes, edits: RequestEdits) -> tuple[str, bytes]:
        """See `ProviderDialect.edit_request`."""
        if endpoint.operation in _INSPECTED and body.lstrip()[:1] == b"{":
            return openai_edit.edit(endpoint, body, edits, openai_edit.MODEL_ONLY)
        what = f"a request for `{endpoint.kind or endpoint.operation}` cannot be edited"
        raise NotEditableError(
            what, why="its form is not known well enough", fix="limit the rule with `match: {operations: [chat]}`"
        )

    def read_event(self, endpoint: Endpoint, frame: Frame, seen: Observation) -> None:  # noqa: ARG002
        """See `ProviderDialect.read_event`."""
        if not frame.data:
            return
        seen.events += 1
        if frame.data.strip() == b"[DONE]":
            seen.terminal = True
        elif frame.name == "error":
            seen.error = read_error(loads(frame.data), whole=True)
        elif _LAST_EVENT.fullmatch(frame.name):
            self._read(frame.data, seen)
            seen.terminal = True

    def read_body(self, endpoint: Endpoint, status: int, headers: Headers, body: bytes, seen: Observation) -> None:  # noqa: ARG002
        """See `ProviderDialect.read_body`."""
        if status >= 400:  # noqa: PLR2004 - HTTP errors
            read_error_body(body, seen)
        elif body.lstrip()[:1] == b"{":
            self._read(body, seen)
        seen.terminal = True

    def _read(self, data: bytes, seen: Observation) -> None:
        payload, _ = _PAYLOAD.read(data)
        if payload is None:
            return
        seen.model = payload.model or seen.model
        seen.response_id = payload.id or seen.response_id
        if payload.usage is not None:
            read_usage(payload.usage, seen.usage)
        if payload.error:
            seen.error = read_error({"error": payload.error}, whole=False)

    def refuse(self, refusal: Refusal) -> Respond:
        """See `ProviderDialect.refuse`."""
        return openai_errors.refuse(refusal)

    def refuse_in_stream(self, endpoint: Endpoint, refusal: Refusal, framing: Framing) -> bytes:  # noqa: ARG002
        """See `ProviderDialect.refuse_in_stream`."""
        return openai_errors.refuse_in_stream(refusal, framing)


def _read_form(endpoint: Endpoint, body: bytes, inspected: bool, skipped: tuple[tuple[str, str], ...]) -> RequestFacts:  # noqa: FBT001
    model = ""
    texts: list[Text] = []
    stream = False
    for name, value in _fields(body):
        if name == b"model":
            if model:
                raise _doubtful_form()
            model = value.decode("utf-8", "replace")
        elif name == b"stream":
            stream = truth(value.decode("utf-8", "replace"))
        elif name in _TEXT_FIELDS:
            texts.append(Text("user", Channel.TEXT, value.decode("utf-8", "replace")))
    return RequestFacts(
        model=model or endpoint.model,
        stream=stream,
        texts=tuple(texts),
        turns=len(texts),
        inspected=inspected,
        skipped=(*skipped, ("file", "not text")),
    )


def _fields(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name (lower case) and value of what looks like a form field. Raises MalformedRequestError where that is in doubt."""
    read_up_to = 0
    for line in _DISPOSITION.finditer(body):
        if not line[1].lstrip().lower().startswith(b"form-data") and b"name" not in line[1].lower().replace(b"filename", b""):
            # A mail inside a file, most likely.
            continue
        key, plain = _field_name(line[1])
        plain = plain and not line[2]
        if plain and key not in _READ_FIELDS:
            continue
        blank = _BLANK_LINE.search(body, line.end(), line.end() + _MOST_PART_HEADERS)
        end = _FORM_END.search(body, blank.end()) if blank else None
        if not plain or blank is None or end is None or line.start() < read_up_to:
            raise _doubtful_form()
        if b"content-transfer-encoding" in body[line.start() : blank.start()].lower():
            raise _doubtful_form()
        read_up_to = end.start()
        yield key, body[blank.end() : end.start()]


def _field_name(disposition: bytes) -> tuple[bytes, bool]:
    """Return the `name` (lower case) that a disposition's parameters give, and whether all readers would read the same."""
    names = [(m[1].lower(), m[3] if m[2] is None else m[2]) for m in _PARAMETER.finditer(disposition)]
    named = [value.lower() for key, value in names if key in {b"name", b"name*"}]
    if len(named) != 1 or (b"name*", named[0]) in names:
        return b"", False
    return named[0], bool(_PLAIN_NAME.fullmatch(named[0]))


def _doubtful_form() -> MalformedRequestError:
    return MalformedRequestError(
        "the form's `model` cannot be read for certain",
        why="the field stands twice, or its name or value is encoded",
        fix="send `model` once, as plain text",
        code="duplicate-key",
    )


_POST, _READ, _DELETE = frozenset({"POST"}), frozenset({"GET", "HEAD"}), frozenset({"DELETE"})
_STATEFUL = "assistants|threads|vector_stores|fine_tuning|containers|conversations|uploads|evals|skills|chatkit|organization"
DIALECT = OpenAiMisc()
ROUTES: tuple[Route, ...] = (
    Route(r".*/deployments/(?P<model>[^/]+)/images/[a-z]+", Operation.IMAGES, "images", json_body=False, methods=_POST),
    Route(r".*/deployments/(?P<model>[^/]+)/audio/[a-z]+", Operation.AUDIO, "audio", json_body=False, methods=_POST),
    Route(r".*/images/generations", Operation.IMAGES, "images", methods=_POST),
    Route(r".*/images/(?:edits|variations)", Operation.IMAGES, "images", json_body=False, methods=_POST),
    Route(r".*/audio/speech", Operation.AUDIO, "audio", methods=_POST),
    Route(r".*/audio/(?:transcriptions|translations)", Operation.AUDIO, "audio", json_body=False, methods=_POST),
    Route(r".*/videos(?:/.*)?", Operation.IMAGES, "videos", json_body=False),
    Route(r".*/moderations", Operation.MODERATION, "moderations", methods=_POST),
    Route(r".*/realtime(?:/.*)?", Operation.REALTIME, "realtime", json_body=False, inspectable=False),
    Route(r".*/files(?:/.*)?", Operation.FILES, "files", json_body=False),
    Route(r".*/uploads(?:/.*)?", Operation.FILES, "uploads", json_body=False),
    Route(r".*/batches(?:/.*)?", Operation.BATCHES, "batches"),
    Route(r".*/models(?:/(?P<model>.+))?", Operation.MODELS, "models", json_body=False, methods=_READ),
    Route(r".*/models/(?P<model>.+)", Operation.OTHER, "models", json_body=False, methods=_DELETE),
    Route(rf".*/(?:{_STATEFUL})(?:/.*)?", Operation.OTHER, "stateful", json_body=False),
    Route(r".*/chat/completions(?:/.*)?", Operation.OTHER, "stored", json_body=False),
    Route(r".*/(?:v[12]/)?rerank", Operation.OTHER, "rerank", methods=_POST),
)
