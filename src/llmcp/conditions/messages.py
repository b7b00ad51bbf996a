"""The CEL library's compile errors in the words of policy authors, each with a character offset.

Rules:
1. Every error of one compilation is told, in the order of its place.
2. A misspelt name gets the nearest known one as its hint; a name of a later version is refused by name.
3. An error whose form is unknown is told in the library's own words: better odd than silent.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from llmcp.conditions.variables import ALL_LABELS, UNBUILT, VARIABLES
from llmcp.ports import ConditionProblem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmcp.core.policy import ParamValue

_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*?)(?=\n \||\nERROR: |\s*\[INVALID_ARGUMENT\]|\Z)", re.DOTALL)
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '([^']*)'")
_FUNCTIONS = (
    "contains", "startsWith", "endsWith", "matches", "size", "exists", "exists_one", "all", "filter", "map", "orValue",
    "hasValue", "int", "double", "string", "bool", "timestamp", "duration", "getHours", "getDayOfWeek", "getMinutes",
    "getFullYear", "getMonth", "getDate", "in_cidr", "has",
)  # fmt: skip
_OPERATORS = {"_==_": "==", "_!=_": "!=", "_<_": "<", "_<=_": "<=", "_>_": ">", "_>=_": ">=", "_&&_": "&&", "_||_": "||",
              "_+_": "+", "_-_": "-", "_*_": "*", "_/_": "/", "_%_": "%", "!_": "!", "-_": "-", "@in": "in", "_?_:_": "? :",
              "_[_]": "[ ]"}  # fmt: skip


def explain(source: str, library: str, params: Mapping[str, ParamValue]) -> tuple[ConditionProblem, ...]:
    """Turn the library's message into problems; at least one."""
    if "recursion" in library and "undeclared" not in library:
        return (ConditionProblem("P212", 0, "the condition is nested too deep"),)
    found = [
        _problem(source, _offset(source, int(line), int(column)), text, params)
        for line, column, text in _ERROR.findall(library)
        if "*error*" not in text
    ]
    if found:
        return tuple(sorted(dict.fromkeys(found), key=lambda problem: problem.offset))
    return (ConditionProblem("P201", 0, f"the condition cannot be read: {_one_line(library)}"),)


def _problem(source: str, offset: int, text: str, params: Mapping[str, ParamValue]) -> ConditionProblem:
    if undeclared := _UNDECLARED.search(text):
        return _undeclared(source, offset, undeclared[1], params)
    if overload := _OVERLOAD.search(text):
        return _types(offset, overload[1], overload[2])
    if "Syntax error" in text or "Invalid" in text or "unsupported" in text:
        return ConditionProblem("P201", offset, f"not CEL: {_syntax(text)}")
    return ConditionProblem("P203", offset, _one_line(text))


def _undeclared(source: str, offset: int, name: str, params: Mapping[str, ParamValue]) -> ConditionProblem:
    root = name.split(".", maxsplit=1)[0]
    start = _start_of(source, offset, root)
    if root in UNBUILT:
        return ConditionProblem("P204", start, f"`{name}` is not supported in this version", UNBUILT[root])
    if root == "params":
        known = [f"params.{param}" for param in params]
        return ConditionProblem(
            "P214", start, f"the policy has no parameter `{name.removeprefix('params.')}`", _near(name, known)
        )
    if "." not in name and source[offset : offset + 1] in {"(", ""} and not source.startswith(name, offset):
        return ConditionProblem("P215", start, f"there is no function `{name}`", _near(name, _FUNCTIONS))
    variables = [variable for variable in VARIABLES if variable != ALL_LABELS]
    if name in {variable.split(".")[0] for variable in variables}:
        parts = ", ".join(f"`{variable}`" for variable in variables if variable.startswith(f"{name}."))
        return ConditionProblem("P202", start, f"`{name}` alone is not a variable", f"its parts are {parts}")
    hint = _near(name, [*variables, *(f"params.{param}" for param in params)])
    return ConditionProblem("P202", start, f"there is no variable `{name[:80]}`", hint)


def _types(offset: int, function: str, arguments: str) -> ConditionProblem:
    what = _OPERATORS.get(function, function)
    hint = ""
    kinds = set(re.split(r"[(), ]+", arguments))
    if {"int", "double"} <= kinds:
        hint = "CEL does not mix integers and decimals: write `90.0` for a decimal number, `90` for an integer"
    return ConditionProblem("P203", offset, f"`{what}` does not take {arguments}", hint)


def _syntax(text: str) -> str:
    plain = _one_line(text).removeprefix("Syntax error: ")
    if "'<EOF>'" in plain:
        return "the condition breaks off"
    return re.sub(r" expecting \{.*", "", plain)


def _start_of(source: str, offset: int, root: str) -> int:
    """The library points at a dotted name's dot: go back to where its first part begins."""
    before = source.rfind(root, 0, offset + len(root))
    return before if before >= 0 and not source[before + len(root) : offset].strip() else offset


def _offset(source: str, line: int, column: int) -> int:
    lines = source.split("\n")
    return min(sum(len(text) + 1 for text in lines[: line - 1]) + column - 1, len(source))


def _near(name: str, known: object) -> str:
    words = [str(word) for word in known] if isinstance(known, list | tuple) else []
    close = difflib.get_close_matches(name[:100], words, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else ""


def _one_line(text: str) -> str:
    return " ".join(text.replace(" (in container '')", "").split())[:240]
