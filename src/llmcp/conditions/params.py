"""A policy's parameters inside its conditions: their CEL types, and their replacement by literals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from llmcp.ports import ConditionProblem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmcp.conditions.ast import Node, Tree
    from llmcp.core.policy import ParamValue

_PREFIX = "params."
_NAMES = {bool: "bool", int: "int", float: "double", str: "string"}


def declare(value: ParamValue) -> str:
    """Name the CEL type of a parameter. An empty list is one of strings."""
    if isinstance(value, tuple):
        return f"list({_NAMES[type(value[0])] if value else 'string'})"
    return _NAMES[type(value)]


def literal(value: ParamValue) -> str:
    """Write a parameter as CEL source."""
    if isinstance(value, tuple):
        return f"[{', '.join(literal(item) for item in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        written = repr(value)
        return f"({written})" if "." in written or "e" in written else f"({written}.0)"
    return f"({value})"


def substitute(source: str, tree: Tree, params: Mapping[str, ParamValue]) -> tuple[str, tuple[ConditionProblem, ...]]:
    """Return `source` with every `params.x` replaced by its value. Raises nothing: what cannot be replaced is a problem."""
    spans: dict[int, tuple[int, str]] = {}
    for node in tree.root.walk():
        if node.kind == "ident" and node.name.startswith(_PREFIX):
            span = _span(source, node)
            if span is None:
                problem = ConditionProblem("P201", node.offset, f"write `{node.name}` in one piece")
                return source, (problem,)
            spans[span[0]] = (span[1], literal(params[node.name.removeprefix(_PREFIX)]))
    out, at = [], 0
    for start in sorted(spans):
        end, written = spans[start]
        out += [source[at:start], written]
        at = end
    return "".join(out) + source[at:], ()


def _span(source: str, node: Node) -> tuple[int, int] | None:
    """Return where the dotted name stands: its node's offset is that of its dot."""
    start = node.offset - len("params")
    if start >= 0 and source.startswith(node.name, start):
        leading_dot = start > 0 and source[start - 1] == "."
        return (start - 1 if leading_dot else start), start + len(node.name)
    return None
