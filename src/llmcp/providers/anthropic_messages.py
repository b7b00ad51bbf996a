"""The Messages format itself: request bodies, message bodies and stream events, wherever they travel.

Anthropic's own API, Vertex, Azure and others carry it in HTTP and SSE, Bedrock in its own envelope; all read it here.

Rules:
1. Usage: `input_tokens` excludes cache reads and writes on the wire and includes them in `Usage`.
2. Stream usage is cumulative: the last word on each field counts, a null says nothing.
3. Calls of the client's tools (`tool_use`) are tool calls; what the provider runs itself (`server_tool_use`, `mcp_tool_use`) is not.
4. A `fallback` block names the model that writes from there on.
5. Thinking signatures and redacted thinking are never read as text.

Source: Anthropic API reference, "Messages" and "Streaming messages".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.core.messages import Channel, ToolCall
from llmcp.errors import MalformedRequestError
from llmcp.providers import loose

if TYPE_CHECKING:
    from llmcp.core.messages import Observation
    from llmcp.providers.members import Members

CLIENT_TOOL = "tool_use"
_USAGE = "anthropic.usage"
_BLOCKS = "anthropic.blocks"
_BINARY_BLOCKS = frozenset({"image", "container_upload", "redacted_thinking"})
_USAGE_FIELDS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class _ToolHead(msgspec.Struct):
    name: Any = None
    type: Any = None


_decode_tools = msgspec.json.Decoder(list[_ToolHead]).decode


def tool_name(tool: dict[str, Any]) -> str:
    """Return an offered tool's name, or its type where it has none."""
    return loose.text(tool.get("name")) or loose.text(tool.get("type"))


def tool_names(fields: Members) -> tuple[str, ...]:
    """Return the names of `tools`, without building their schemas."""
    raw = fields.raw("tools")
    try:
        heads = _decode_tools(raw) if raw else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        heads = []
    names = [loose.text(h.name) or loose.text(h.type) for h in heads]
    if not heads:
        names = [tool_name(t) for t in loose.objects(fields.value("tools"))]
    return tuple(n for n in names if n)


def other_models(fields: Members) -> tuple[str, ...]:
    """Return the models that a request may be answered with besides its own: an aggregator's `models`, and those of server tools.

    Raises: MalformedRequestError where `models` is no list of names.
    """
    listed = fields.value("models") if "models" in fields else None
    if listed is not None and not (isinstance(listed, list) and all(isinstance(name, str) for name in listed)):
        raise MalformedRequestError("`models` has the wrong form", why="expected a list of names", fix="send names of models")
    raw = fields.raw("tools")
    tools = loose.objects(fields.value("tools")) if b"model" in raw or not raw else ()
    return (*(listed or ()), *(name for tool in tools if (name := loose.text(tool.get("model")))))


def read_prompt(system: object, messages: object, into: loose.Texts) -> int:
    """Read all texts of a conversation; return its number of turns."""
    read_content("system", system, into)
    turns = loose.items(messages)
    for message in turns:
        if isinstance(message, dict):
            read_content(loose.text(message.get("role")), message.get("content"), into)
        else:
            into.add("user", Channel.TEXT, message)
    return len(turns)


def read_content(role: str, content: object, into: loose.Texts) -> None:
    """Read a content: a string, a block, or an array of them."""
    for block in loose.items(content):
        if isinstance(block, dict):
            _read_block(role, block, into)
        else:
            into.add(role, Channel.TEXT, block)


def _read_block(role: str, block: dict[str, Any], into: loose.Texts) -> None:
    kind = loose.text(block.get("type"))
    if kind == "text":
        into.add(role, Channel.TEXT, block.get("text"))
    elif kind == "thinking":
        into.add(role, Channel.REASONING, block.get("thinking"))
    elif kind.endswith("tool_use"):
        into.add_json(role, Channel.TOOL_ARGUMENTS, block.get("input"))
    elif kind.endswith("tool_result"):
        _read_parts(role, Channel.TOOL_RESULT, block.get("content"), into)
    elif kind in _BINARY_BLOCKS:
        into.skip(kind, "binary or encrypted")
    else:
        _read_parts(role, Channel.TEXT, block, into)


