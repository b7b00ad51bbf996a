"""What the environment says: `LLMCP_` variables as paths into the settings, and the few that are no settings.

Rules:
1. `LLMCP_<SECTION>__<KEY>` is the path `section.key`; `LLMCP_LOG_LEVEL`, `LLMCP_LOG_FORMAT`, `LLMCP_STORE` and `LLMCP_COUNTERS`
   are short names of settings; `LLMCP_HOME`, `LLMCP_ADMIN_TOKEN` and `LLMCP_MASTER_KEY` are no settings.
2. A variable that names no setting of this version is an error by its name, also when it only looks like one (one underscore
   too few, a letter off). Values are never quoted in errors: they may be secrets.
3. A variable that looks like nothing of ours (a test runner's, an orchestrator's service link) is left alone.
4. A shell variable cannot hold a hyphen: `LLMCP_PROVIDERS__LM_STUDIO__…` means the provider `lm-studio` where one is known.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from llmcp.config.document import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREFIX = "LLMCP_"
SHORT_NAMES: dict[str, tuple[str, ...]] = {
    "LLMCP_LOG_LEVEL": ("log", "level"),
    "LLMCP_LOG_FORMAT": ("log", "format"),
    "LLMCP_STORE": ("store",),
    "LLMCP_COUNTERS": ("counters",),
}
NOT_SETTINGS = frozenset({"LLMCP_HOME", "LLMCP_ADMIN_TOKEN", "LLMCP_MASTER_KEY"})
_NEAR = 0.85


@dataclass(frozen=True, slots=True)
class Override:
    """One variable that overrides a setting. `name` is the variable's, for errors."""

    name: str
    path: tuple[str, ...]
    value: str


def overrides(environ: Mapping[str, str], *, sections: Iterable[str], providers: Iterable[str]) -> list[Override]:
    """Return what the environment overrides, by variable name. `providers` are the names that a variable may mean.

    Raises: SettingsError for a variable that names nothing.
    """
    known_sections = frozenset(sections)
    spelt = {name.replace("-", "_").replace(".", "_").lower(): name for name in providers}
    found = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        path = SHORT_NAMES.get(name) or _path(name, known_sections, spelt)
        if path is not None:
            found.append(Override(name, path, environ[name]))
    return found


def _path(name: str, sections: frozenset[str], spelt: Mapping[str, str]) -> tuple[str, ...] | None:
    parts = [part.lower() for part in name.removeprefix(PREFIX).split("__")]
    if len(parts) == 1:
        _refuse_lookalike(name, sections)
        return None
    if not all(parts) or parts[0] not in sections:
        near = get_close_matches(parts[0], sections, n=1)
        raise SettingsError(
            f"the variable `{name}` names no setting",
            why=f"there is no section `{parts[0]}` in this version; sections are {', '.join(sorted(sections))}",
            fix=f"did you mean `{PREFIX}{near[0].upper()}__…`?" if near else f"unset `{name}`",
        )
    if parts[0] == "providers":
        parts[1] = spelt.get(parts[1], parts[1])
    return tuple(parts)


def _refuse_lookalike(name: str, sections: frozenset[str]) -> None:
    """Raise where a variable of one part is surely meant for us; service links (`LLMCP_PORT_8900_TCP`) are not."""
    near = get_close_matches(name, [*SHORT_NAMES, *NOT_SETTINGS], n=1, cutoff=_NEAR)
    section = next((s for s in sections if name.startswith(f"{PREFIX}{s.upper()}_")), "")
    if near:
        fix = f"did you mean `{near[0]}`?"
    elif section:
        rest = name.removeprefix(f"{PREFIX}{section.upper()}_")
        fix = f"did you mean `{PREFIX}{section.upper()}__{rest}` (two underscores)?"
    else:
        return
    raise SettingsError(f"the variable `{name}` names no setting", why="no setting of this version has that name", fix=fix)


def admin_token(environ: Mapping[str, str] | None = None) -> str:
    """Return `LLMCP_ADMIN_TOKEN`, or ''."""
    return (os.environ if environ is None else environ).get("LLMCP_ADMIN_TOKEN", "")


def master_key() -> str:
    """Return `LLMCP_MASTER_KEY`, or ''."""
    return os.environ.get("LLMCP_MASTER_KEY", "").strip()


def variable(name: str) -> str | None:
    """Return a variable that the user named (`--from-env NAME`, a credential's `env:NAME`), or None."""
    return os.environ.get(name)


def debugging() -> bool:
    """Tell whether the user asked for tracebacks."""
    return os.environ.get("LLMCP_LOG_LEVEL", "").lower() == "debug"


def wants_color() -> bool:
    """Tell whether the environment allows colour (https://no-color.org; a dumb terminal has none)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def shell() -> str:
    """Return the base name of the user's shell, or ''."""
    return os.environ.get("SHELL", "").rsplit("/", 1)[-1]


def current() -> dict[str, str]:
    """Return a copy of the environment, for children and for `settings.load`."""
    return dict(os.environ)
