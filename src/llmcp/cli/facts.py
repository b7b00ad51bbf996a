"""One document as lines for a person: a name, then what is so; what is empty is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def lines(document: Mapping[str, object]) -> str:
    """Return one line for each field that says something."""
    told = [(name.replace("_", " "), _words(value)) for name, value in document.items()]
    width = max((len(name) for name, words in told if words), default=0)
    return "\n".join(f"{name:{width}}  {words}" for name, words in told if words)


def _words(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            text = ", ".join(map(str, value))
        case dict():
            text = ", ".join(f"{key}={item}" for key, item in value.items())
        case _:
            text = str(value)
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
