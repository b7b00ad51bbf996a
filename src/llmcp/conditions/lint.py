"""What the type checker lets through and a policy author would regret.

Rules:
1. `has()` on a variable says nothing (a variable always has a value): refused. On a map's entry it is fine.
2. A constant pattern of `matches()` must be one that RE2 takes, and of bounded size.
3. `client` alone is only what `client.in_cidr` is called on, and its network is a constant.
4. A constant part is one that reads no variable and no bound name; the compiler tries each.
"""

from __future__ import annotations

import ipaddress
import itertools
from typing import TYPE_CHECKING

import re2

from llmcp.conditions.variables import VARIABLES
from llmcp.ports import ConditionProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmcp.conditions.ast import Node, Tree
    from llmcp.core.policy import ParamValue

MAX_PROGRAM = 4000
MAX_PARTS = 64
_MATCHES_ARGUMENTS = 2
_NEVER_FAIL = frozenset({"_&&_", "_||_", "!_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "_?_:_", "@in", "size"})
"""Operators that fail only where an operand does, which was tried before."""


def lint(source: str, tree: Tree, params: Mapping[str, ParamValue], *, returns: str) -> tuple[ConditionProblem, ...]:
    """Return everything wrong with a condition whose types fit."""
    found: list[ConditionProblem] = []
    targets = {id(node.children[0]) for node in tree.root.walk() if node.name == "in_cidr" and node.children}
    for node in tree.root.walk():
        if node.kind == "ident":
            found += _ident(source, node, is_target=id(node) in targets)
        elif node.kind == "call" and node.name == "matches":
            found += _pattern(node, params)
        elif node.kind == "call" and node.name == "in_cidr":
            found += _cidr(node, params)
    if returns.lower() != "bool" and not found:
        found.append(ConditionProblem("P209", 0, f"the condition is of type {returns.lower()}, not bool"))
    return tuple(found)


def reads_of(tree: Tree) -> frozenset[str]:
    """Return the variables that an expression reads, at least; `client.in_cidr` reads the client's address."""
    names = {node.name for node in tree.root.walk() if node.kind == "ident"}
    reads = {name for name in names if name in VARIABLES}
    if any(node.kind == "call" and node.name == "in_cidr" for node in tree.root.walk()):
        reads.add("client.ip")
    return frozenset(reads)


def constant_parts(tree: Tree, constants: frozenset[str]) -> Iterator[Node]:
    """Yield the constant parts that could fail by themselves, innermost first, at most `MAX_PARTS`."""
    closed: list[Node] = []
    _free(tree.root, constants, closed)
    return itertools.islice((node for node in closed if node.name not in _NEVER_FAIL), MAX_PARTS)


def _free(node: Node, constants: frozenset[str], closed: list[Node]) -> frozenset[str]:
    """Return the names that `node` reads; add it to `closed` where there are none and it computes something."""
    if node.kind == "ident":
        return frozenset({node.name}) - constants
    free = [_free(child, constants, closed) for child in node.children]
    if node.kind == "comprehension":
        names = free[0].union(*(inner - node.binds for inner in free[1:]))
    else:
        names = frozenset[str]().union(*free)
    if not names and node.kind in {"call", "comprehension"}:
        closed.append(node)
    return names


def _ident(source: str, node: Node, *, is_target: bool) -> list[ConditionProblem]:
    if node.name == "client" and not is_target:
        return [
            ConditionProblem("P202", node.offset, "`client` is not a variable", "its parts are `client.ip`, `client.agent` …")
        ]
    if "." in node.name and source[node.offset : node.offset + 1] == "(":
        return [ConditionProblem("P205", node.offset, f"`has({node.name})` says nothing: the variable always has a value")]
    return []


def _constant_text(node: Node, params: Mapping[str, ParamValue]) -> str | None:
    if node.kind == "ident" and node.name.startswith("params."):
        value = params.get(node.name.removeprefix("params."))
        return value if isinstance(value, str) else None
    return node.text if node.kind == "const" else None


def _pattern(node: Node, params: Mapping[str, ParamValue]) -> list[ConditionProblem]:
    if len(node.children) != _MATCHES_ARGUMENTS:
        return []
    pattern = _constant_text(node.children[1], params)
    if pattern is None:
        return []
    options = re2.Options()
    options.log_errors = False
    offset = node.children[1].offset
    try:
        size = re2.compile(pattern, options=options).programsize
    except re2.error as fault:
        why = fault.args[0].decode("utf-8", "replace") if fault.args and isinstance(fault.args[0], bytes) else str(fault)
        return [ConditionProblem("P206", offset, f"RE2 refuses the pattern: {why[:200]}")]
    if size > MAX_PROGRAM:
        return [ConditionProblem("P207", offset, f"the pattern's program has size {size}; at most {MAX_PROGRAM} is accepted")]
    return []


def _cidr(node: Node, params: Mapping[str, ParamValue]) -> list[ConditionProblem]:
    argument = node.children[-1]
    text = _constant_text(argument, params)
    if text is None:
        return [ConditionProblem("P213", argument.offset, "`client.in_cidr` takes a constant network")]
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return [ConditionProblem("P213", argument.offset, "this is not a network")]
    return []
