"""The settings file's text as plain values with the position of each: strict YAML 1.2, core schema.

Rules:
1. One document, a mapping at the top; keys are strings and stand once.
2. No anchors, aliases, merge keys, tags or directives; they are looked for among the parser's events, because the parser lets
   them through.
3. `true`, `null`, `12`, `0x1f` and `1.5` are what the core schema says; everything else plain is a string (`yes`, `1_000`, dates).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmcp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}

type Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """Plain values, and where each key stands."""

    values: dict[str, Any]
    positions: dict[Path, Position]


class SettingsError(UsageError):
    """Settings that cannot be used, with the place where it stands when it is in a file."""

    default_code = "settings"

    def __init__(self, what: str, *, why: str = "", fix: str = "", file: str = "", at: Position | None = None) -> None:
        place = f"{file}:{at.line}:{at.column}: " if file and at else f"{file}: " if file else ""
        super().__init__(place + what, why=why, fix=fix)
        self.file = file
        self.line = at.line if at else 0
        self.column = at.column if at else 0


def parse(text: str, file: str) -> Document:
    """Read `text`; `file` names it in errors. An empty text is an empty mapping. Raises: SettingsError."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - a home without a settings file needs no parser
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    positions: dict[Path, Position] = {}
    try:
        builder = _Builder(iter(YAML(typ="safe", pure=True).parse(text)), file, positions)
        values = builder.document()
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = Position(mark.line + 1, mark.column + 1) if mark is not None else None
        problem = getattr(error, "problem", None) or "not YAML"
        raise SettingsError(f"not valid YAML: {problem}", why="the file cannot be read as YAML 1.2", file=file, at=at) from error
    return Document(values, positions)


class _Builder:
    """Turns the parser's events into values. One pass, no look-ahead."""

    def __init__(self, events: Iterator[Any], file: str, positions: dict[Path, Position]) -> None:
        self._events = events
        self._file = file
        self._positions = positions

    def document(self) -> dict[str, Any]:
        """Read the whole stream."""
        documents = 0
        values: dict[str, Any] = {}
        for event in self._events:
            match type(event).__name__:
                case "DocumentStartEvent":
                    documents += 1
                    if documents > 1:
                        raise self._error(event, "a second document", "settings are one document: take the `---` out")
                    if getattr(event, "tags", None) or getattr(event, "version", None):
                        raise self._error(event, "a YAML directive", "take the `%` line out")
                case "StreamStartEvent" | "StreamEndEvent" | "DocumentEndEvent" | "CommentEvent":
                    pass
                case "MappingStartEvent":
                    values = self._value(event, ())
                case "ScalarEvent" if event.value == "":
                    pass
                case _:
                    raise self._error(event, "the top is not a mapping", "write `section:` lines")
        return values

    def _value(self, event: Any, path: Path) -> Any:  # noqa: ANN401 - YAML has any value
        name = type(event).__name__
        if name == "AliasEvent":
            raise self._error(event, "an alias (`*`) is not allowed", 'quote the value if a literal star is meant: `"*"`')
        if getattr(event, "anchor", None):
            raise self._error(event, "an anchor (`&`) is not allowed", "write the value out; quote it if a literal `&` is meant")
        if getattr(event, "tag", None) and not (name == "ScalarEvent" and event.implicit[0]):
            raise self._error(event, "a tag (`!`) is not allowed", "take the tag out; quote the value if a literal `!` is meant")
        if name == "MappingStartEvent":
            return self._mapping(path)
        if name == "SequenceStartEvent":
            return self._sequence(path)
        return _scalar(event.value) if event.implicit[0] else event.value

    def _mapping(self, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while type(key := next(self._events)).__name__ != "MappingEndEvent":
            if type(key).__name__ != "ScalarEvent":
                raise self._error(key, "a key must be a plain name", "write `name: value`")
            if key.value == "<<" and key.implicit[0]:
                raise self._error(key, "a merge key (`<<`) is not allowed", "write the keys out")
            if key.value in values:
                raise self._error(key, f"the key `{key.value}` stands twice", "keep one of them")
            self._value(key, ())
            here = (*path, key.value)
            self._positions[here] = _position(key)
            values[key.value] = self._value(next(self._events), here)
        return values

    def _sequence(self, path: Path) -> list[Any]:
        values: list[Any] = []
        while type(item := next(self._events)).__name__ != "SequenceEndEvent":
            here = (*path, len(values))
            self._positions[here] = _position(item)
            values.append(self._value(item, here))
        return values

    def _error(self, event: Any, what: str, fix: str) -> SettingsError:  # noqa: ANN401
        return SettingsError(what, why="settings are strict YAML 1.2", fix=fix, file=self._file, at=_position(event))


def _position(event: Any) -> Position:  # noqa: ANN401
    return Position(event.start_mark.line + 1, event.start_mark.column + 1)


def _scalar(text: str) -> bool | int | float | str | None:
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in {"0x", "0o"} else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