def _read_parts(role: str, channel: Channel, value: object, into: loose.Texts) -> None:
    """Read every text of a result, a document or a block of a kind that is not known here."""
    parts = value if isinstance(value, list) else [value]
    for part in parts:
        if isinstance(part, dict) and part.get("type") == "image":
            into.skip("image", "binary or encrypted")
            continue
        source = loose.mapping(part.get("source")) if isinstance(part, dict) else {}
        if source.get("type") == "text":
            into.add(role, channel, source.get("data"))
        elif loose.text(source.get("type")) in {"base64", "file"}:
            into.skip(loose.text(loose.mapping(part).get("type")), "binary or elsewhere")
        into.add_all(role, channel, part)


def read_message(message: dict[str, Any], seen: Observation) -> None:
    """Read a whole message, or the one that begins a stream."""
    seen.model = loose.text(message.get("model")) or seen.model
    seen.response_id = loose.text(message.get("id")) or seen.response_id
    read_usage(message.get("usage"), seen)
    _read_stop_reason(message, seen)
    for block in loose.objects(message.get("content")):
        _read_output_block(block, seen)


def read_stream_event(event: dict[str, Any], seen: Observation) -> None:
    """Read one event of a message stream, by its own `type`."""
    kind = event.get("type")
    if kind == "content_block_delta":
        _read_delta(event, seen)
    elif kind == "content_block_start":
        call = _read_output_block(loose.mapping(event.get("content_block")), seen)
        seen.scratch.setdefault(_BLOCKS, {})[_index(event)] = call
    elif kind == "message_start":
        read_message(loose.mapping(event.get("message")), seen)
    elif kind == "message_delta":
        _read_stop_reason(loose.mapping(event.get("delta")), seen)
        read_usage(event.get("usage"), seen)
    elif kind == "message_stop":
        seen.terminal = True
    elif kind == "error":
        seen.error = loose.error_in(event)


def _index(event: dict[str, Any]) -> int:
    return loose.count(event.get("index")) or 0


def _read_delta(event: dict[str, Any], seen: Observation) -> None:
    delta = loose.mapping(event.get("delta"))
    kind = delta.get("type")
    if kind == "text_delta":
        loose.heard(seen, Channel.TEXT, delta.get("text"))
    elif kind == "thinking_delta":
        loose.heard(seen, Channel.REASONING, delta.get("thinking"))
    elif kind == "input_json_delta":
        call = seen.scratch.get(_BLOCKS, {}).get(_index(event))
        if call is not None:
            call.args_bytes += len(loose.text(delta.get("partial_json")).encode("utf-8", "surrogatepass"))


def _read_output_block(block: dict[str, Any], seen: Observation) -> ToolCall | None:
    """Read a block of a response; return the tool call that it is, if it is one of the client's tools."""
    kind = block.get("type")
    if kind == "text":
        loose.heard(seen, Channel.TEXT, block.get("text"))
    elif kind == "thinking":
        loose.heard(seen, Channel.REASONING, block.get("thinking"))
    elif kind == CLIENT_TOOL:
        arguments = block.get("input")
        size = len(loose.json_text(arguments).encode("utf-8", "surrogatepass")) if arguments else 0
        call = ToolCall(loose.text(block.get("name")), size)
        seen.tools.append(call)
        return call
    elif kind == "fallback":
        seen.model = loose.text(loose.mapping(block.get("to")).get("model")) or seen.model
    return None


def _read_stop_reason(value: dict[str, Any], seen: Observation) -> None:
    reason = loose.text(value.get("stop_reason"))
    if reason:
        seen.finish_reasons[0] = reason


def read_usage(value: object, seen: Observation) -> None:
    """Merge a usage object into what was said before and write the sums."""
    if not isinstance(value, dict):
        return
    said: dict[str, int] = seen.scratch.setdefault(_USAGE, {})
    for name in _USAGE_FIELDS:
        number = loose.count(value.get(name))
        if number is not None:
            said[name] = number
    hour = loose.count(loose.mapping(value.get("cache_creation")).get("ephemeral_1h_input_tokens"))
    thinking = loose.count(loose.mapping(value.get("output_tokens_details")).get("thinking_tokens"))
    usage = seen.usage
    usage.cached_tokens = said.get("cache_read_input_tokens")
    usage.cache_write_tokens = said.get("cache_creation_input_tokens")
    usage.cache_write_1h_tokens = usage.cache_write_1h_tokens if hour is None else hour
    usage.reasoning_tokens = usage.reasoning_tokens if thinking is None else thinking
    usage.output_tokens = said.get("output_tokens")
    if "input_tokens" in said:
        usage.input_tokens = loose.total(said["input_tokens"], usage.cached_tokens, usage.cache_write_tokens)
