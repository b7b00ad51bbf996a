"""Gemini's Interactions format: one endpoint for models and agents, in steps.

Rules:
1. The body names the model, or an agent in its place; `generation_config` has the limits.
2. A step or a content of a kind that is not known here is read for every string in it; signatures never are.
3. Usage: tool prompts are input, thoughts are output unless the total shows that they are counted there already.

Source: Google Gen AI SDK, types of `interactions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmcp.core.messages import Channel, RequestFacts, ToolCall
from llmcp.providers import loose

if TYPE_CHECKING:
    from llmcp.core.messages import Observation
    from llmcp.providers.members import Members

_GOVERNED = frozenset({"model", "agent", "stream", "input", "system_instruction", "tools", "generation_config"})
_GOVERNED_CONFIG = frozenset({"max_output_tokens", "temperature", "top_p"})
_BINARY = frozenset({"image", "audio", "video"})
_ROLES = {"model_output": "model", "thought": "model", "function_call": "model"}
_STEPS = "gemini.steps"


def read_request(fields: Members) -> RequestFacts:
    """Read the creation of an interaction. Raises MalformedRequestError."""
    fields.once(_GOVERNED)
    config = fields.inner("generation_config")
    config.once(_GOVERNED_CONFIG)
    texts = loose.Texts()
    texts.add_all("system", Channel.TEXT, fields.value("system_instruction"))
    steps = loose.items(fields.value("input"))
    for step in steps:
        _read_step(step, texts)
    if fields.value("previous_interaction_id") or fields.value("cached_content"):
        texts.skip("history", "kept by the provider")
    return RequestFacts(
        model=(fields.string("model") or fields.string("agent")).rpartition("/")[2],
        stream=bool(fields.flag("stream")),
        max_tokens=config.whole("max_output_tokens"),
        temperature=config.number("temperature"),
        tools=tuple(name for tool in loose.objects(fields.value("tools")) if (name := tool_name(tool))),
        texts=texts.texts(),
        turns=len(steps),
        skipped=texts.skipped(),
    )


def tool_name(tool: dict[str, Any]) -> str:
    """Return an offered tool's name, or its type where it has none."""
    return loose.text(tool.get("name")) or loose.text(tool.get("type"))


def _read_step(step: object, texts: loose.Texts) -> None:
    if not isinstance(step, dict):
        texts.add("user", Channel.TEXT, step)
        return
    kind = loose.text(step.get("type"))
    role = loose.text(step.get("role")) or _ROLES.get(kind, "user")
    if kind.endswith("_call"):
        texts.add_json(role, Channel.TOOL_ARGUMENTS, step.get("arguments"))
    elif kind.endswith("_result"):
        result = step.get("result")
        (texts.add_own if isinstance(result, dict) else texts.add_all)(role, Channel.TOOL_RESULT, result)
    elif kind == "thought":
        texts.add_all(role, Channel.REASONING, step.get("summary"))
    elif kind in _BINARY:
        texts.skip(kind, "binary or elsewhere")
    elif "content" in step:
        for content in loose.items(step.get("content")):
            _read_content(role, content, texts)
    else:
        _read_content(role, step, texts)


def _read_content(role: str, content: object, texts: loose.Texts) -> None:
    kind = loose.text(loose.mapping(content).get("type"))
    if kind in _BINARY:
        texts.skip(kind, "binary or elsewhere")
    else:
        texts.add_all(role, Channel.TEXT, content)


def read_answer(value: dict[str, Any], seen: Observation) -> None:
    """Read a whole interaction."""
    _read_head(value, seen)
    for step in loose.objects(value.get("steps")) or loose.objects(value.get("outputs")):
        _read_output_step(step, seen)


def read_event(value: dict[str, Any], seen: Observation) -> None:
    """Read one event of a stream, by its `event_type`."""
    kind = value.get("event_type")
    index = loose.count(value.get("index"))
    if kind == "step.delta":
        call = seen.scratch.get(_STEPS, {}).get(index)
        _read_delta(loose.mapping(value.get("delta")), call, seen)
    elif kind == "step.start":
        seen.scratch.setdefault(_STEPS, {})[index] = _read_output_step(loose.mapping(value.get("step")), seen)
    elif kind == "interaction.completed":
        _read_head(loose.mapping(value.get("interaction")), seen)
        seen.terminal = True
    elif kind == "interaction.created":
        _read_head(loose.mapping(value.get("interaction")), seen)
    elif kind == "error" or value.get("error"):
        seen.error = loose.error_in(value)


def _read_head(value: dict[str, Any], seen: Observation) -> None:
    loose.read_resource(value, seen)
    status = loose.text(value.get("status"))
    if status and status != "in_progress":
        seen.finish_reasons[0] = status
    _read_usage(value.get("usage"), seen)


def _read_output_step(step: dict[str, Any], seen: Observation) -> ToolCall | None:
    kind = step.get("type")
    if kind == "model_output":
        for content in loose.objects(step.get("content")):
            loose.heard(seen, Channel.TEXT, content.get("text"))
    elif kind == "thought":
        for content in loose.objects(step.get("summary")):
            loose.heard(seen, Channel.REASONING, content.get("text"))
    elif kind == "text":
        loose.heard(seen, Channel.TEXT, step.get("text"))
    elif kind == "function_call":
        arguments = step.get("arguments")
        size = len(loose.json_text(arguments).encode("utf-8", "surrogatepass")) if arguments else 0
        call = ToolCall(loose.text(step.get("name")), size)
        seen.tools.append(call)
        return call
    return None


def _read_delta(delta: dict[str, Any], call: ToolCall | None, seen: Observation) -> None:
    kind = delta.get("type")
    if kind == "text":
        loose.heard(seen, Channel.TEXT, delta.get("text"))
    elif kind == "thought_summary":
        loose.heard(seen, Channel.REASONING, loose.mapping(delta.get("content")).get("text"))
    elif kind == "arguments_delta" and call is not None:
        call.args_bytes += len(loose.text(delta.get("arguments")).encode("utf-8", "surrogatepass"))


def _read_usage(value: object, seen: Observation) -> None:
    if not isinstance(value, dict):
        return
    usage = seen.usage
    read, written = loose.count(value.get("total_input_tokens")), loose.count(value.get("total_output_tokens"))
    thoughts, tools = loose.count(value.get("total_thought_tokens")), loose.count(value.get("total_tool_use_tokens"))
    everything = loose.count(value.get("total_tokens"))
    counted_already = everything is not None and everything == loose.total(read, written, tools)
    usage.input_tokens = loose.total(read, tools)
    usage.output_tokens = written if counted_already else loose.total(written, thoughts)
    usage.cached_tokens = loose.count(value.get("total_cached_tokens"))
    usage.reasoning_tokens = thoughts
