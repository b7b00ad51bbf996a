"""Changing one key in the text of a settings file: comments, order and every other byte stay.

Rules:
1. The text is spliced at the places that the YAML parser names; nothing is written anew that was not asked for. (A round trip
   through a document would move comments: those after a key that is taken out belong to the next one.)
2. A new key goes to the end of its section, a new section to the end of the file; a section whose last key is taken out goes too.
3. The result must say exactly what the old text said, but for the one key; the caller reads it again before it is written.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from llmcp.control.config_keys import Path

_PLAIN: Final = re.compile(r"[A-Za-z/](?:[A-Za-z0-9_./@:-]*[A-Za-z0-9_/])?")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_STEP: Final = 2


def set_key(text: str, path: Path, value: object) -> str:
    """Return `text` with the key at `path` set. The text is valid strict YAML whose sections are mappings."""
    root = _compose(text)
    if root is None:
        return _append(text, _block(path, value, 0))
    node, depth = _deepest(root, path)
    if depth == len(path):
        return _replace(text, root, path, value)
    if node is root and not root.flow_style:
        return _append(text, _block(path, value, _column(root)))
    rest = path[depth:]
    if not hasattr(node, "flow_style") or isinstance(node.value, str):
        return _fill_empty(text, root, path[:depth], rest, value)
    end = _end(node)
    if node.flow_style:
        inner = _flow(rest, value)
        at = _entry_end(text, *node.value[-1]) if node.value else end - 1
        return f"{text[:at]}{', ' if node.value else ''}{inner}{text[at:]}"
    at = _line_end(text, end)
    return f"{text[:at]}{_newline(text)}{_lines(text, _block(rest, value, _column(node)))}{text[at:]}"


def unset_key(text: str, path: Path) -> str:
    """Return `text` without the key at `path`, which is there, and without the sections that are empty then."""
    root = _compose(text)
    entries = _entries(root, path)
    keep = next((n for n in range(len(entries) - 1, -1, -1) if len(entries[n][0].value) > 1), -1)
    if keep < 0:
        spans = [_lines_of(text, key.start_mark.index, key.end_mark.index) for _, key, _ in entries[:-1]]
        doomed = entries
    else:
        spans = [_lines_of(text, key.start_mark.index, key.end_mark.index) for _, key, _ in entries[keep:-1]]
        doomed = entries[keep:]
    flow = next((n for n, (holder, _, _) in enumerate(doomed) if holder.flow_style), -1)
    if flow == 0:
        return _unset_flow(text, *doomed[0])
    if flow > 0:  # the outermost key is a block's; all of the flow mapping goes with it
        spans = spans[:flow]
        _, key, value = doomed[flow - 1]
        spans[-1] = _lines_of(text, key.start_mark.index, _end(value))
    else:
        _, key, value = doomed[-1]
        spans.append(_lines_of(text, key.start_mark.index, max(_end(value), key.end_mark.index)))
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + text[end:]
    return text


def scalar(value: object) -> str:
    """Return a value as it stands in the file: plain where that is safe, else quoted."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(scalar(item) for item in value)}]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)


def _compose(text: str) -> Any:  # noqa: ANN401 - the parser's nodes have no types
    from ruamel.yaml import YAML  # noqa: PLC0415 - for an edit alone

    node = YAML(typ="safe", pure=True).compose(text)
    return node if node is not None and not isinstance(node.value, str) else None


def _deepest(root: Any, path: Path) -> tuple[Any, int]:  # noqa: ANN401
    """Return the deepest node on the way to `path` that is there, and how far that is."""
    node = root
    for depth, part in enumerate(path):
        if isinstance(node.value, str):
            return node, depth
        found = next((value for key, value in node.value if key.value == part), None)
        if found is None:
            return node, depth
        node = found
    return node, len(path)


def _entries(root: Any, path: Path) -> list[tuple[Any, Any, Any]]:  # noqa: ANN401
    """Return for each part of `path` the mapping that holds it, its key and its value."""
    found, node = [], root
    for part in path:
        key, value = next((key, value) for key, value in node.value if key.value == part)
        found.append((node, key, value))
        node = value
    return found


def _replace(text: str, root: Any, path: Path, value: object) -> str:  # noqa: ANN401
    _, key, old = _entries(root, path)[-1]
    colon = text.index(":", key.end_mark.index) + 1
    start, end = old.start_mark.index, _end(old)
    if end <= start or old.start_mark.line == key.start_mark.line:
        if end <= start:  # nothing stood there
            return f"{text[:colon]} {scalar(value)}{text[colon:]}"
        return text[:start] + scalar(value) + text[end:]
    first, last = _lines_of(text, start, end)
    return f"{text[:colon]} {scalar(value)}{text[colon:first]}{text[last:]}"


def _fill_empty(text: str, root: Any, section: Path, rest: Path, value: object) -> str:  # noqa: ANN401
    """Give a first key to a section that has only its name."""
    holder, key, old = _entries(root, section)[-1]
    colon = text.index(":", key.end_mark.index) + 1
    if holder.flow_style:
        return f"{text[:colon]} {{{_flow(rest, value)}}}{text[max(colon, _end(old)) :]}"
    at = _line_end(text, colon)
    return f"{text[:at]}{_newline(text)}{_lines(text, _block(rest, value, _column(holder) + _STEP))}{text[at:]}"


def _unset_flow(text: str, holder: Any, key: Any, value: Any) -> str:  # noqa: ANN401
    at = next(n for n, (other, _) in enumerate(holder.value) if other is key)
    start, end = key.start_mark.index, _entry_end(text, key, value)
    if at + 1 < len(holder.value):
        return text[:start] + text[holder.value[at + 1][0].start_mark.index :]
    if at:
        start = _entry_end(text, *holder.value[at - 1])
    return text[:start] + text[end:]


def _block(path: Path, value: object, column: int) -> list[str]:
    lines = [f"{' ' * (column + _STEP * n)}{scalar(part)}:" for n, part in enumerate(path)]
    lines[-1] += f" {scalar(value)}"
    return lines


def _flow(path: Path, value: object) -> str:
    inner = scalar(value)
    for part in reversed(path[1:]):
        inner = f"{{{scalar(part)}: {inner}}}"
    return f"{scalar(path[0])}: {inner}"


def _append(text: str, lines: list[str]) -> str:
    newline = _newline(text)
    if text and not text.endswith("\n"):
        text += newline
    return text + _lines(text, lines) + newline


def _lines(text: str, lines: list[str]) -> str:
    return _newline(text).join(lines)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _column(mapping: Any) -> int:  # noqa: ANN401
    return int(mapping.value[0][0].start_mark.column) if mapping.value else 0


def _end(node: Any) -> int:  # noqa: ANN401
    """Return where a node's own text ends: the parser's mark of a block lies beyond the comments after it."""
    if not isinstance(node.value, str) and not node.flow_style and node.value:
        last = node.value[-1]
        key, value = last if isinstance(last, tuple) else (last, last)
        return max(_end(value), int(key.end_mark.index) + (1 if key is not value else 0))
    return int(node.end_mark.index)


def _entry_end(text: str, key: Any, value: Any) -> int:  # noqa: ANN401
    """Return where a key with its value ends, also where no value stands."""
    end = int(key.end_mark.index)
    return max(_end(value), text.index(":", end) + 1)


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    if found < 0:
        return len(text)
    return found - 1 if text[found - 1 : found] == "\r" else found


def _lines_of(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the span of whole lines that hold `start` to `end`."""
    found = text.find("\n", end)
    return text.rfind("\n", 0, start) + 1, len(text) if found < 0 else found + 1
