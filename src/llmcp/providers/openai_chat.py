"""Chat completions, OpenAI's and that of every host that copied it.

Rules:
1. A choice's text is its delta's, or its message's where there is no delta (Perplexity sends both, the message whole).
2. Usage may stand on any chunk, under `x_groq`, or nowhere; the last word counts.
3. A stream has ended with `[DONE]`, or once every choice seen has its finish reason: some hosts never say `[DONE]`.
4. `scratch["usage_only"]` is True right after an event that had usage and no choices: the chunk that `include_usage` causes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.core.messages import Channel, Operation, RequestFacts, Text
from llmcp.providers import openai_edit, openai_errors
from llmcp.providers.lenient import Reader, count, loads, number, request_model, truth, word
from llmcp.providers.openai_tools import Call, Function, Tool, offered, see_calls
from llmcp.providers.openai_usage import WireUsage, read_error, read_error_body, read_usage
from llmcp.providers.route import Route

if TYPE_CHECKING:
    from llmcp.core.http import Headers, Respond
    from llmcp.core.messages import Observation, RequestEdits
    from llmcp.ports import Endpoint, Frame, Framing, Refusal

GOVERNED = frozenset(
    {
        "model",
        "models",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "n",
        "messages",
        "tools",
        "tool_choice",
        "functions",
        "web_search_options",
    },
)
_TEXT_ROLES = {"tool": Channel.TOOL_RESULT, "function": Channel.TOOL_RESULT}


class ChatExtra(msgspec.Struct, frozen=True, gc=False):
    """What the facts of a chat request do not have a field for. `include_usage` is None where the client said nothing."""

    include_usage: bool | None = None


class Part(msgspec.Struct, gc=False):
    """One part of a message's content. Mistral's `thinking` holds parts again."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    thinking: list[Part | str] | str | None = None


type Content = str | list[Part | str] | None


class StreamOptions(msgspec.Struct, gc=False):
    """The `stream_options` of a request."""

    include_usage: bool | None = None


class Message(msgspec.Struct, gc=False):
    """One message of a request or of an answer; a delta is a message too."""

    role: str | None = None
    content: Content = None
    refusal: str | None = None
    reasoning_content: Content = None
    reasoning: Content = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None


class Prediction(msgspec.Struct, gc=False):
    """A predicted output: text that goes to the provider like any other."""

    content: Content = None


class ChatRequest(msgspec.Struct, gc=False):
    """The parts of a request that rules may ask about."""

    model: Any = None
    models: list[str] | None = None
    stream: Any = None
    stream_options: StreamOptions | None = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    temperature: Any = None
    messages: list[Message] | None = None
    tools: list[Tool] | None = None
    functions: list[Function] | None = None
    web_search_options: Any = None
    prediction: Prediction | None = None


class Choice(msgspec.Struct, gc=False):
    """One choice of an answer, whole or a chunk. `text` is that of completions."""

    index: int | None = None
    delta: Message | None = None
    message: Message | None = None
    text: str | None = None
    finish_reason: str | int | None = None


class GroqExtra(msgspec.Struct, gc=False):
    """Where Groq puts usage in streams."""

    usage: WireUsage | None = None


class ChatPayload(msgspec.Struct, gc=False):
    """A whole answer or one chunk of a stream."""

    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: WireUsage | None = None
    x_groq: GroqExtra | None = None
    error: Any = None


_REQUEST = Reader(ChatRequest)
_PAYLOAD = Reader(ChatPayload)


class OpenAiChat:
    """The chat completions dialect."""

    name = "openai_chat"

    def read_request(self, endpoint: Endpoint, body: bytes) -> RequestFacts:
        """See `ProviderDialect.read_request`."""
        wire, lost = _REQUEST.read_request(body, GOVERNED)
        texts, skipped = read_messages(wire.messages)
        if wire.prediction is not None:
            add_content(texts, skipped, "assistant", Channel.TEXT, wire.prediction.content)
        return RequestFacts(
            model=request_model(wire.model) or endpoint.model,
            stream=truth(wire.stream),
            max_tokens=highest(wire.max_tokens, wire.max_completion_tokens),
            temperature=number(wire.temperature),
            tools=offered(wire.tools, wire.functions, wire.web_search_options),
            texts=tuple(texts),
            turns=len(wire.messages or ()),
            contents=len([message for message in wire.messages or () if message.content is not None]),
            skipped=(*skipped.items(), *lost),
            # OpenRouter's `models`: the host may answer with any of them.
            fallback_models=tuple(wire.models or ()),
            extra=ChatExtra(wire.stream_options.include_usage) if wire.stream_options is not None else None,
        )

    def edit_request(self, endpoint: Endpoint, body: bytes, edits: RequestEdits) -> tuple[str, bytes]:
        """See `ProviderDialect.edit_request`."""
        return openai_edit.edit(endpoint, body, edits, openai_edit.CHAT)

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


def highest(*limits: object) -> int | None:
    """Return the most generous of several limits: which one a host obeys is its own business. A negative one means none."""
    most: int | None = None
    for limit in limits:
        known = count(limit)
        if known is None:
            continue
        if known < 0:
            return None
        if most is None or known > most:
            most = known
    return most


def read_messages(messages: list[Message] | None) -> tuple[list[Text], dict[str, str]]:
    """Return the texts of `messages`, and what kinds of content have none."""
    texts: list[Text] = []
    skipped: dict[str, str] = {}
    for message in messages or ():
        role = message.role or ""
        content = message.content
        if type(content) is str:
            texts.append(Text(role, _TEXT_ROLES.get(role, Channel.TEXT), content))
        elif content is not None:
            add_content(texts, skipped, role, _TEXT_ROLES.get(role, Channel.TEXT), content)
        if message.tool_calls or message.function_call or (role == "assistant" and _says_more(message)):
            _add_answer_parts(texts, skipped, role, message)
    return texts, skipped


