"""What a person may type as a name or a title, and how a wrong one is answered."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from llmcp.core.identity import NAME_FORM, is_name
from llmcp.core.virtual_keys import masked
from llmcp.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_TITLE_CHARS: Final = 200
_SHOWN_CHARS: Final = 64


def checked_name(text: str, what: str) -> str:
    """Return `text`, the name of a new `what`. Raises: UsageError."""
    if not is_name(text):
        raise UsageError(
            f"`{shown(text)}` cannot be the name of an {what}",
            why=f"a name is `{NAME_FORM}`: lower-case letters, digits, `_`, `.`, `-`",
            fix=f"write for example `{_mended(text) or 'my-' + what}`; `--title` takes any words",
            code="bad-name",
        )
    return text


def checked_title(text: str) -> str:
    """Return `text`, words for people. Raises: UsageError."""
    if len(text) > _TITLE_CHARS or not text.isprintable():
        raise UsageError(
            "the title cannot be taken", why=f"at most {_TITLE_CHARS} printable characters", fix="shorten it", code="bad-title"
        )
    return text


def no_such(what: str, name: str, known: Iterable[str], list_verb: str) -> NotFoundError:
    """Return the error for a name that is not there, with a near one where there is one."""
    near = get_close_matches(name, list(known), n=1)
    fix = f"did you mean `{near[0]}`? `{list_verb}` names them all" if near else f"`{list_verb}` names them"
    return NotFoundError(f"there is no {what} `{shown(name)}`", fix=fix, code=f"no-such-{what}")


def shown(text: str) -> str:
    """Return what an error may repeat of a text that somebody typed: little, and nothing that steers a terminal."""
    return masked("".join(c if c.isprintable() else "\ufffd" for c in text[:_SHOWN_CHARS]))


def _mended(text: str) -> str:
    name = "".join(c if c in "abcdefghijklmnopqrstuvwxyz0123456789_.-" else "-" for c in text.strip().lower())[:_SHOWN_CHARS]
    name = name.strip("_.-")
    return name if is_name(name) else ""
