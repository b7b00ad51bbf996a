"""Cohere's chat formats, v1 and v2: texts of requests, whole answers, stream events. The other operations share parts of them.

Rules:
1. Usage: `tokens` is what the model read and wrote, `billed_units` what is charged; the first counts where it is given.
2. A tool plan is reasoning.

Source: Cohere API reference v1 and v2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmcp.core.messages import Channel, ToolCall
from llmcp.providers import loose

if TYPE_CHECKING:
    from llmcp.core.messages import Observation
    from llmcp.providers.members import Members

_CALLS = "cohere.calls"
# A document's text stands under `data` here.
_OPAQUE = loose.OPAQUE - {"data"}


def tool_name(tool: dict[str, Any]) -> str:
    """Return the name of an offered tool: v2 `function.name`, v1 `name`, else its type."""
    function = loose.mapping(tool.get("function"))
    return loose.text(function.get("name")) or loose.text(tool.get("name")) or loose.text(tool.get("type"))


def read_texts(fields: Members, texts: loose.Texts) -> int:
    """Read all texts of a request of either version; return its turns."""
    turns = 0
    texts.add("system", Channel.TEXT, fields.value("preamble"))
    for message in loose.objects(fields.value("chat_history")) + loose.objects(fields.value("messages")):
        _read_message(message, texts)
        turns += 1
    for name in ("message", "prompt", "query", "text"):
        if name in fields:
            texts.add("user", Channel.TEXT, fields.value(name))
            turns += 1
    for name in ("texts", "inputs", "examples"):
        for item in loose.items(fields.value(name)):
            _read_content("user", Channel.TEXT, item, texts)
            turns += 1
    texts.add_all("document", Channel.TEXT, fields.value("documents"), _OPAQUE)
    for result in loose.objects(fields.value("tool_results")):
        texts.add_own("tool", Channel.TOOL_RESULT, result.get("outputs"))
    if fields.value("images"):
        texts.skip("images", "binary")
    return turns


def _read_message(message: dict[str, Any], texts: loose.Texts) -> None:
    role = loose.text(message.get("role"))
    channel = Channel.TOOL_RESULT if role.lower() == "tool" else Channel.TEXT
    texts.add(role, Channel.TEXT, message.get("message"))
    texts.add(role, Channel.REASONING, message.get("tool_plan"))
    _read_content(role, channel, message.get("content"), texts)
    for call in loose.objects(message.get("tool_calls")):
        function = loose.mapping(call.get("function"))
        texts.add_json(role, Channel.TOOL_ARGUMENTS, function.get("arguments", call.get("parameters")))
    for result in loose.objects(message.get("tool_results")):
        texts.add_own(role, Channel.TOOL_RESULT, result.get("outputs"))


def _read_content(role: str, channel: Channel, content: object, texts: loose.Texts) -> None:
    for part in loose.items(content):
        if not isinstance(part, dict):
            texts.add(role, channel, part)
        elif part.get("type") == "text":
            texts.add(role, channel, part.get("text"))
        elif part.get("type") == "thinking":
            texts.add(role, Channel.REASONING, part.get("thinking"))
        elif loose.text(part.get("type")) in {"image_url", "image"}:
            texts.skip("image", "binary")
        else:
            texts.add_all(role, channel, part, _OPAQUE)


def read_answer(value: dict[str, Any], seen: Observation) -> None:
    """Read a whole answer of chat or generate, or what any other resource says of itself."""
    seen.response_id = loose.text(value.get("id")) or loose.text(value.get("response_id")) or seen.response_id
    seen.model = loose.text(value.get("model")) or seen.model
    read_usage(value.get("usage") or value.get("meta"), seen)
    _read_finish(0, value, seen)
    for position, generation in enumerate(loose.objects(value.get("generations"))):
        loose.heard(seen, Channel.TEXT, generation.get("text"))
        _read_finish(position, generation, seen)
    message = loose.mapping(value.get("message"))
    for part in loose.items(message.get("content")):
        _read_part(part, seen)
    if not message:
        loose.heard(seen, Channel.TEXT, value.get("text"))
    for call in loose.objects(message.get("tool_calls")) + loose.objects(value.get("tool_calls")):
        _begin_call(call, seen)


def _read_part(part: object, seen: Observation) -> None:
    if isinstance(part, dict):
        loose.heard(seen, Channel.TEXT, part.get("text"))
        loose.heard(seen, Channel.REASONING, part.get("thinking"))
    else:
        loose.heard(seen, Channel.TEXT, part)


def _begin_call(call: dict[str, Any], seen: Observation) -> ToolCall:
    function = loose.mapping(call.get("function")) or call
    arguments = function.get("arguments", function.get("parameters"))
    size = _size(arguments if isinstance(arguments, str) else loose.json_text(arguments) if arguments is not None else "")
    found = ToolCall(loose.text(function.get("name")), size)
    seen.tools.append(found)
    return found


def _size(value: str) -> int:
    return len(value.encode("utf-8", "surrogatepass"))


def read_stream_event(value: dict[str, Any], seen: Observation) -> None:
    """Read one event of a stream of either version."""
    kind = value.get("type") or value.get("event_type")
    delta = loose.mapping(value.get("delta"))
    message = loose.mapping(delta.get("message"))
    if kind == "content-delta" or kind == "content-start":  # noqa: PLR1714 - an unhashable kind must not raise
        _read_part(loose.mapping(message.get("content")), seen)
    elif kind == "tool-plan-delta":
        loose.heard(seen, Channel.REASONING, message.get("tool_plan"))
    elif kind == "tool-call-start":
        call = _begin_call(loose.mapping(message.get("tool_calls")), seen)
        seen.scratch.setdefault(_CALLS, {})[loose.count(value.get("index"))] = call
    elif kind == "tool-call-delta":
        found = seen.scratch.get(_CALLS, {}).get(loose.count(value.get("index")))
        if found is not None:
            function = loose.mapping(loose.mapping(message.get("tool_calls")).get("function"))
            found.args_bytes += _size(loose.text(function.get("arguments")))
    elif kind == "message-start" or kind == "stream-start":  # noqa: PLR1714 - the same
        seen.response_id = loose.text(value.get("id")) or loose.text(value.get("generation_id"))
    elif kind == "message-end":
        _read_end(delta, delta.get("usage"), seen)
    elif kind == "text-generation":
        loose.heard(seen, Channel.TEXT, value.get("text"))
    elif kind == "tool-calls-generation":
        for item in loose.objects(value.get("tool_calls")):
            _begin_call(item, seen)
    elif kind == "stream-end" or value.get("is_finished") is True:
        response = loose.mapping(value.get("response"))
        seen.response_id = seen.response_id or loose.text(response.get("response_id")) or loose.text(response.get("id"))
        _read_end(value, response.get("meta"), seen)
    elif kind is None and "text" in value:
        loose.heard(seen, Channel.TEXT, value.get("text"))
    elif kind is None and "message" in value:
        seen.error = loose.error_in(value)


def _read_end(value: dict[str, Any], usage: object, seen: Observation) -> None:
    seen.terminal = True
    _read_finish(0, value, seen)
    read_usage(usage, seen)
    if value.get("error"):
        seen.error = loose.error_in(value)


def _read_finish(index: int, value: dict[str, Any], seen: Observation) -> None:
    reason = loose.text(value.get("finish_reason"))
    if reason:
        seen.finish_reasons[index] = reason


def read_usage(value: object, seen: Observation) -> None:
    """Read a `usage` or `meta` object."""
    if not isinstance(value, dict):
        return
    tokens, billed = loose.mapping(value.get("tokens")), loose.mapping(value.get("billed_units"))
    usage = seen.usage
    for source in (billed, tokens):
        read, written = loose.count(source.get("input_tokens")), loose.count(source.get("output_tokens"))
        usage.input_tokens = usage.input_tokens if read is None else read
        usage.output_tokens = usage.output_tokens if written is None else written
    cached = loose.count(value.get("cached_tokens"))
    usage.cached_tokens = usage.cached_tokens if cached is None else cached
