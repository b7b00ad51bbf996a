"""Offered and called tools in the OpenAI dialect.

Rules:
1. An offer's name is its function's or custom tool's name, else its own `name`, else its `type` (server tools have no name).
   A namespace offers itself and every tool inside.
2. A called tool gets its entry as soon as its name is known. Pieces belong together by choice and index, else by id; a
   second name under another id is a second call, whatever the index says, so that no call hides behind another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from llmcp.core.messages import ToolCall
from llmcp.engine.jsonspan import Edit, elements, find, remove_elements, remove_members
from llmcp.providers.lenient import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmcp.core.messages import Observation

# What becomes meaningless, or an error, once no tool is offered any more.
_WITH_TOOLS = {"tools": ("tool_choice", "parallel_tool_calls"), "functions": ("function_call",)}


class Function(msgspec.Struct, gc=False):
    """A function's or custom tool's name with its arguments (calls) or without (offers)."""

    name: str | None = None
    arguments: str | None = None
    input: str | None = None


class Tool(msgspec.Struct, gc=False):
    """One offered tool; `tools` are those of a namespace, `model` is the one that a server tool works with."""

    type: str | None = None
    name: str | None = None
    model: str | None = None
    function: Function | None = None
    custom: Function | None = None
    tools: list[Tool] | None = None


class Call(msgspec.Struct, gc=False):
    """One tool call, whole or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Function | None = None


_TOOL = Reader(Tool)


def offered(tools: list[Tool] | None, functions: list[Function] | None = None, web_search: object = None) -> tuple[str, ...]:
    """Return the names of all offered tools, in order."""
    if tools is None and functions is None and web_search is None:
        return ()
    names: list[str] = []
    for tool in tools or ():
        names += _names(tool)
    names += [f.name for f in functions or () if f.name]
    if web_search is not None:
        names.append("web_search")
    return tuple(names)


def models_of(tools: list[Tool] | None) -> tuple[str, ...]:
    """Return the models that server tools work with (`image_generation`): the request has its provider use them too."""
    return tuple(tool.model for tool in tools if tool.model) if tools else ()


def _names(tool: Tool) -> Iterator[str]:
    named = tool.function or tool.custom
    if name := (named.name if named else None) or tool.name or tool.type:
        yield name
    for inner in tool.tools or ():
        yield from _names(inner)


def strip(body: bytes, gone: frozenset[str]) -> list[Edit]:
    """Return the edits that take the offers named in `gone` out of `body`, and what refers to them."""
    dropped: set[str] = set()
    edits: list[Edit] = []
    for key, companions in _WITH_TOOLS.items():
        found, emptied = _strip_list(body, key, gone)
        if not found:
            continue
        if emptied:
            dropped.update((key, *companions))
        else:
            edits += found
            dropped.update(c for c in companions if _mentions(body, c, gone))
    if "web_search" in gone:
        dropped.add("web_search_options")
    return edits + remove_members(body, dropped)


def _strip_list(body: bytes, key: str, gone: frozenset[str]) -> tuple[list[Edit], bool]:
    """Return the edits for one list of offers, and whether nothing would be left in it."""
    span = find(body, (key,))
    if span is None or body[span.start : span.start + 1] != b"[":
        return [], False
    spans = elements(body, span.start)
    tools = [_TOOL.read(body[s.start : s.end])[0] or Tool() for s in spans]
    out = {i for i, tool in enumerate(tools) if next(_names(tool), "") in gone}
    edits = remove_elements(body, span.start, out)
    for index, tool in enumerate(tools):
        if index not in out and tool.tools:
            inner = find(body, ("tools",), spans[index].start)
            nested = {i for i, t in enumerate(tool.tools) if next(_names(t), "") in gone}
            if inner is not None and nested:
                edits += remove_elements(body, inner.start, nested)
    return edits, len(out) == len(spans)


def _mentions(body: bytes, key: str, gone: frozenset[str]) -> bool:
    span = find(body, (key,))
    if span is None:
        return False
    raw = body[span.start : span.end]
    return any(msgspec.json.encode(name) in raw for name in gone)


def see_calls(seen: Observation, choice: int, calls: list[Call] | None, legacy: Function | None, *, streamed: bool) -> None:
    """Write the tool calls (or pieces of them) of one message into `seen`."""
    for position, call in enumerate(calls or ()):
        function = call.function or call.custom
        if function is None:
            function = Function()
        if call.index is None and streamed:
            key: tuple[object, ...] = (choice, "id", call.id)
        else:
            key = (choice, call.index if streamed else position)
        see_piece(seen, key, function.name, call.id, function.arguments or function.input)
    if legacy is not None:
        see_piece(seen, (choice, "legacy"), legacy.name, None, legacy.arguments)


def see_piece(seen: Observation, key: tuple[object, ...], name: str | None, call_id: str | None, arguments: str | None) -> None:
    """Add one piece of a tool call; rule 2 says to which call."""
    entry: tuple[ToolCall, str | None] | None = seen.scratch.get(key)
    if entry is None or (name and call_id and entry[1] and call_id != entry[1]):
        entry = (ToolCall(), call_id)
        seen.scratch[key] = entry
        seen.tools.append(entry[0])
    call = entry[0]
    if name and name != call.name:
        if call.name and call.args_bytes:
            call = ToolCall()
            seen.scratch[key] = (call, call_id)
            seen.tools.append(call)
        call.name += name
    if arguments:
        call.args_bytes += len(arguments) if arguments.isascii() else len(arguments.encode("utf-8", "surrogatepass"))
