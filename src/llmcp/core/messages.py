"""What llmcp knows of a request and of a response, whatever the provider's dialect.

Rules:
1. Token counts follow CONTRACT section 5: `input_tokens` is the total with cache reads and writes, `output_tokens` includes reasoning.
2. What nobody said is None here; neutral values are applied where a condition is evaluated, not where a fact is read.
3. An `Observation` only grows; reading an event twice is the caller's bug.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Operation(StrEnum):
    """The closed list of operations of CONTRACT section 2."""

    CHAT = "chat"
    TEXT_COMPLETION = "text_completion"
    EMBEDDINGS = "embeddings"
    COUNT_TOKENS = "count_tokens"
    MODELS = "models"
    FILES = "files"
    BATCHES = "batches"
    IMAGES = "images"
    AUDIO = "audio"
    MODERATION = "moderation"
    REALTIME = "realtime"
    OTHER = "other"


class Channel(StrEnum):
    """Which logical stream of a message a text belongs to."""

    TEXT = "text"
    REASONING = "reasoning"
    TOOL_ARGUMENTS = "tool_arguments"
    TOOL_RESULT = "tool_result"
    REFUSAL = "refusal"


class Text(msgspec.Struct, frozen=True, gc=False):
    """One text of a request, decoded. `role` is the dialect's own word (`system`, `user`, `assistant`, `tool` …)."""

    role: str
    channel: Channel
    text: str


class RequestFacts(msgspec.Struct, frozen=True, gc=False):
    """What a dialect read from one request.

    `inspected` is False when the dialect does not know the endpoint or the form of the body: then only what the path says is
    filled in and `skipped` says why. `tools` are the names of offered tools (`type` for nameless server tools), in order.
    `fallback_models` are the models that the request lets the provider take instead, or beside (a server tool's own). `contents` counts the messages in
    which a `content` was read. `turns` counts messages. `max_tokens` and `temperature` are None where the request is silent.
    """

    model: str = ""
    stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    tools: tuple[str, ...] = ()
    texts: tuple[Text, ...] = ()
    turns: int = 0
    inspected: bool = True
    skipped: tuple[tuple[str, str], ...] = ()
    fallback_models: tuple[str, ...] = ()
    contents: int = 0
    extra: Any = None

    def text_bytes(self) -> int:
        """Return the size of all texts, in UTF-8 bytes (characters where they are ASCII)."""
        size = 0
        for each in self.texts:
            text = each.text
            size += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        return size


class RequestEdits(msgspec.Struct, frozen=True, gc=False):
    """What the rules change in a request: fields to set, and names of offered tools to take out.

    `fields` keys are those of the `set` effect: `max_tokens`, `temperature`, `top_p`, `model`, `stream_options`.
    """

    fields: tuple[tuple[str, Any], ...] = ()
    strip_tools: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Tell whether there is anything to do."""
        return bool(self.fields or self.strip_tools)


NO_EDITS = RequestEdits()


class Usage(msgspec.Struct, gc=False):
    """Tokens of one exchange as the provider said them; None where it said nothing."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    provider_cost_microusd: int | None = None

    def known(self) -> bool:
        """Tell whether the provider said anything at all."""
        return self.input_tokens is not None or self.output_tokens is not None


class ProviderError(msgspec.Struct, frozen=True, gc=False):
    """An error as the provider worded it. Never stored whole: only `type` and `code` go into a record."""

    type: str
    code: str
    message: str


class ToolCall(msgspec.Struct, gc=False):
    """A tool call in a response; `name` grows when a provider sends it in pieces, `args_bytes` counts its arguments."""

    name: str = ""
    args_bytes: int = 0


class Observation(msgspec.Struct):
    """What has been read of a response so far. Dialects write into it; the exchange reads it.

    `finish_reasons` is keyed by choice index. `scratch` belongs to the dialect alone. `texts` is filled only when `keep_text`
    (a rule reads `response.text`); `text_bytes` and `reasoning_bytes` count in any case, because broken-off streams are charged
    by them. `terminal` is True once the dialect's own end of stream was seen.
    """

    keep_text: bool = False
    model: str = ""
    response_id: str = ""
    usage: Usage = msgspec.field(default_factory=Usage)
    finish_reasons: dict[int, str] = msgspec.field(default_factory=dict)
    tools: list[ToolCall] = msgspec.field(default_factory=list)
    texts: list[str] = msgspec.field(default_factory=list)
    text_bytes: int = 0
    reasoning_bytes: int = 0
    error: ProviderError | None = None
    terminal: bool = False
    events: int = 0
    unreadable: int = 0
    scratch: dict[Any, Any] = msgspec.field(default_factory=dict)

    def reasons(self) -> tuple[str, ...]:
        """Return the finish reasons in the choices' order."""
        found = self.finish_reasons
        return tuple(found.values()) if len(found) <= 1 else tuple([found[index] for index in sorted(found)])

    def add_text(self, channel: Channel, text: str) -> None:
        """Count `text` and keep it if somebody wants it."""
        size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        if channel is Channel.REASONING:
            self.reasoning_bytes += size
        else:
            self.text_bytes += size
            if self.keep_text:
                self.texts.append(text)
