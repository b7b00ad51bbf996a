"""YAML text to a tree of nodes, strictly: one document of the 1.2 core schema and none of YAML's machinery.

Rules:
1. It never raises, whatever the bytes; everything wrong becomes a problem with a code, a position and a hint.
2. It reads on after whatever does not spoil the syntax (anchors, aliases, tags, duplicate keys …), so that one run reports all.
3. It is bounded: bytes, nesting and nodes. Aliases are refused, so nothing multiplies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML, events
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from llmcp.core.policy import Position, Problem, Severity
from llmcp.policyfile.codes import hint_of
from llmcp.policyfile.nodes import Broken, Entry, Mapping, Node, Scalar, Sequence
from llmcp.policyfile.scalars import read_plain
from llmcp.policyfile.syntax import explain_syntax

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 20_000

_BOM = "\ufeff"


@dataclass(slots=True)
class Source:
    """One file's text, and the problems found in it so far."""

    file: str
    text: str = ""
    problems: list[Problem] = field(default_factory=list)

    def report(
        self,
        code: str,
        position: Position,
        message: str,
        *,
        hint: str = "",
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Note a problem; without a hint of its own the code's general one."""
        self.problems.append(Problem(self.file, position.line, position.column, code, severity, message, hint or hint_of(code)))

    @property
    def broken(self) -> bool:
        """Tell whether anything but warnings was found."""
        return any(problem.severity is Severity.ERROR for problem in self.problems)


def read_document(data: bytes, source: Source) -> Node | None:
    """Return the only document's root, or None; what is wrong stands in `source.problems`."""
    if len(data) > MAX_BYTES:
        source.report("P015", Position(), f"the file has {len(data)} bytes; at most {MAX_BYTES} are read")
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as fault:
        before = data[: fault.start].decode("utf-8", "replace")
        source.report("P001", _position_at(before, len(before)), f"byte 0x{data[fault.start]:02x} is not UTF-8")
        return None
    if text.startswith(_BOM):
        source.report("P018", Position(), "the file begins with a byte order mark", severity=Severity.WARNING)
        text = text.removeprefix(_BOM)
    source.text = text
    return _Composer(source).compose()


class _StopReadingError(Exception):
    """The document cannot be read further; the reason was reported."""


class _Composer:
    """Builds nodes from parser events. One use."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._nodes = 0

    def compose(self) -> Node | None:
        """Read all events; keep the first document's root."""
        root: Node | None = None
        documents = 0
        try:
            stream = self._events()
            for event in stream:
                if isinstance(event, events.DocumentStartEvent):
                    documents += 1
                    self._directives(event)
                    if documents > 1:
                        self._report("P004", event, "a second document begins here")
                        break
                elif isinstance(event, events.NodeEvent):
                    root = self._node(event, stream, 0)
        except _StopReadingError:
            return None
        if root is None or (isinstance(root, Scalar) and root.plain and root.value is None):
            self._source.report("P003", Position(), "the file has no content")
            return None
        return root

    def _events(self) -> Iterator[Any]:
        parser = YAML(typ="safe", pure=True)
        try:
            yield from parser.parse(self._source.text)
        except MarkedYAMLError as fault:
            mark = fault.problem_mark or fault.context_mark
            position = Position(mark.line + 1, mark.column + 1) if mark else Position()
            self._source.report(*explain_syntax(self._source.text, position, str(fault.problem or fault.context or "")))
            raise _StopReadingError from None
        except YAMLError as fault:
            offset = getattr(fault, "position", 0)
            at = offset if isinstance(offset, int) else 0
            self._source.report("P019", _position_at(self._source.text, at), "a control character stands here")
            raise _StopReadingError from None
        except (
            ValueError,
            RecursionError,
            AssertionError,
            AttributeError,
            IndexError,
            TypeError,
            KeyError,
            OverflowError,
        ) as fault:
            # The parser's own bugs on hostile input: a file it cannot digest is a file with a syntax error.
            self._source.report("P002", Position(), f"the file cannot be read as YAML ({type(fault).__name__})")
            raise _StopReadingError from None

    def _directives(self, event: Any) -> None:  # noqa: ANN401 - the library's events have no types
        if event.version or event.tags:
            self._source.report(
                "P009", Position(max(event.start_mark.line, 1), 1), "directives (`%YAML`, `%TAG`) are not accepted"
            )

    def _node(self, event: Any, stream: Iterator[Any], depth: int) -> Node:  # noqa: ANN401 - the library's events have no types
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            deep = f"is nested more than {MAX_DEPTH} levels deep"
            self._report("P016", event, f"the document {deep if depth > MAX_DEPTH else f'has more than {MAX_NODES} nodes'}")
            raise _StopReadingError
        if isinstance(event, events.AliasEvent):
            self._report("P006", event, f"`*{event.anchor}` is a YAML alias", hint=self._alias_hint(event))
            return Broken(_mark(event))
        if event.anchor is not None:
            self._report("P005", event, f"`&{event.anchor}` is a YAML anchor")
        tagged = self._tagged(event)
        node = self._content(event, stream, depth)
        return Broken(node.position) if tagged else node

    def _content(self, event: Any, stream: Iterator[Any], depth: int) -> Node:  # noqa: ANN401 - as above
        if isinstance(event, events.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, events.SequenceStartEvent):
            sequence = Sequence(_mark(event))
            for item in stream:
                if isinstance(item, events.SequenceEndEvent):
                    break
                sequence.items.append(self._node(item, stream, depth + 1))
            return sequence
        return self._mapping(event, stream, depth)

    def _mapping(self, event: Any, stream: Iterator[Any], depth: int) -> Mapping:  # noqa: ANN401 - as above
        mapping = Mapping(_mark(event))
        for key_event in stream:
            if isinstance(key_event, events.MappingEndEvent):
                break
            key = self._node(key_event, stream, depth + 1)
            value = self._node(next(stream), stream, depth + 1)
            name = self._key(key)
            if name is None:
                continue
            if name in mapping.entries:
                first = mapping.entries[name].position
                self._source.report(
                    "P010", key.position, f"the key `{_short(name)}` stands here again, first in line {first.line}"
                )
                continue
            mapping.entries[name] = Entry(key.position, value)
        return mapping

    def _key(self, key: Node) -> str | None:
        if isinstance(key, Scalar) and key.plain and key.text == "<<":
            self._source.report("P007", key.position, "`<<` is a YAML merge key")
            return None
        if isinstance(key, Scalar) and isinstance(key.value, str):
            return key.value
        if not isinstance(key, Broken):
            self._source.report("P017", key.position, "a key must be a plain word or a quoted string")
        return None

    def _scalar(self, event: Any) -> Scalar:  # noqa: ANN401 - as above
        plain = event.style is None and bool(event.implicit[0])
        text: str = event.value
        value, code = read_plain(text) if plain else (text, "")
        if any("\ud800" <= char <= "\udfff" for char in text):
            self._report("P019", event, "half a surrogate pair stands here, which is no character")
        elif code:
            self._report(code, event, _ODD_NUMBERS[code].format(text=_short(text)))
        return Scalar(_mark(event), text, value, plain, event.style or "", event.start_mark.index, event.end_mark.index)

    def _tagged(self, event: Any) -> bool:  # noqa: ANN401 - as above
        tag = getattr(event, "tag", None)
        if not tag:
            return False
        self._report("P008", event, f"`{_short(str(tag))}` is a YAML tag")
        return True

    def _alias_hint(self, event: Any) -> str:  # noqa: ANN401 - as above
        return f'write it in quotes, `"*{_short(str(event.anchor))}"`, if a glob is meant; else repeat the value'

    def _report(self, code: str, event: Any, message: str, *, hint: str = "") -> None:  # noqa: ANN401 - as above
        self._source.report(code, _mark(event), message, hint=hint)


_ODD_NUMBERS = {
    "P012": "`{text}` is not a number that a policy can use",
    "P013": "`{text}` is a string in YAML 1.2",
    "P014": "`{text}` begins with a zero",
}


def _mark(event: Any) -> Position:  # noqa: ANN401 - as above
    return Position(event.start_mark.line + 1, event.start_mark.column + 1)


def _position_at(text: str, index: int) -> Position:
    before = text[:index]
    return Position(before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1)


def _short(text: str, limit: int = 60) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= limit else one_line[: limit - 1] + "…"
