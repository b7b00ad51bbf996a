"""The settings by name: which keys there are, of which type, and what a text on the command line means for one.

Rules:
1. A key is its path joined by dots; `providers.<name>.<key>` holds for any provider's name, dots in it included.
2. Only single values are set; a section is read, not written.
3. What looks like a provider's key or a virtual key is no setting: it is refused before it is written anywhere.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from pydantic import BaseModel

from llmcp.core.settings import Settings
from llmcp.errors import NotPermittedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

type Path = tuple[str, ...]
NAME: Final = "<name>"
_SHORTEST_SECRET: Final = 12
_VIRTUAL: Final = "llmcp_"


def known() -> dict[str, object]:
    """Return every key with its annotation; a provider's name stands as `<name>`."""
    return {".".join(path): annotation for path, annotation in _walk(Settings, ())}


def _walk(model: type[BaseModel], path: Path) -> Iterator[tuple[Path, object]]:
    for name, info in model.model_fields.items():
        here = (*path, name)
        annotation = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _walk(annotation, here)
        elif get_origin(annotation) is dict:
            yield from _walk(get_args(annotation)[1], (*here, NAME))
        else:
            yield here, annotation


def path_of(key: str) -> Path:
    """Return the path of a key. Raises: UsageError with the nearest known name."""
    path = _split(key)
    if _pattern(path) in known():
        return path
    raise _unknown(key)


def section_of(key: str) -> Path:
    """Return the path of a section that holds keys. Raises: UsageError."""
    prefix = _pattern(_split(f"{key}.")[:-1]) if key.startswith("providers.") else key
    if any(name.startswith(f"{prefix}.") for name in known()):
        return tuple(part for part in _split(f"{key}.") if part)
    raise _unknown(key)


def _split(key: str) -> Path:
    first, _, rest = key.partition(".")
    if first == "providers" and "." in rest:
        name, _, last = rest.rpartition(".")
        return (first, name, last)
    return tuple(key.split("."))


def _pattern(path: Path) -> str:
    return ".".join((path[0], NAME, *path[2:]) if path[0] == "providers" and len(path) > 1 else path)


def _unknown(key: str) -> UsageError:
    names = list(known())
    shown = key if len(key) <= _SHORTEST_SECRET * 4 else f"{key[: _SHORTEST_SECRET * 4]}…"
    leaf = key.rpartition(".")[2]
    near = get_close_matches(key, names, n=3, cutoff=0.6) or [name for name in names if name.rpartition(".")[2] == leaf][:3]
    return UsageError(
        f"there is no setting `{shown}`",
        why="no key of this version has that name",
        fix=f"did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else "`llmcp config list` names them",
        code="unknown-setting",
    )


def read_value(path: Path, text: str) -> object:
    """Return what `text` means for a key: a list as `a,b` or JSON, a number, a boolean, or the text itself.

    Whether the value is allowed is for the settings themselves to say.
    """
    annotation = known()[_pattern(path)]
    kinds = {getattr(part, "__origin__", part) for part in (annotation, *get_args(annotation))}
    if get_origin(annotation) is tuple:
        return _list(text)
    if annotation is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kinds & {int, float}:
        return _number(text)
    return text


def _list(text: str) -> object:
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError as error:
            raise UsageError(
                "the list is not JSON", why=f"at character {getattr(error, 'pos', 0)}", fix="write `a,b`, or a JSON array"
            ) from error
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def show_value(value: object) -> str:
    """Return a value as `set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        items = [str(item) for item in value]
        return json.dumps(items, ensure_ascii=False) if any("," in item for item in items) else ",".join(items)
    return str(value)


def refuse_secrets(key: str, value: object, provider_of: Callable[[str], str]) -> None:
    """Refuse a value that has a known key's form; `provider_of` names the provider of a form, or ''. Raises: NotPermittedError."""
    for text in value if isinstance(value, list) else [value]:
        word = str(text).strip().removeprefix("Bearer ").strip()
        owner = provider_of(word) if len(word) >= _SHORTEST_SECRET else ""
        if owner or word.startswith(_VIRTUAL):
            raise NotPermittedError(
                f"`{key}` was not set: the value has the form of {f'a key of {owner}' if owner else 'a virtual key'}",
                why="secrets do not stand in settings files",
                fix=f"keep it with `llmcp key set {owner}`"
                if owner
                else "name the token by its id, or revoke it if it was shown",
                code="secret-in-settings",
            )


def rows(settings: Settings, origin: Callable[[Path], str]) -> list[dict[str, Any]]:
    """Return one row for each key: name, effective value, and where it comes from."""
    return [
        {"key": ".".join(path), "value": value, "origin": origin(path)}
        for path, value in _values(settings.model_dump(mode="json"), ())
    ]


def _values(values: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _values(value, (*path, name))
        else:
            yield (*path, name), value
