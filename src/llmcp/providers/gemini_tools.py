"""Take tools out of a Gemini request: declared functions by name, built-in tools by key.

Rules:
1. What is left empty goes as well: a list of declarations, a tool, all tools. Google refuses empty ones.
2. A tool config that names a stripped function goes with it.
3. Every other byte stays.
"""

from __future__ import annotations

from llmcp.engine import jsonspan
from llmcp.providers import gemini_contents, loose, splice


def strip(body: bytes, stripped: frozenset[str]) -> bytes:
    """Return the body without the tools in `stripped`. Raises NotEditableError where it cannot be taken apart."""
    try:
        span = jsonspan.find(body, ("tools",))
        if span is None:
            return body
        spans = jsonspan.elements(body, span.start) if body[span.start : span.start + 1] == b"[" else [span]
        kept = [_strip_tool(body[s.start : s.end], stripped) for s in spans]
        if all(new == body[s.start : s.end] for new, s in zip(kept, spans, strict=True)):
            return body
        gone = {i for i, new in enumerate(kept) if not new}
        config = _tool_config(body)
        names = loose.strings(config, opaque=frozenset())
        drop: set[str] = set() if stripped.isdisjoint(names) else {"toolConfig", "tool_config"}
        if len(gone) == len(spans):
            return jsonspan.apply(body, jsonspan.remove_members(body, {"tools", "toolConfig", "tool_config"}))
        # From the last one on, so that the spans before stay where they are.
        for s, new in reversed([*zip(spans, kept, strict=True)]):
            body = body[: s.start] + (new or body[s.start : s.end]) + body[s.end :]
        if gone:
            body = jsonspan.apply(body, jsonspan.remove_elements(body, span.start, gone))
        return jsonspan.apply(body, jsonspan.remove_members(body, drop)) if drop else body
    except ValueError:
        raise splice.unreadable() from None


def _strip_tool(tool: bytes, stripped: frozenset[str]) -> bytes:
    """Return one tool without what is stripped of it; b'' where nothing is left."""
    if tool[:1] != b"{":
        return tool
    gone: set[str] = set()
    present = jsonspan.members(tool)
    for member in reversed(present):
        if gemini_contents.camel(member.key) != "functionDeclarations":
            gone |= {member.key} if gemini_contents.camel(member.key) in stripped else set()
            continue
        if tool[member.value : member.value + 1] == b"[":
            spans = jsonspan.elements(tool, member.value)
            names = [loose.text(loose.mapping(loose.decode(tool[s.start : s.end])).get("name")) for s in spans]
            dropped = {i for i, name in enumerate(names) if name in stripped}
            if dropped and len(dropped) == len(spans):
                gone.add(member.key)
            elif dropped:
                tool = jsonspan.apply(tool, jsonspan.remove_elements(tool, member.value, dropped))
        elif loose.text(loose.mapping(loose.decode(tool[member.value : member.end])).get("name")) in stripped:
            gone.add(member.key)
    if gone and len(gone) == len({m.key for m in present}):
        return b""
    return jsonspan.apply(tool, jsonspan.remove_members(tool, gone)) if gone else tool


def _tool_config(body: bytes) -> object:
    for name in ("toolConfig", "tool_config"):
        span = jsonspan.find(body, (name,))
        if span is not None:
            return loose.decode(body[span.start : span.end])
    return None
