"""Request targets: which are refused, how they are compared with routes, and where they lie at a provider.

Rules:
1. A target that two readers could resolve to different paths is refused: dot segments in any encoding, empty segments,
   backslashes, path parameters, control bytes, invalid escapes, invalid UTF-8, anything but origin form.
2. Routes are compared with the normalised path: percent-decoded once (but for `%2F`), ASCII lower case, no trailing slash.
   What goes upstream is the client's own spelling.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~:@!$&'()*+,=<>.-]+)*/?")
_DOTS = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BAD_CHARACTER = re.compile(r"[^\x21-\x7e]|[\\;#]")
_BAD_QUERY = re.compile(r"[^\x21-\x7e]|#")
_SLASH = re.compile(r"%2f", re.IGNORECASE)
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_MOST_ROUNDS = 4


class BadTargetError(ValueError):
    """A request target that is refused; the message says why and names no part of it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A target taken apart: the client's own path and query (with its `?`, or ''), and the path to compare with routes."""

    path: str
    query: str
    normal: str

    def below(self) -> Target:
        """Return the target without its first segment."""
        return Target(self.path[self.path.find("/", 1) :] if "/" in self.path[1:] else "", self.query, _below(self.normal))


def parse_target(target: str) -> Target:
    """Take a request target apart. Raises BadTargetError: see the module's rule 1."""
    if not target.startswith("/"):
        raise BadTargetError("it is not in origin form, that is a path that begins with `/`")
    path, mark, query = target.partition("?")
    if query and _BAD_QUERY.search(query):
        raise BadTargetError("its query has a character that must be percent-encoded")
    if _PLAIN.fullmatch(path) and not _DOTS.search(path):
        return Target(path, mark + query, path.lower().removesuffix("/"))
    _check(path)
    return Target(path, mark + query, _normalise(path))


def raw_span(path: str, start: int, end: int) -> str:
    """Return the client's spelling of the normalised path's characters from `start` to `end`, percent-decoded."""
    if "%" not in path:
        return path[start:end]
    position = at = 0
    edges: dict[int, int] = {}
    while position < len(path):
        edges.setdefault(at, position)
        escaped = path[position] == "%" and path[position + 1 : position + 3].lower() != "2f"
        position += 3 if escaped else 1
        at += 1
    edges[at] = position
    return unquote(path[edges.get(start, position) : edges.get(end, position)])


def join(base_path: str, api_path: str, rest: str, *, verbatim: bool) -> str:
    """Return where `rest` (a client's path below a provider's prefix) lies below a base URL's path.

    A client that knows only OpenAI's paths says `/v1/…`; that is moved to where the provider has its own `/v1`, unless
    `verbatim`. Neither that nor a base URL which itself ends in the API's path doubles anything.
    """
    if api_path and base_path.endswith(api_path):
        if not _begins(rest, api_path) and not _begins(rest, "/v1"):
            return base_path + rest
        base_path = base_path[: len(base_path) - len(api_path)]
    if api_path not in {"", "/v1"} and not verbatim and _begins(rest, "/v1") and not _begins(rest, api_path):
        rest = api_path + rest[len("/v1") :]
    segments = base_path.split("/")
    for first in range(1, len(segments)):
        overlap = "/" + "/".join(segments[first:])
        if _begins(rest, overlap):
            return "/".join(segments[:first]) + rest
    return base_path + rest


def _begins(path: str, prefix: str) -> bool:
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in {"", "/"}


def _below(normal: str) -> str:
    cut = normal.find("/", 1)
    return normal[cut:] if cut > 0 else ""


def _check(path: str) -> None:
    if _BAD_CHARACTER.search(path):
        raise BadTargetError("its path has a control character, a backslash, a `;`, a `#` or a character outside ASCII")
    if _BAD_ESCAPE.search(path):
        raise BadTargetError("its path has a `%` that begins no escape")
    text = path
    for _ in range(_MOST_ROUNDS):
        _check_decoded(text)
        if not _ESCAPE.search(text):
            return
        try:
            text = unquote_to_bytes(text).decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadTargetError("its path is not UTF-8 once decoded") from error
    raise BadTargetError("its path is escaped many times over")


def _check_decoded(text: str) -> None:
    if any(c < " " or c == "\x7f" for c in text):
        raise BadTargetError("its path has an encoded control character")
    if "\\" in text:
        raise BadTargetError("its path has an encoded backslash")
    segments = text.split("/")[1:]
    for index, segment in enumerate(segments):
        if segment.partition(";")[0] in {".", ".."}:
            raise BadTargetError("its path has a dot segment")
        if not segment and index < len(segments) - 1:
            raise BadTargetError("its path has an empty segment")


def _normalise(path: str) -> str:
    # Latin-1 keeps one character a byte, so that `raw_span` can count.
    kept = _SLASH.sub("%252f", path)
    return unquote_to_bytes(kept).decode("latin-1").translate(_LOWER).removesuffix("/")
