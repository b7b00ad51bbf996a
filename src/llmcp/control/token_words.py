"""What a person says of a token, read: spans, labels, groups, users, the scope in providers and models.

Rules:
1. A span is a number and `s`, `m`, `h`, `d` or `w`. An end is a span from now, a moment in RFC 3339 (a day alone lasts to its end,
   UTC) or `never`; an end in the past is refused.
2. Labels are as on requests: at most 16, keys and values `[a-z0-9_.-]{1,64}`.
3. Providers are globs, each of which must cover a provider that this version knows; models are globs over any name.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from llmcp.control.naming import shown
from llmcp.core.globs import compile_globs
from llmcp.core.records import timestamp
from llmcp.engine.attribution import MAX_LABELS
from llmcp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

DEFAULT_LIFE: Final = "90d"
_SPAN: Final = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LABEL: Final = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)
_MAX_PARTS: Final = 64
_PART_CHARS: Final = 128
_USER_CHARS: Final = 256


def parse_end(text: str, now: datetime) -> str:
    """Return when a token ends, as a timestamp; "" is never. Raises: UsageError."""
    text = text.strip()
    if text == "never":
        return ""
    end = _span_end(text, now) if _SPAN.fullmatch(text) else _moment(text)
    if end <= now:
        raise UsageError(
            f"`{shown(text)}` is not in the future",
            why="a token that has ended already is of no use",
            fix=_WRITE_AN_END,
            code="bad-time",
        )
    return timestamp(end)


def parse_grace(text: str, now: datetime) -> str:
    """Return the end of a span from now, `0` being now. Raises: UsageError."""
    text = text.strip()
    if text == "0":
        return timestamp(now)
    if not _SPAN.fullmatch(text):
        raise UsageError(
            f"cannot read the span `{shown(text)}`",
            why="expected a number and s, m, h, d or w",
            fix="write `1h` or `7d`",
            code="bad-time",
        )
    return timestamp(_span_end(text, now))


_WRITE_AN_END: Final = "write `30d`, `12h`, `2030-01-31`, `2030-01-31T12:00:00Z` or `never`"


def _span_end(text: str, now: datetime) -> datetime:
    try:
        return now + timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
    except OverflowError:
        raise UsageError(f"`{shown(text)}` is too far away", fix="write `never`", code="bad-time") from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if _DAY.fullmatch(text):
            moment += timedelta(days=1)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"cannot read the end `{shown(text)}`",
            why="expected a span, a moment in RFC 3339 or `never`",
            fix=_WRITE_AN_END,
            code="bad-time",
        ) from None


def parse_labels(pairs: Sequence[str]) -> dict[str, str]:
    """Return the labels of `k=v` texts, each of which may hold several with commas. Raises: UsageError."""
    labels: dict[str, str] = {}
    for pair in _split(pairs):
        key, separator, value = pair.partition("=")
        if not separator or not _LABEL.fullmatch(key) or not _LABEL.fullmatch(value):
            raise UsageError(
                f"`{shown(pair)}` is not a label",
                why="expected `key=value`, each of `[a-z0-9_.-]{1,64}`",
                fix="write for example `--labels team=search,env=prod`",
                code="bad-labels",
            )
        if labels.setdefault(key, value) != value:
            raise UsageError(f"the label `{key}` is given twice, with two values", fix="give it once", code="bad-labels")
    if len(labels) > MAX_LABELS:
        raise UsageError(
            f"{len(labels)} labels are too many", why=f"at most {MAX_LABELS}", fix="leave some out", code="bad-labels"
        )
    return dict(sorted(labels.items()))


def parse_groups(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the groups of comma-separated texts, each once. Raises: UsageError."""
    return _parts(texts, "group")


def parse_models(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the model globs of comma-separated texts. Raises: UsageError."""
    models = _parts(texts, "model")
    for model in models:
        if " " in model:
            raise UsageError(
                f"`{shown(model)}` is no model or glob", why="it has a space in it", fix=_WRITE_MODELS, code="bad-scope"
            )
    return models


_WRITE_MODELS: Final = "write for example `--models 'gpt-4o*,claude-*'`"


def parse_providers(texts: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """Return the provider globs of comma-separated texts; each must cover one of `known`. Raises: UsageError."""
    providers = _parts(texts, "provider")
    for provider in providers:
        globs = compile_globs((provider,))
        if not any(map(globs.matches, known)):
            near = get_close_matches(provider.lower(), sorted(known), n=1)
            raise UsageError(
                f"there is no provider `{shown(provider)}`",
                why="a token's scope must name providers that this version knows",
                fix=f"did you mean `{near[0]}`?" if near else "`llmcp provider list` names them",
                code="no-such-provider",
            )
    return tuple(provider.lower() for provider in providers)


def checked_user(text: str) -> str:
    """Return `text`, who the token is for: a name or an address of any form. Raises: UsageError."""
    if len(text) > _USER_CHARS or not text.isprintable() or text != text.strip():
        raise UsageError(
            "the user cannot be taken",
            why=f"at most {_USER_CHARS} printable characters, no space around",
            fix="mend it",
            code="bad-user",
        )
    return text


def _parts(texts: Sequence[str], what: str) -> tuple[str, ...]:
    parts = _split(texts)
    for part in parts:
        if not part or len(part) > _PART_CHARS or not part.isprintable():
            raise UsageError(
                f"`{shown(part)}` cannot be a {what}",
                why=f"expected 1 to {_PART_CHARS} printable characters",
                fix="separate several by commas, without empty ones",
                code="bad-scope" if what != "group" else "bad-groups",
            )
    if len(parts) > _MAX_PARTS:
        raise UsageError(
            f"{len(parts)} {what}s are too many", why=f"at most {_MAX_PARTS}", fix="use a glob or fewer", code="bad-scope"
        )
    return tuple(dict.fromkeys(parts))


def _split(texts: Sequence[str]) -> list[str]:
    """Split at commas. An empty text is no part; an empty part between commas is kept, to be refused."""
    return [part.strip() for text in texts if text.strip() for part in text.split(",")]
