"""Bedrock's Invoke bodies, in each model vendor's own form, read as far as that is known.

Rules:
1. The form is told from the body, not from the model's name: profiles and imported models name no vendor.
2. A body of no known form is not inspected; every string in it is read all the same.
3. A stream's `chunk` holds the vendor's event in base64; the last one adds `amazon-bedrock-invocationMetrics`, whose counts are
   used where the vendor's own are missing.

Source: Amazon Bedrock user guide, "Inference request parameters and response fields".
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any

from llmcp.core.messages import Channel, RequestFacts, ToolCall
from llmcp.providers import anthropic_messages, bedrock_converse, loose
from llmcp.providers.members import Members

if TYPE_CHECKING:
    from llmcp.core.messages import Observation
    from llmcp.ports import Endpoint

METRICS = "amazon-bedrock-invocationMetrics"
_CONVERSE_EVENTS = ("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata")
_CONVERSE_MARKS = ("inferenceConfig", "toolConfig", "schemaVersion")
_LIMITS = ("max_tokens", "max_tokens_to_sample", "max_gen_len", "max_completion_tokens", "maxTokens")
_GOVERNED = frozenset(
    {
        *("messages", "system", "prompt", "message", "inputText", "tools", "temperature", "inferenceConfig", "toolConfig"),
        *("textGenerationConfig", "chat_history", *_LIMITS),
    }
)
_PROMPTS = ("prompt", "inputText", "message", "preamble")
_FORMS = ("messages", *_PROMPTS, "texts")
_REASONS = ("stop_reason", "completionReason", "finish_reason", "finishReason")
_TEXT_FIELDS = ("generation", "outputText", "completion", "text")


def read_count_tokens(endpoint: Endpoint, fields: Members) -> RequestFacts:
    """Read `{"input": {"converse": …}}` or `{"input": {"invokeModel": {"body": base64}}}`."""
    given = fields.inner("input")
    if "converse" in given:
        return bedrock_converse.read_request(endpoint, given.inner("converse"))
    body = _unbase64(loose.text(loose.mapping(given.value("invokeModel")).get("body")))
    return read_request(endpoint, Members(body or b"{}"))


def read_request(endpoint: Endpoint, fields: Members) -> RequestFacts:
    """Read an Invoke body. Raises MalformedRequestError."""
    fields.once(_GOVERNED)
    if "messages" in fields and any(name in fields for name in _CONVERSE_MARKS):
        return bedrock_converse.read_request(endpoint, fields)
    config = fields.inner("textGenerationConfig")
    texts = loose.Texts()
    turns = _read_texts(fields, texts)
    known = any(name in fields for name in _FORMS)
    if not known:
        texts.add_all("user", Channel.TEXT, [fields.value(name) for name in fields.names()])
        texts.skip("body", "the form is not known; its strings were read")
    limits = [n for n in (*(fields.whole(name) for name in _LIMITS), config.whole("maxTokenCount")) if n is not None]
    temperature = fields.number("temperature")
    return RequestFacts(
        model=endpoint.model,
        stream=bool(endpoint.stream),
        max_tokens=max(limits, default=None),
        temperature=config.number("temperature") if temperature is None else temperature,
        tools=tuple(name for t in loose.objects(fields.value("tools")) if (name := _tool_name(t))),
        texts=texts.texts(),
        turns=turns,
        inspected=known,
        skipped=texts.skipped(),
    )


def _tool_name(tool: dict[str, Any]) -> str:
    return loose.text(loose.mapping(tool.get("function")).get("name")) or anthropic_messages.tool_name(tool)


def _read_texts(fields: Members, texts: loose.Texts) -> int:
    messages = fields.value("messages")
    turns = anthropic_messages.read_prompt(fields.value("system"), messages, texts)
    for message in loose.objects(messages):
        for call in loose.objects(message.get("tool_calls")):
            arguments = loose.mapping(call.get("function")).get("arguments")
            texts.add_json(loose.text(message.get("role")), Channel.TOOL_ARGUMENTS, arguments)
    for message in loose.objects(fields.value("chat_history")):
        texts.add_all(loose.text(message.get("role")), Channel.TEXT, message)
        turns += 1
    for name in _PROMPTS:
        if name in fields:
            texts.add_all("user", Channel.TEXT, fields.value(name))
            turns += 1
    for item in loose.items(fields.value("texts")):
        texts.add("user", Channel.TEXT, item)
        turns += 1
    return turns


def read_answer(value: dict[str, Any], seen: Observation) -> None:
    """Read a whole answer in any vendor's form."""
    if value.get("type") == "message":
        anthropic_messages.read_message(value, seen)
    elif isinstance(value.get("output"), dict):
        bedrock_converse.read_answer(value, seen)
    elif isinstance(value.get("choices"), list):
        _read_choices(value, seen)
    else:
        _read_plain(value, seen)


