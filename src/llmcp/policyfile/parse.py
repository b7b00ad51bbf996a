"""One policy file's text to a `Policy`, or to everything that is wrong with it.

Rules:
1. It never raises, whatever the bytes. A policy comes back only where no error was found; warnings stand beside it.
2. All problems of a file are reported in one run, in file order.
3. What the policy language has and this version lacks is refused by name, never ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmcp.core.decide import Mode
from llmcp.core.policy import OnError, ParamValue, Policy, Position, Problem
from llmcp.policyfile.document import Source, read_document
from llmcp.policyfile.exceptions import read_exceptions
from llmcp.policyfile.nodes import Broken, Mapping, Node, Scalar, Sequence
from llmcp.policyfile.reader import MappingReader, nearest, shape
from llmcp.policyfile.rules import read_rules
from llmcp.policyfile.scope import read_scope
from llmcp.policyfile.testcases import read_tests

if TYPE_CHECKING:
    from datetime import datetime

    from llmcp.ports import Vocabulary

API_VERSION = "llmcp.dev/v1"
KIND = "Policy"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PARAM = re.compile(r"[a-z_][a-z0-9_]{0,63}")
_UNBUILT = {"rollout": "flags are not built in this version", "detectors": "detectors are not built in this version"}
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What became of one file. `text` is its source, for showing problems."""

    file: str
    policy: Policy | None
    problems: tuple[Problem, ...]
    text: str = ""


def parse_policy(data: bytes, file: str, vocabulary: Vocabulary, now: datetime) -> ParsedFile:
    """Read one policy file. `now` tells which exceptions have expired."""
    source = Source(file)
    root = read_document(data, source)
    policy = _policy(root, source, vocabulary, now) if root is not None else None
    problems = tuple(sorted(source.problems, key=lambda p: (p.line, p.column, p.code)))
    return ParsedFile(file, None if source.broken else policy, problems, source.text)


def _policy(root: Node, source: Source, vocabulary: Vocabulary, now: datetime) -> Policy | None:
    if not isinstance(root, Mapping):
        if not isinstance(root, Broken):
            source.report("P103", root.position, f"a policy file is a mapping, got {shape(root)}")
        return None
    top = MappingReader(source, root, "the file")
    top.only("apiVersion", "kind", "metadata", "spec")
    _expect(top, "apiVersion", API_VERSION)
    _expect(top, "kind", KIND)
    name, title, owners, position = _metadata(top)
    spec = _required(top, "spec")
    if spec is None:
        return None
    for key, why in _UNBUILT.items():
        if spec.has(key):
            place = spec.node.entries[key].position
            source.report("P109", place, f"`{key}` is not supported in this version", hint=why)
    spec.only("mode", "onError", "scope", "params", "rules", "exceptions", "tests", *_UNBUILT)
    params = _params(spec)
    mode = Mode(_one_of(spec, "mode", tuple(Mode), Mode.ENFORCE))
    rules = read_rules(spec, dict(params), vocabulary, holds=mode is Mode.ENFORCE)
    return Policy(
        name=name,
        title=title,
        owners=owners,
        mode=mode,
        on_error=OnError(_one_of(spec, "onError", tuple(OnError), OnError.DENY)),
        scope=read_scope(spec, "scope", vocabulary),
        params=params,
        rules=rules,
        exceptions=read_exceptions(spec, rules, dict(params), vocabulary, now),
        tests=read_tests(spec, {rule.id for rule in rules}),
        file=source.file,
        position=position,
    )


def _expect(top: MappingReader, key: str, value: str) -> None:
    if not top.has(key):
        top.problem("P102", f"`{key}` is missing", hint=f"write `{key}: {value}`")
        return
    found = top.text(key)
    if found is not None and found != value:
        top.problem("P106", f"`{key}` is `{found[:60]}`; this version reads `{value}`", key=key)


def _required(top: MappingReader, key: str) -> MappingReader | None:
    if not top.has(key):
        top.problem("P102", f"`{key}` is missing")
        return None
    return top.inner(key)


def _metadata(top: MappingReader) -> tuple[str, str, tuple[str, ...], Position]:
    metadata = _required(top, "metadata")
    if metadata is None:
        return "", "", (), Position()
    metadata.only("name", "title", "owners")
    if not metadata.has("name"):
        metadata.problem("P102", "`name` is missing in `metadata`")
    name = metadata.text("name") or ""
    position = metadata.at("name").position if metadata.has("name") else metadata.node.position
    if (
        metadata.has("name")
        and not _NAME.fullmatch(name)
        and isinstance(node := metadata.at("name"), Scalar)
        and isinstance(node.value, str)
    ):
        metadata.problem("P108", f"`{name[:60]}` cannot be a policy's name", key="name")
    owners = metadata.texts("owners") or ()
    return name, metadata.text("title") or "", tuple(owner for owner, _ in owners), position


def _one_of(spec: MappingReader, key: str, known: tuple[str, ...], default: str) -> str:
    value = spec.text(key)
    if value is None:
        return default
    if value in known:
        return value
    words = ", ".join(f"`{word}`" for word in known)
    spec.problem(
        "P107", f"`{key}` is one of {words}, got `{value[:60]}`", key=key, hint=nearest(value, known) or f"use one of {words}"
    )
    return default


def _params(spec: MappingReader) -> tuple[tuple[str, ParamValue], ...]:
    params = spec.inner("params")
    if params is None:
        return ()
    found: list[tuple[str, ParamValue]] = []
    for name, entry in params.node.entries.items():
        if not _PARAM.fullmatch(name):
            spec.source.report(
                "P108", entry.position, f"`{name[:60]}` cannot be a parameter's name", hint="use `[a-z_][a-z0-9_]*`, at most 64"
            )
            continue
        value = _param(entry.value, spec.source)
        if value is not None:
            found.append((name, value))
    return tuple(found)


def _param(node: Node, source: Source) -> ParamValue | None:
    if isinstance(node, Broken):
        return None
    if isinstance(node, Scalar) and _usable(node):
        return node.value
    if isinstance(node, Sequence):
        scalars = [item for item in node.items if isinstance(item, Scalar) and _usable(item)]
        if len(scalars) == len(node.items) and len({type(item.value) for item in scalars}) <= 1:
            return tuple(item.value for item in scalars)  # type: ignore[return-value]  # all of one type, as just asked
    source.report(
        "P118",
        node.position,
        f"a parameter cannot be {shape(node)}"
        if not isinstance(node, Sequence)
        else "a list parameter's entries must be of one simple type",
    )
    return None


def _usable(node: Scalar) -> bool:
    value = node.value
    if isinstance(value, int) and not isinstance(value, bool):
        return -_INT64 <= value < _INT64
    return value is not None
