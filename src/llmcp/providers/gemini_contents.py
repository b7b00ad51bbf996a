"""The `contents` format of Gemini: prompts in requests, candidates and usage in responses.

Rules:
1. Requests may be camelCase or snake_case and have a lone object where an array is meant; all are read. Answers are camelCase.
2. Usage: the prompt count includes cached tokens; tokens of tool prompts are input, thoughts are output. It repeats: the last
   report with counts is the truth.
3. A `finishReason` may be a number (`enum-encoding=int`); it is kept as the digits that were sent, as two of Google's APIs
   number the same reasons differently.
4. `thoughtSignature` is never read as text.

Source: Gemini API reference, `GenerateContentResponse`; protocol buffers' JSON mapping.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmcp.core.messages import Channel, ToolCall
from llmcp.providers import loose

if TYPE_CHECKING:
    from llmcp.core.messages import Observation

_BINARY_PARTS = frozenset({"inlineData", "fileData"})
_PART_NOTES = frozenset({"text", "thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"})
_COUNTS = ("promptTokenCount", "candidatesTokenCount", "totalTokenCount")


def camel(name: str) -> str:
    """Return the camelCase spelling of a member name."""
    if "_" not in name:
        return name
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def respelled(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object with its member names in camelCase."""
    return {camel(k): v for k, v in value.items()} if any("_" in k for k in value) else value


def read_contents(role: str, contents: object, into: loose.Texts) -> int:
    """Read all texts of contents; return their number. `role` is for those that name none."""
    found = loose.items(contents)
    for content in found:
        if isinstance(content, dict):
            speaker = loose.text(content.get("role")) or role
            for part in loose.items(content.get("parts")):
                _read_part(speaker, part, into)
        else:
            into.add(role, Channel.TEXT, content)
    return len(found)


def _read_part(role: str, part: object, into: loose.Texts) -> None:
    if not isinstance(part, dict):
        into.add(role, Channel.TEXT, part)
        return
    part = respelled(part)
    into.add(role, Channel.REASONING if part.get("thought") is True else Channel.TEXT, part.get("text"))
    for kind, value in part.items():
        if kind in _PART_NOTES:
            continue
        if kind == "functionCall":
            into.add_json(role, Channel.TOOL_ARGUMENTS, loose.mapping(value).get("args"))
        elif kind == "functionResponse":
            into.add_own(role, Channel.TOOL_RESULT, loose.mapping(value).get("response"))
            into.add_all(role, Channel.TOOL_RESULT, loose.mapping(value).get("parts"))
        elif kind == "codeExecutionResult":
            into.add_all(role, Channel.TOOL_RESULT, value)
        elif kind in _BINARY_PARTS:
            into.skip(kind, "binary or elsewhere")
        else:
            into.add_all(role, Channel.TEXT, value)


def tool_names(tools: object) -> list[str]:
    """Return the names of declared functions, and the key (camelCase) of every other tool."""
    names: list[str] = []
    for tool in loose.objects(tools):
        for key, value in tool.items():
            if camel(key) == "functionDeclarations":
                names += [name for f in loose.objects(value) if (name := loose.text(f.get("name")))]
            else:
                names.append(camel(key))
    return names


def read_response(value: dict[str, Any], seen: Observation) -> None:
    """Read one `GenerateContentResponse`: a whole answer or one chunk of a stream."""
    if value.get("error"):
        seen.error = loose.error_in(value)
        return
    seen.model = loose.text(value.get("modelVersion")) or seen.model
    seen.response_id = seen.response_id or loose.text(value.get("responseId"))
    read_usage(value.get("usageMetadata"), seen)
    if loose.mapping(value.get("promptFeedback")).get("blockReason"):
        seen.terminal = True
    for position, candidate in enumerate(loose.objects(value.get("candidates"))):
        _read_candidate(position, candidate, seen)


def _read_candidate(position: int, candidate: dict[str, Any], seen: Observation) -> None:
    index = loose.count(candidate.get("index"))
    reason = candidate.get("finishReason")
    if reason and isinstance(reason, (str, int)):
        seen.finish_reasons[position if index is None else index] = str(reason)
        seen.terminal = True
    for part in loose.objects(loose.mapping(candidate.get("content")).get("parts")):
        _read_output_part(part, seen)


def _read_output_part(part: dict[str, Any], seen: Observation) -> None:
    text = loose.text(part.get("text"))
    if text:
        loose.heard(seen, Channel.REASONING if part.get("thought") else Channel.TEXT, text)
    call = part.get("functionCall")
    if not isinstance(call, dict):
        return
    name = loose.text(call.get("name"))
    if name:
        seen.tools.append(ToolCall(name))
    arguments = call.get("args") or call.get("partialArgs")
    if seen.tools and arguments:
        seen.tools[-1].args_bytes += len(loose.json_text(arguments).encode("utf-8", "surrogatepass"))


def read_usage(value: object, seen: Observation) -> None:
    """Replace the usage by a later report, if that has counts at all."""
    said = loose.mapping(value)
    if not any(key in said for key in _COUNTS):
        return
    thoughts = loose.count(said.get("thoughtsTokenCount"))
    usage = seen.usage
    usage.input_tokens = loose.total(loose.count(said.get("promptTokenCount")), loose.count(said.get("toolUsePromptTokenCount")))
    usage.output_tokens = loose.total(loose.count(said.get("candidatesTokenCount")), thoughts)
    usage.cached_tokens = loose.count(said.get("cachedContentTokenCount"))
    usage.reasoning_tokens = thoughts