def read_chunk(value: dict[str, Any], seen: Observation) -> None:
    """Read one `chunk` of a stream."""
    event = loose.decode_object(_unbase64(loose.text(value.get("bytes"))))
    if event is None:
        seen.unreadable += 1
        return
    if isinstance(event.get("type"), str):
        anthropic_messages.read_stream_event(event, seen)
    elif any(name in event for name in _CONVERSE_EVENTS):
        for name, part in event.items():
            bedrock_converse.read_event(name, loose.mapping(part), seen)
    elif isinstance(event.get("choices"), list):
        _read_choices(event, seen)
    else:
        _read_plain(event, seen)
    metrics = event.get(METRICS)
    if isinstance(metrics, dict):
        _read_metrics(metrics, seen)


def _unbase64(value: str) -> bytes:
    try:
        return binascii.a2b_base64(value)
    except ValueError:
        return b""


def _read_metrics(metrics: dict[str, Any], seen: Observation) -> None:
    seen.terminal = True
    usage = seen.usage
    if usage.input_tokens is None:
        read = loose.count(metrics.get("cacheReadInputTokenCount"))
        written = loose.count(metrics.get("cacheWriteInputTokenCount"))
        usage.input_tokens = loose.total(loose.count(metrics.get("inputTokenCount")), read, written)
        usage.cached_tokens = read if usage.cached_tokens is None else usage.cached_tokens
        usage.cache_write_tokens = written if usage.cache_write_tokens is None else usage.cache_write_tokens
    if usage.output_tokens is None:
        usage.output_tokens = loose.count(metrics.get("outputTokenCount"))


def _read_choices(value: dict[str, Any], seen: Observation) -> None:
    """Read OpenAI's chat form: whole, or one chunk of its stream."""
    loose.read_resource(value, seen)
    usage = loose.mapping(value.get("usage"))
    if usage:
        seen.usage.input_tokens = loose.count(usage.get("prompt_tokens"))
        seen.usage.output_tokens = loose.count(usage.get("completion_tokens"))
        seen.usage.cached_tokens = loose.count(loose.mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
        seen.usage.reasoning_tokens = loose.count(loose.mapping(usage.get("completion_tokens_details")).get("reasoning_tokens"))
    for position, choice in enumerate(loose.objects(value.get("choices"))):
        index = loose.count(choice.get("index"))
        _read_reason(position if index is None else index, choice, seen)
        message = loose.mapping(choice.get("message")) or loose.mapping(choice.get("delta"))
        for part in loose.items(message.get("content") or choice.get("text")):
            loose.heard(seen, Channel.TEXT, part.get("text") if isinstance(part, dict) else part)
        loose.heard(seen, Channel.REASONING, loose.text(message.get("reasoning_content")) or loose.text(message.get("reasoning")))
        for call in loose.objects(message.get("tool_calls")):
            _read_call(loose.mapping(call.get("function")), seen)


def _read_call(function: dict[str, Any], seen: Observation) -> None:
    name = loose.text(function.get("name"))
    if name:
        seen.tools.append(ToolCall(name))
    if seen.tools:
        seen.tools[-1].args_bytes += len(loose.text(function.get("arguments")).encode("utf-8", "surrogatepass"))


def _read_plain(value: dict[str, Any], seen: Observation) -> None:
    """Read the flat forms of Llama, Titan, Mistral, Cohere, AI21 and the first Claude models: whole, or one chunk."""
    seen.response_id = loose.text(value.get("id")) or seen.response_id
    usage = seen.usage
    for name in ("prompt_token_count", "inputTextTokenCount"):
        usage.input_tokens = loose.count(value.get(name)) if usage.input_tokens is None else usage.input_tokens
    for name in ("generation_token_count", "totalOutputTextTokenCount"):
        written = loose.count(value.get(name))
        usage.output_tokens = usage.output_tokens if written is None else written
    parts = [value]
    for name in ("results", "outputs", "generations", "completions"):
        parts += loose.objects(value.get(name))
    for position, part in enumerate(parts):
        _read_reason(max(position - 1, 0), part, seen)
        data = loose.mapping(part.get("data")) if "data" in part else part
        for name in _TEXT_FIELDS:
            loose.heard(seen, Channel.TEXT, data.get(name))
        counted = loose.count(part.get("tokenCount"))
        usage.output_tokens = usage.output_tokens if counted is None else (usage.output_tokens or 0) + counted


def _read_reason(index: int, value: dict[str, Any], seen: Observation) -> None:
    for name in _REASONS:
        reason = value.get(name)
        word = loose.text(reason) or loose.text(loose.mapping(reason).get("reason"))
        if word:
            seen.finish_reasons[index] = word
