"""`llmcp config` over a home: what is in force and why, and one key changed in the settings file.

Rules:
1. The whole file must load with the change, or nothing is written. It need not load without it: the change may mend it.
2. A change leaves a control record. Where the store cannot take it the file is changed all the same, and the caller is told:
   the setting may be what mends the store.
3. The environment of this command is not the daemon's: an origin is what this command sees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmcp.config.document import SettingsError, parse
from llmcp.config.environment import current
from llmcp.config.home import write_private
from llmcp.config.settings import load_effective, read_text, validate_text
from llmcp.control import config_file, config_keys
from llmcp.errors import ConflictError, LlmcpError, NotFoundError
from llmcp.providers.catalog import load_catalog
from llmcp.wiring import home
from llmcp.wiring.changes import change
from llmcp.wiring.keeping import keeper_of, refuse_upgrade_in_use

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.config.home import Home
    from llmcp.config.settings import Effective

_LONGEST = 256
_AT_START = ("listen.host", "listen.port", "listen.admin_port", "store", "counters", "record.queue", "record.when_full")
"""What a daemon takes when it starts; all else it takes at once."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change did. `before` and `after` are as `config set` takes them, None where the file does not say."""

    key: str
    file: str
    before: str | None
    after: str | None
    overridden_by: str = ""
    needs_restart: bool = False
    not_recorded: str = ""


def effective() -> Effective:
    """Return the settings of the home with their origins. Raises: SettingsError."""
    return load_effective(home(), environ=current(), providers=load_catalog().entries)


def rows(section: str = "") -> list[dict[str, Any]]:
    """Return one row a key; of one section, or of all with ''."""
    found = effective()
    path = config_keys.section_of(section) if section else ()
    return [row for row in config_keys.rows(found.settings, found.origin) if _within(row["key"], path)]


def _within(key: str, section: tuple[str, ...]) -> bool:
    return not section or key.startswith(".".join(section) + ".")


def get(key: str) -> dict[str, Any]:
    """Return one key's row. Raises: UsageError where there is no such key, NotFoundError for a provider that is not set up."""
    path = config_keys.path_of(key)
    found = effective()
    row = next((row for row in config_keys.rows(found.settings, found.origin) if row["key"] == ".".join(path)), None)
    if row is None:
        raise NotFoundError(f"`{key}` is not set", why=f"no setting names the provider `{path[1]}`", fix="`llmcp config list`")
    return row


def set_key(key: str, text: str) -> Changed:
    """Set one key. Raises: UsageError, NotPermittedError, SettingsError; nothing is written then."""
    path = config_keys.path_of(key)
    value = config_keys.read_value(path, text)
    config_keys.refuse_secrets(key, value, load_catalog().key_provider)
    return _change("config.set", path, lambda old: config_file.set_key(old, path, value), value)


def unset_key(key: str) -> Changed:
    """Take one key out of the file. Raises: NotFoundError where it does not stand there, and as `set_key`."""
    path = config_keys.path_of(key)
    return _change("config.unset", path, lambda old: config_file.unset_key(old, path), None)


def validate(file: Path | None) -> str:
    """Check a settings file (the home's with the environment); return its name. Raises: SettingsError."""
    if file is None:
        effective()
        return str(home().settings_file)
    try:
        text = file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", "") or "it is not UTF-8 text"
        raise SettingsError("the file cannot be read", why=why, file=str(file)) from error
    validate_text(text, str(file))
    return str(file)


def _change(action: str, path: tuple[str, ...], edit: Callable[[str], str], value: object | None) -> Changed:
    the_home = home()
    file = the_home.settings_file
    old = read_text(the_home)
    document = parse(old, str(file)).values
    before = _value_at(document, path)
    if value is None and before is None:
        raise NotFoundError(
            f"`{'.'.join(path)}` does not stand in {file.name}", fix="`llmcp config list --origin` says who sets it"
        )
    new = edit(old)
    _check(new, file, document, path, value)
    changed = Changed(
        ".".join(path),
        str(file),
        None if before is None else config_keys.show_value(before),
        None if value is None else config_keys.show_value(value),
        overridden_by=_overridden(path),
        needs_restart=".".join(path).startswith(_AT_START),
    )
    if new == old:
        return changed
    return _write(the_home, action, changed, old, new)


def _check(new: str, file: Path, document: dict[str, Any], path: tuple[str, ...], value: object | None) -> None:
    """Refuse a text that does not load, or that says anything else than the old one and the change."""
    try:
        validate_text(new, str(file))
    except SettingsError as error:
        place = f"{file}:{error.line}:{error.column}: "
        raise SettingsError(
            f"nothing was written: {error.what.removeprefix(place)}",
            why=error.why,
            fix="see `llmcp config list`, or mend the file by hand" if value is None else error.fix,
        ) from error
    wanted, said = _flat(document), _flat(parse(new, str(file)).values)
    wanted.pop(path, None)
    if value is not None:
        wanted[path] = value
    if {key: repr(item) for key, item in wanted.items()} != {key: repr(item) for key, item in said.items()}:
        raise ConflictError(
            f"{file.name} cannot be edited without changing something else in it",
            why="its form is unusual",
            fix="edit it by hand, then `llmcp config validate`",
            code="not-editable",
        )


def _flat(values: dict[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, (*path, name))
        else:
            found[(*path, name)] = value
    return found


def _value_at(document: dict[str, Any], path: tuple[str, ...]) -> Any:  # noqa: ANN401 - YAML has any value
    return _flat(document).get(path)


def _overridden(path: tuple[str, ...]) -> str:
    try:
        origin = effective().origin(path)
    except LlmcpError:
        return ""
    return origin if origin.startswith("LLMCP_") else ""


def _write(the_home: Home, action: str, changed: Changed, old: str, new: str) -> Changed:
    """Write the file, then its control record in the store that was in force before."""
    file = Path(changed.file).resolve()
    the_home.create()
    if read_text(the_home) != old:
        raise ConflictError(f"{file.name} was changed meanwhile", why="nothing was written", fix="try again")
    try:
        settings = effective().settings
    except LlmcpError:
        settings = validate_text(new, changed.file)
    write_private(file, new)
    said = {"key": changed.key, "before": changed.before, "after": changed.after}
    detail = {name: value[:_LONGEST] for name, value in said.items() if value is not None}
    try:
        refuse_upgrade_in_use(the_home, settings)
        keeper_of(the_home, settings).note(change().record(action, file.name, **detail))
    except LlmcpError as error:
        return replace(changed, not_recorded=f"{error.what}: {error.why}" if error.why else error.what)
    return changed
