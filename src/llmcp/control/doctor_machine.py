"""Checks of the machine: interpreter, packages, clock, and variables that lead past the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from llmcp.control.doctor import fail, ok, warn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from llmcp.control.doctor import Finding

_OLDEST: Final = (3, 12)
_BUILT: Final = 2026
"""No clock that is right says an earlier year."""
_AHEAD_S: Final = 300
_BASE_URLS: Final = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL")
_PROXIES: Final = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_NO_PROXY: Final = ("NO_PROXY", "no_proxy")


def interpreter(version: tuple[int, ...], packages: Mapping[str, str]) -> Iterator[Finding]:
    """Check the interpreter and what is installed; `packages` are versions by name, '' where one is missing."""
    spoken = ".".join(map(str, version[:3]))
    if version[:2] < _OLDEST:
        yield fail(f"Python {spoken} is too old", "install Python 3.12 or newer and llmcp in it")
        return
    have = ", ".join(f"{name} {found}" for name, found in packages.items() if found)
    yield ok(f"Python {spoken}, {have}" if have else f"Python {spoken}")
    for name, found in packages.items():
        if not found:
            yield warn(f"`{name}` is not installed", f"`pip install {name}`: the daemon is slower without it")


def clock(now: datetime, newest: datetime | None) -> Iterator[Finding]:
    """Check the wall clock against what cannot be; `newest` is the time of the newest record."""
    if now.year < _BUILT:
        yield fail(f"the clock says {now:%Y-%m-%d}", "set the clock: records, tokens and TLS depend on it")
    elif newest is not None and (newest - now).total_seconds() > _AHEAD_S:
        yield fail(f"the newest record is of {newest:%Y-%m-%d %H:%M:%S}, the clock says {now:%Y-%m-%d %H:%M:%S}", "set the clock")
    else:
        yield ok(f"the clock says {now:%Y-%m-%d %H:%M:%S} UTC")


def environment(environ: Mapping[str, str], gateway: str) -> Iterator[Finding]:
    """Check whether SDKs of this shell would pass by the gateway. Values are never repeated: a URL may hold a password."""
    place = urlsplit(gateway).netloc
    past = [name for name in _BASE_URLS if environ.get(name) and urlsplit(environ[name]).netloc != place]
    through = [name for name in _BASE_URLS if environ.get(name) and name not in past]
    for name in past:
        yield warn(f"`{name}` points past the gateway", 'say `eval "$(llmcp env)"` in this shell, or unset it')
    proxy = next((name for name in _PROXIES if environ.get(name)), "")
    exempt = ",".join(environ.get(name, "") for name in _NO_PROXY)
    if proxy and (through or past) and "*" not in exempt and "127.0.0.1" not in exempt:
        yield warn(f"`{proxy}` takes requests to the gateway away to a proxy", "add `127.0.0.1,localhost` to `NO_PROXY`")
    if through:
        yield ok(f"{', '.join(through)} point at the gateway")
    elif not past:
        yield ok('no SDK of this shell is told where to go; `eval "$(llmcp env)"` points them at the gateway')
