"""Bedrock's Converse format: requests, whole answers, stream events; Nova's Invoke bodies have it too.

Rules:
1. A block is an object whose one key is its kind (`text`, `toolUse`, `toolResult`, `reasoningContent` …).
2. Usage excludes cache reads and writes on the wire and includes them in `Usage`.
3. Reasoning signatures and redacted content are never read as text.

Source: Amazon Bedrock Runtime API reference, `Converse`, `ConverseStream`, `TokenUsage`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmcp.core.messages import Channel, RequestFacts, ToolCall
from llmcp.providers import loose

if TYPE_CHECKING:
    from llmcp.core.messages import Observation
    from llmcp.ports import Endpoint
    from llmcp.providers.members import Members

_BLOCKS = "bedrock.blocks"
_BINARY = frozenset({"image", "video", "audio"})
_NO_TEXT = frozenset({"cachePoint"})
_GOVERNED = frozenset({"messages", "system", "inferenceConfig", "toolConfig", "additionalModelRequestFields"})
_GOVERNED_CONFIG = frozenset({"maxTokens", "max_new_tokens", "temperature", "topP"})


def read_request(endpoint: Endpoint, fields: Members) -> RequestFacts:
    """Read a Converse body. Raises MalformedRequestError."""
    fields.once(_GOVERNED)
    config = fields.inner("inferenceConfig")
    config.once(_GOVERNED_CONFIG)
    texts = loose.Texts()
    turns = _read_prompt(fields, texts)
    limits = [n for n in (config.whole("maxTokens"), config.whole("max_new_tokens")) if n is not None]
    if "promptVariables" in fields:
        texts.add_all("user", Channel.TEXT, fields.value("promptVariables"))
    return RequestFacts(
        model=endpoint.model,
        stream=bool(endpoint.stream),
        max_tokens=max(limits, default=None),
        temperature=config.number("temperature"),
        tools=tuple(_tool_names(fields.value("toolConfig"))),
        texts=texts.texts(),
        turns=turns,
        skipped=texts.skipped(),
    )


def _tool_names(config: object) -> list[str]:
    """Return the names of offered tools; the kind of those that have none."""
    names: list[str] = []
    for tool in loose.objects(loose.mapping(config).get("tools")):
        for kind, value in tool.items():
            if kind not in _NO_TEXT:
                names.append(loose.text(loose.mapping(value).get("name")) or kind)
    return names


def _read_prompt(fields: Members, texts: loose.Texts) -> int:
    for block in loose.items(fields.value("system")):
        _read_block("system", block, texts)
    messages = loose.objects(fields.value("messages"))
    for message in messages:
        for block in loose.items(message.get("content")):
            _read_block(loose.text(message.get("role")), block, texts)
    return len(messages)


def _read_block(role: str, block: object, texts: loose.Texts) -> None:
    if not isinstance(block, dict):
        texts.add(role, Channel.TEXT, block)
        return
    for kind, value in block.items():
        if kind == "text":
            texts.add_all(role, Channel.TEXT, value)
        elif kind == "toolUse":
            texts.add_json(role, Channel.TOOL_ARGUMENTS, loose.mapping(value).get("input"))
        elif kind == "toolResult":
            _read_result(role, loose.mapping(value).get("content"), texts)
        elif kind == "reasoningContent":
            texts.add(role, Channel.REASONING, loose.mapping(loose.mapping(value).get("reasoningText")).get("text"))
        elif kind in _BINARY:
            texts.skip(kind, "binary or elsewhere")
        elif kind == "document":
            _read_document(role, Channel.TEXT, value, texts)
        elif kind not in _NO_TEXT:
            texts.add_all(role, Channel.TEXT, value)


def _read_result(role: str, content: object, texts: loose.Texts) -> None:
    for part in loose.items(content):
        for kind, value in loose.mapping(part).items():
            if kind in _BINARY:
                texts.skip(kind, "binary or elsewhere")
            elif kind == "document":
                _read_document(role, Channel.TOOL_RESULT, value, texts)
            elif kind == "json":
                texts.add_own(role, Channel.TOOL_RESULT, value)
            else:
                texts.add_all(role, Channel.TOOL_RESULT, value)


def _read_document(role: str, channel: Channel, document: object, texts: loose.Texts) -> None:
    source = loose.mapping(loose.mapping(document).get("source"))
    if "bytes" in source or "s3Location" in source:
        texts.skip("document", "binary or elsewhere")
    texts.add_all(role, channel, document)


def read_answer(value: dict[str, Any], seen: Observation) -> None:
    """Read a whole answer."""
    read_usage(value.get("usage"), seen)
    _read_stop_reason(value, seen)
    message = loose.mapping(loose.mapping(value.get("output")).get("message"))
    for block in loose.objects(message.get("content")):
        _read_output_block(block, seen)


def _read_output_block(block: dict[str, Any], seen: Observation) -> None:
    loose.heard(seen, Channel.TEXT, block.get("text"))
    for part in loose.objects(loose.mapping(block.get("citationsContent")).get("content")):
        loose.heard(seen, Channel.TEXT, part.get("text"))
    reasoning = loose.mapping(block.get("reasoningContent"))
    loose.heard(seen, Channel.REASONING, loose.mapping(reasoning.get("reasoningText")).get("text"))
    call = block.get("toolUse")
    if isinstance(call, dict):
        arguments = loose.json_text(call.get("input"))
        seen.tools.append(ToolCall(loose.text(call.get("name")), len(arguments.encode("utf-8", "surrogatepass"))))


def read_event(name: str, value: dict[str, Any], seen: Observation) -> None:
    """Read one stream event of the type `name`."""
    if name == "contentBlockDelta":
        _read_delta(value, seen)
    elif name == "contentBlockStart":
        call = loose.mapping(value.get("start")).get("toolUse")
        if isinstance(call, dict):
            started = ToolCall(loose.text(call.get("name")))
            seen.tools.append(started)
            seen.scratch.setdefault(_BLOCKS, {})[loose.count(value.get("contentBlockIndex"))] = started
    elif name == "messageStop":
        seen.terminal = True
        _read_stop_reason(value, seen)
    elif name == "metadata":
        read_usage(value.get("usage"), seen)


def _read_delta(value: dict[str, Any], seen: Observation) -> None:
    delta = loose.mapping(value.get("delta"))
    loose.heard(seen, Channel.TEXT, delta.get("text"))
    loose.heard(seen, Channel.REASONING, loose.mapping(delta.get("reasoningContent")).get("text"))
    call = seen.scratch.get(_BLOCKS, {}).get(loose.count(value.get("contentBlockIndex")))
    if call is not None:
        arguments = loose.text(loose.mapping(delta.get("toolUse")).get("input"))
        call.args_bytes += len(arguments.encode("utf-8", "surrogatepass"))


def _read_stop_reason(value: dict[str, Any], seen: Observation) -> None:
    reason = loose.text(value.get("stopReason"))
    if reason:
        seen.finish_reasons[0] = reason


def read_usage(value: object, seen: Observation) -> None:
    """Read a usage object."""
    if not isinstance(value, dict):
        return
    usage = seen.usage
    read = loose.count(value.get("cacheReadInputTokens"))
    written = loose.count(value.get("cacheWriteInputTokens"))
    fresh = loose.count(value.get("inputTokens"))
    usage.cached_tokens = read
    usage.cache_write_tokens = written
    usage.output_tokens = loose.count(value.get("outputTokens"))
    usage.input_tokens = None if fresh is None else loose.total(fresh, read, written)
    hours = [d for d in loose.objects(value.get("cacheDetails")) if d.get("ttl") == "1h"]
    usage.cache_write_1h_tokens = loose.total(*(loose.count(d.get("inputTokens")) for d in hours))