def _says_more(message: Message) -> bool:
    return bool(message.refusal) or message.reasoning_content is not None or message.reasoning is not None


def _add_answer_parts(texts: list[Text], skipped: dict[str, str], role: str, message: Message) -> None:
    if message.refusal:
        texts.append(Text(role, Channel.REFUSAL, message.refusal))
    add_content(texts, skipped, role, Channel.REASONING, message.reasoning_content)
    add_content(texts, skipped, role, Channel.REASONING, message.reasoning)
    functions = [call.function or call.custom for call in message.tool_calls or ()]
    arguments = [f.arguments or f.input for f in (*functions, message.function_call) if f is not None]
    texts += [Text(role, Channel.TOOL_ARGUMENTS, a) for a in arguments if a]


def add_content(texts: list[Text], skipped: dict[str, str], role: str, channel: Channel, content: Content) -> None:
    """Append the texts of a message's content; parts without text go into `skipped` by their type."""
    if isinstance(content, str):
        texts.append(Text(role, channel, content))
        return
    for part in content or ():
        if isinstance(part, str):
            texts.append(Text(role, channel, part))
        elif part.text is not None:
            texts.append(Text(role, channel, part.text))
        elif part.refusal is not None:
            texts.append(Text(role, Channel.REFUSAL, part.refusal))
        elif part.thinking is not None:
            add_content(texts, skipped, role, Channel.REASONING, part.thinking)
        else:
            skipped[part.type or "part"] = "not text"


def read_chunk(frame: Frame, seen: Observation) -> None:
    """Read one event of a chat or completions stream."""
    data = frame.data
    if not data:
        return
    seen.events += 1
    if data == b"[DONE]" or data.strip() == b"[DONE]":
        seen.terminal = True
        return
    chunk, dropped = _PAYLOAD.read(data)
    seen.unreadable += dropped
    if chunk is None:
        if frame.name == "error":
            seen.error = read_error(loads(data), whole=True)
        return
    if chunk.error or frame.name == "error":
        seen.error = read_error(loads(data), whole=frame.name == "error") or seen.error
    _identify(chunk, seen)
    for position, choice in enumerate(chunk.choices or ()):
        index = position if choice.index is None else choice.index
        _read_message(seen, index, choice.delta or choice.message, choice.text, streamed=True)
        open_choices = seen.scratch.setdefault("open", set())
        if choice.finish_reason:
            seen.finish_reasons[index] = word(choice.finish_reason)
            open_choices.discard(index)
            seen.terminal = not open_choices
        elif index not in seen.finish_reasons:
            open_choices.add(index)
            seen.terminal = False


def read_payload(status: int, body: bytes, seen: Observation) -> None:
    """Read a whole answer of chat or completions."""
    if status >= 400:  # noqa: PLR2004 - HTTP errors
        read_error_body(body, seen)
        return
    payload, dropped = _PAYLOAD.read(body)
    seen.unreadable += dropped
    if payload is None:
        return
    if payload.error:
        seen.error = read_error(loads(body), whole=False)
    _identify(payload, seen)
    for position, choice in enumerate(payload.choices or ()):
        index = position if choice.index is None or choice.index in seen.finish_reasons else choice.index
        if choice.finish_reason is not None:
            seen.finish_reasons[index] = word(choice.finish_reason)
        _read_message(seen, index, choice.message or choice.delta, choice.text, streamed=False)
    seen.terminal = True


def _identify(payload: ChatPayload, seen: Observation) -> None:
    if not seen.model and payload.model:
        seen.model = payload.model
    if not seen.response_id and payload.id:
        seen.response_id = payload.id
    usage = payload.usage or (payload.x_groq.usage if payload.x_groq else None)
    if usage is not None:
        read_usage(usage, seen.usage)
    seen.scratch["usage_only"] = usage is not None and not payload.choices


def _read_message(seen: Observation, index: int, message: Message | None, text: str | None, *, streamed: bool) -> None:
    if message is None:
        if text:
            seen.add_text(Channel.TEXT, text)
        return
    content = message.content
    if type(content) is str:
        if content:
            seen.add_text(Channel.TEXT, content)
    elif content is not None:
        see_content(seen, Channel.TEXT, content)
    elif text:
        seen.add_text(Channel.TEXT, text)
    # Hosts that send both spell the same reasoning twice.
    if (reasoning := message.reasoning_content or message.reasoning) is not None:
        see_content(seen, Channel.REASONING, reasoning)
    if message.refusal:
        seen.add_text(Channel.REFUSAL, message.refusal)
    if message.tool_calls or message.function_call is not None:
        see_calls(seen, index, message.tool_calls, message.function_call, streamed=streamed)


def see_content(seen: Observation, channel: Channel, content: Content) -> None:
    """Write the texts of an answer's content into `seen`."""
    texts: list[Text] = []
    add_content(texts, {}, "assistant", channel, content)
    for text in texts:
        seen.add_text(text.channel, text.text)


_POST = frozenset({"POST"})
DIALECT = OpenAiChat()
ROUTES: tuple[Route, ...] = (
    Route(r".*/deployments/(?P<model>[^/]+)/chat/completions", Operation.CHAT, "chat", methods=_POST),
    Route(r".*/chat/completions", Operation.CHAT, "chat", methods=_POST),
)
