"""Settings of a home: defaults, then the file, then the environment, then flags; every error with its place.

Rules:
1. Later sources win key by key; a list is replaced whole.
2. The file is read strictly: a quoted number is not a number. Variables and flags are text, so they are converted.
3. An unknown key is an error with file, line, column and the nearest known name; a secret's value is never quoted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from llmcp.config.document import Document, SettingsError, parse
from llmcp.config.environment import Override, overrides
from llmcp.core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmcp.config.home import Home


@dataclass(frozen=True, slots=True)
class Flag:
    """One command-line flag that overrides a setting."""

    name: str
    path: tuple[str, ...]
    value: Any


@dataclass(slots=True)
class _Sources:
    """Who said what: needed to say where an error stands."""

    file: str
    document: Document
    said: dict[tuple[str, ...], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings in force, and who said each of them."""

    settings: Settings
    _sources: _Sources

    def origin(self, path: tuple[str, ...]) -> str:
        """Return where a value comes from: `default`, `FILE:LINE`, a variable's or a flag's name."""
        for n in range(len(path), 0, -1):
            name = self._sources.said.get(path[:n])
            if name:
                return name
        for n in range(len(path), 1 if len(path) > 1 else 0, -1):
            at = self._sources.document.positions.get(path[:n])
            if at is not None:
                return f"{self._sources.file}:{at.line}"
        return "default"


def load(
    home: Home,
    *,
    environ: Mapping[str, str],
    flags: Sequence[Flag] = (),
    providers: Iterable[str] = (),
) -> Settings:
    """Return the settings of `home`. `providers` are the catalog's names (variables spell hyphens as underscores).

    Raises: SettingsError.
    """
    return load_effective(home, environ=environ, flags=flags, providers=providers).settings


def validate_text(text: str, file: str) -> Settings:
    """Read a settings file's text alone, without environment. Raises: SettingsError with the place in `file`."""
    document = parse(text, file)
    return _validate(document.values, _Sources(file, document), strict=True)


def load_effective(
    home: Home,
    *,
    environ: Mapping[str, str],
    flags: Sequence[Flag] = (),
    providers: Iterable[str] = (),
) -> Effective:
    """Return the settings of `home` with the origin of each. Raises: SettingsError."""
    document = read_file(home)
    declared = document.values.get("providers")
    names = [*providers, *(declared if isinstance(declared, dict) else ())]
    sources = _Sources(str(home.settings_file), document)
    _validate(document.values, sources, strict=True)
    values: dict[str, Any] = json.loads(json.dumps(document.values))
    for override in overrides(environ, sections=_sections(), providers=names):
        _set(values, override, sources)
    for flag in flags:
        if flag.value is not None:
            _set(values, flag, sources)
    return Effective(_validate(values, sources, strict=False), sources)


def read_file(home: Home) -> Document:
    """Read the settings file; a home without one is empty. Raises: SettingsError."""
    text = read_text(home)
    return parse(text, str(home.settings_file)) if text else Document({}, {})


def read_text(home: Home) -> str:
    """Return the settings file as it is, line ends included; '' where there is none. Raises: SettingsError."""
    try:
        return home.settings_file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", "") or "it is not UTF-8 text"
        raise SettingsError(
            f"{home.settings_file.name} cannot be read",
            why=why,
            fix="see the file's owner and mode",
            file=str(home.settings_file),
        ) from error


def _sections() -> list[str]:
    return [name for name, info in Settings.model_fields.items() if _model_of(info.annotation) is not None]


def _model_of(annotation: object) -> type[BaseModel] | None:
    """Return the model that stands at or in `annotation` (as a dict's value), if any."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) is dict:
        return _model_of(get_args(annotation)[1])
    return None


def _set(values: dict[str, Any], said: Override | Flag, sources: _Sources) -> None:
    here = values
    for part in said.path[:-1]:
        if not isinstance(here.get(part), dict):
            here[part] = {}
        here = here[part]
    here[said.path[-1]] = _convert(said.path, said.value)
    sources.said[said.path] = said.name


def _convert(path: tuple[str, ...], value: object) -> object:
    """Turn `a,b` into a list where the setting is one; JSON is taken as it is."""
    if not isinstance(value, str) or not _is_list(path):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return [part.strip() for part in value.split(",") if part.strip()]


def _is_list(path: tuple[str, ...]) -> bool:
    model: type[BaseModel] | None = Settings
    annotation: object = Settings
    for part in path:
        if model is None:
            return False
        if get_origin(annotation) is dict:
            annotation = model
            continue
        info = model.model_fields.get(part)
        if info is None:
            return False
        annotation = info.annotation
        model = _model_of(annotation)
    return get_origin(annotation) is tuple


def _validate(values: dict[str, Any], sources: _Sources, *, strict: bool) -> Settings:
    try:
        if strict:
            # JSON, because strict Python mode takes no list for a tuple.
            return Settings.model_validate_json(json.dumps(values), strict=True)
        return Settings.model_validate(values)
    except ValidationError as error:
        raise _explain(error, sources) from None


def _explain(error: ValidationError, sources: _Sources) -> SettingsError:
    first = error.errors(include_input=False, include_url=False)[0]
    path = first["loc"]
    dotted = ".".join(str(part) for part in path)
    who = _who_said(path, sources)
    if first["type"] == "extra_forbidden":
        what, why, fix = _unknown(path, dotted)
    else:
        what = f"`{dotted}` is not usable"
        why = str(first["msg"]).removeprefix("Value error, ")
        fix = f"correct `{dotted}`"
    if who:
        return SettingsError(f"{what} (from {who})", why=why, fix=fix)
    at = next(
        (sources.document.positions[path[:n]] for n in range(len(path), 0, -1) if path[:n] in sources.document.positions), None
    )
    return SettingsError(what, why=why, fix=fix, file=sources.file, at=at)


def _who_said(path: tuple[str | int, ...], sources: _Sources) -> str:
    for n in range(len(path), 0, -1):
        name = sources.said.get(cast("tuple[str, ...]", path[:n]))
        if name:
            return f"the variable `{name}`" if name.startswith("LLMCP_") else f"`{name}`"
    return ""


def _unknown(path: tuple[str | int, ...], dotted: str) -> tuple[str, str, str]:
    model: type[BaseModel] | None = Settings
    through_dict = False
    for part in path[:-1]:
        if through_dict:
            through_dict = False
            continue
        info = model.model_fields.get(str(part)) if model is not None else None
        through_dict = info is not None and get_origin(info.annotation) is dict
        model = _model_of(info.annotation) if info is not None else None
    known = sorted(model.model_fields) if model is not None else []
    near = get_close_matches(str(path[-1]), known, n=1)
    return (
        f"unknown setting `{dotted}`",
        f"known here in this version: {', '.join(known)}",
        f"did you mean `{near[0]}`?" if near else "take the key out",
    )
