"""The Responses API: create, compact, input_tokens, and stored responses read back.

Rules:
1. Texts come from deltas; where the final response (or, where that is empty, its finished items) holds more, that counts.
2. A tool call is known from `output_item.added` on, before its arguments. Besides functions and custom tools, calls that the
   client carries out count as tool calls under the tool's type (`local_shell`, `apply_patch` …): a rule about them must bind.
   Tools the provider runs itself are not called by the client and do not count.
3. The finish reason is the response's `status`; the last word on error and usage is the final event's.
4. History that the provider keeps (`previous_response_id`, `conversation`) is not seen here, and said to be skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.core.messages import Channel, Observation, Operation, RequestFacts, Text
from llmcp.errors import NotEditableError
from llmcp.providers import openai_edit, openai_errors
from llmcp.providers.lenient import Reader, loads, number, request_model, truth
from llmcp.providers.openai_chat import Content, add_content, highest, see_content
from llmcp.providers.openai_completions import read_inputs
from llmcp.providers.openai_tools import Tool, models_of, offered, see_piece
from llmcp.providers.openai_usage import WireUsage, read_error, read_error_body, read_usage
from llmcp.providers.route import Route

if TYPE_CHECKING:
    from llmcp.core.http import Headers, Respond
    from llmcp.core.messages import RequestEdits, ToolCall
    from llmcp.ports import Endpoint, Frame, Framing, Refusal

GOVERNED = frozenset(
    {
        "model",
        "models",
        "stream",
        "max_output_tokens",
        "max_tokens",
        "temperature",
        "top_p",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "prompt",
    },
)
_NAMED_CALLS = frozenset({"function_call", "custom_tool_call"})
_CLIENT_CALLS = {
    "local_shell_call": "local_shell",
    "shell_call": "shell",
    "apply_patch_call": "apply_patch",
    "computer_call": "computer_use_preview",
}
_TEXT_DELTAS = {
    "response.output_text.delta": Channel.TEXT,
    "response.refusal.delta": Channel.REFUSAL,
    "response.reasoning_summary_text.delta": Channel.REASONING,
    "response.reasoning_text.delta": Channel.REASONING,
}
_ARGUMENT_DELTAS = frozenset({"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"})
_ITEM_EVENTS = frozenset({"response.output_item.added", "response.output_item.done"})
_FIRST_EVENTS = frozenset({"response.created", "response.in_progress", "response.queued"})
_LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})


class Item(msgspec.Struct):
    """One item of `input` or `output`, of any type."""

    type: str | None = None
    role: str | None = None
    id: str | None = None
    name: str | None = None
    content: Content = None
    summary: Content = None
    arguments: Any = None
    input: Any = None
    output: Content = None
    action: Any = None
    encrypted_content: Any = None


class Prompt(msgspec.Struct):
    """A stored prompt with what is filled in."""

    variables: dict[str, Any] | None = None


class ResponsesRequest(msgspec.Struct):
    """The parts of a request that rules may ask about."""

    model: Any = None
    models: list[str] | None = None
    stream: Any = None
    input: list[Item | str] | str | None = None
    instructions: list[Item | str] | str | None = None
    tools: list[Tool] | None = None
    max_output_tokens: Any = None
    max_tokens: Any = None
    temperature: Any = None
    prompt: Prompt | None = None
    previous_response_id: str | None = None
    conversation: Any = None


class Response(msgspec.Struct):
    """A response object, whole or as the payload of an event."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: list[Item] | None = None
    usage: WireUsage | None = None
    error: Any = None


class Event(msgspec.Struct):
    """One event of a stream."""

    type: str | None = None
    delta: str | None = None
    response: Response | None = None
    item: Item | None = None
    output_index: int | None = None
    item_id: str | None = None


_REQUEST = Reader(ResponsesRequest)
_EVENT = Reader(Event)
_RESPONSE = Reader(Response)


class OpenAiResponses:
    """The Responses API's dialect."""

    name = "openai_responses"

    def read_request(self, endpoint: Endpoint, body: bytes) -> RequestFacts:
        """See `ProviderDialect.read_request`."""
        if endpoint.kind == "item":
            return RequestFacts(model=endpoint.model, skipped=(("response", "stored at the provider"),))
        wire, lost = _REQUEST.read_request(body, GOVERNED)
        texts: list[Text] = []
        skipped: dict[str, str] = {}
        _read_items(texts, skipped, "system", wire.instructions)
        _read_items(texts, skipped, "user", wire.input)
        if wire.prompt is not None:
            texts += read_inputs(list((wire.prompt.variables or {}).values()), "prompt")[0]
        if wire.previous_response_id or wire.conversation is not None:
            skipped["history"] = "stored at the provider"
        if wire.prompt is not None:
            skipped["prompt"] = "stored at the provider"
        return RequestFacts(
            model=request_model(wire.model) or endpoint.model,
            stream=truth(wire.stream),
            max_tokens=highest(wire.max_output_tokens, wire.max_tokens),
            temperature=number(wire.temperature),
            tools=offered(wire.tools),
            texts=tuple(texts),
            turns=len(wire.input) if isinstance(wire.input, list) else int(wire.input is not None),
            skipped=(*skipped.items(), *lost),
            fallback_models=(*(wire.models or ()), *models_of(wire.tools)),
        )

    def edit_request(self, endpoint: Endpoint, body: bytes, edits: RequestEdits) -> tuple[str, bytes]:
        """See `ProviderDialect.edit_request`."""
        if endpoint.kind == "item":
            what = "a stored response cannot be edited"
            raise NotEditableError(what, why="the request only names it")
        editable = openai_edit.RESPONSES if endpoint.kind == "responses" else openai_edit.MODEL_ONLY
        return openai_edit.edit(endpoint, body, edits, editable)

    def read_event(self, endpoint: Endpoint, frame: Frame, seen: Observation) -> None:  # noqa: ARG002
        """See `ProviderDialect.read_event`."""
        if not frame.data:
            return
        seen.events += 1
        if frame.data.strip() == b"[DONE]":
            seen.terminal = True
            return
        event, dropped = _EVENT.read(frame.data)
        seen.unreadable += dropped
        if event is not None:
            _see_event(seen, event.type or frame.name, event, frame.data)

    def read_body(self, endpoint: Endpoint, status: int, headers: Headers, body: bytes, seen: Observation) -> None:
        """See `ProviderDialect.read_body`."""
        del headers
        if status >= 400:  # noqa: PLR2004 - HTTP errors
            read_error_body(body, seen)
            return
        if endpoint.kind == "input_tokens" or not body.strip():
            return
        response, dropped = _RESPONSE.read(body)
        seen.unreadable += dropped
        if response is not None:
            _see_response(seen, response)
            seen.terminal = True

    def refuse(self, refusal: Refusal) -> Respond:
        """See `ProviderDialect.refuse`."""
        return openai_errors.refuse(refusal)

    def refuse_in_stream(self, endpoint: Endpoint, refusal: Refusal, framing: Framing) -> bytes:  # noqa: ARG002
        """See `ProviderDialect.refuse_in_stream`."""
        return openai_errors.fail_response(refusal, framing)


def _read_items(texts: list[Text], skipped: dict[str, str], role: str, items: list[Item | str] | str | None) -> None:
    if isinstance(items, str):
        texts.append(Text(role, Channel.TEXT, items))
        return
    for item in items or ():
        if isinstance(item, str):
            texts.append(Text(role, Channel.TEXT, item))
        else:
            _read_item(texts, skipped, role, item)


def _read_item(texts: list[Text], skipped: dict[str, str], role: str, item: Item) -> None:
    kind = item.type or "message"
    if kind == "reasoning":
        add_content(texts, skipped, "assistant", Channel.REASONING, item.summary)
        add_content(texts, skipped, "assistant", Channel.REASONING, item.content)
    elif kind == "message":
        add_content(texts, skipped, item.role or role, Channel.TEXT, item.content)
    else:
        before = len(texts)
        texts += [Text("assistant", Channel.TOOL_ARGUMENTS, _as_text(a)) for a in (item.arguments, item.input) if a]
        add_content(texts, skipped, "tool", Channel.TOOL_RESULT, item.output)
        add_content(texts, skipped, item.role or role, Channel.TEXT, item.content)
        if item.action is not None:
            texts.append(Text("assistant", Channel.TOOL_ARGUMENTS, msgspec.json.encode(item.action).decode()))
        if len(texts) == before:
            skipped[kind] = "no text"
    if item.encrypted_content is not None:
        skipped[kind] = "encrypted"


def _see_event(seen: Observation, kind: str, event: Event, data: bytes) -> None:
    if (channel := _TEXT_DELTAS.get(kind)) is not None:
        if event.delta:
            seen.add_text(channel, event.delta)
    elif kind in _ARGUMENT_DELTAS:
        see_piece(seen, _key(event), None, None, event.delta)
    elif kind in _ITEM_EVENTS:
        if event.item is not None:
            _see_call(seen, _key(event), event.item, done=kind == "response.output_item.done")
            if kind == "response.output_item.done":
                seen.scratch.setdefault("items", []).append(event.item)
    elif kind in _LAST_EVENTS:
        seen.terminal = True
        if event.response is not None:
            _see_response(seen, event.response)
    elif kind in _FIRST_EVENTS:
        if event.response is not None:
            _identify(seen, event.response)
    elif kind == "error":
        seen.error = read_error(loads(data), whole=True) or seen.error


def _key(event: Event) -> tuple[object, ...]:
    return ("item", event.item_id if event.output_index is None else event.output_index)


def _identify(seen: Observation, response: Response) -> None:
    seen.model = response.model or seen.model
    seen.response_id = response.id or seen.response_id


def _see_response(seen: Observation, response: Response) -> None:
    """Read a whole response, or the one that ends a stream."""
    _identify(seen, response)
    if response.status:
        seen.finish_reasons[0] = response.status
    if response.usage is not None:
        read_usage(response.usage, seen.usage)
    if response.error:
        seen.error = read_error({"error": response.error}, whole=True)
    items = response.output or seen.scratch.pop("items", [])
    whole = Observation(keep_text=seen.keep_text)
    for index, item in enumerate(items):
        # Streams may have told of this call before, under this place in the output.
        _see_call(seen, ("item", index), item, done=True)
        _see_texts(whole, item)
    if whole.text_bytes > seen.text_bytes:
        seen.text_bytes, seen.texts = whole.text_bytes, whole.texts
    seen.reasoning_bytes = max(seen.reasoning_bytes, whole.reasoning_bytes)


def _see_texts(seen: Observation, item: Item) -> None:
    if item.type == "message" and item.role != "user":
        see_content(seen, Channel.TEXT, item.content)
    elif item.type == "reasoning":
        see_content(seen, Channel.REASONING, item.summary)
        see_content(seen, Channel.REASONING, item.content)


def _see_call(seen: Observation, key: tuple[object, ...], item: Item, *, done: bool) -> None:
    kind = item.type or ""
    name = item.name if kind in _NAMED_CALLS else _CLIENT_CALLS.get(kind)
    if not name:
        return
    entry: tuple[ToolCall, str | None] | None = seen.scratch.get(key)
    known = entry is not None and entry[0].name == name
    arguments = None if entry is not None and known and entry[0].args_bytes else item.arguments or item.input
    see_piece(seen, key, None if known else name, None, _as_text(arguments) if done and arguments else None)


def _as_text(arguments: Any) -> str:  # noqa: ANN401 - functions have a string, a tool search has an object
    """Return a call's arguments as the text that a rule may ask about."""
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


_POST = frozenset({"POST"})
DIALECT = OpenAiResponses()
ROUTES: tuple[Route, ...] = (
    Route(r".*/responses/compact", Operation.CHAT, "compact", methods=_POST),
    Route(r".*/responses/input_tokens", Operation.COUNT_TOKENS, "input_tokens", methods=_POST),
    Route(r".*/responses", Operation.CHAT, "responses", methods=_POST),
    Route(r".*/responses/[^/]+(?:/.*)?", Operation.OTHER, "item", json_body=False),
)
